"""How far the scores of a log can be repeated: random rows, trained again from their rows alone.

python -m benchmarks.replays LOG --rows 10                    # as many threads as each trial had
python -m benchmarks.replays LOG --rows 3 --from-scratch      # their ancestors too
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

from msearch_core.replay import notes, replay
from msearch_core.training.client import TrainingHost
from msearch_core.training.replaying import UNTRAINED, Replayer
from msearch_core.trial_log import TrialLog


def main() -> None:
    """Print a line a row, and how many came how close."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log")
    parser.add_argument("--rows", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--from-scratch", action="store_true")
    asked = parser.parse_args()
    verdicts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder, TrainingHost(Path(folder) / "host.log") as host:
        replayer = Replayer(TrialLog(asked.log), host, Path(folder), asked.threads)
        uids = [uid for uid, row in replayer.rows.items() if row.status not in UNTRAINED]
        chosen = np.random.default_rng(asked.seed).permutation(uids)[: asked.rows]
        for uid in sorted(chosen.tolist()):
            began = time.monotonic()
            done = replay(replayer, uid, from_scratch=asked.from_scratch)
            verdicts[done.verdict if done.agrees else f"{done.verdict}, disagrees"] += 1
            unequal = [name for name, equal in done.equal.items() if not equal]
            print(
                f"{uid} {done.row.kind:8} {done.row.status:9} {done.row.objective} -> {done.result.objective} "
                f"tolerance {done.tolerance:.4g}, {done.threads} threads: {done.verdict} "
                f"{'not equal: ' + ', '.join(unequal) if unequal else ''} "
                f"({time.monotonic() - began:.1f} s) {' | '.join(notes(done))}"
            )
    print(f"{asked.log}: {len(chosen)} rows, {dict(verdicts)}")


if __name__ == "__main__":
    main()
