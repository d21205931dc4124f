"""The short form of ``benchmarks.log_faults``: nothing is lost or doubled, whoever is killed."""

from pathlib import Path

import pytest

from benchmarks.log_faults import budget, claims, kills


@pytest.mark.slow
def test_killed_writers_and_sealers_lose_nothing(tmp_path: Path) -> None:
    counted = kills(str(tmp_path), count=12, writers=2, sealers=1, readers=1)
    assert counted["acknowledged"] > 10
    assert counted["reads"] > 3
    assert {name: counted[name] for name in ("lost", "twice", "torn", "failed")} == dict.fromkeys(
        ("lost", "twice", "torn", "failed"), 0
    )


@pytest.mark.slow
def test_racing_processes_win_each_claim_once(tmp_path: Path) -> None:
    assert claims(str(tmp_path), count=200, racers=3) == {"claims": 200, "winners": 200, "twice": 0, "lost": 0}


@pytest.mark.slow
def test_a_budget_is_exact_whoever_is_killed(tmp_path: Path) -> None:
    counted = budget(str(tmp_path), trials=60, trainers=3, kill_every=1.0)
    assert (counted["rows"], counted["lost"], counted["twice"]) == (60, 0, 0)
