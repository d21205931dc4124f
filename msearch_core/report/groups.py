"""Trials by what they have in common."""

from __future__ import annotations

from typing import Literal, get_args

import pandas as pd

from msearch_core.errors import expect_one_of
from msearch_core.report.effects import block_effects, of_one_architecture
from msearch_core.report.scores import is_maximised, mean_interval, objective_name, scored

Grouping = Literal["block", "algorithm", "kind", "status"]


def groups(frame: pd.DataFrame, by: Grouping) -> pd.DataFrame:
    """Count, best and mean score of each group.

    Args:
        frame: trials of one run.
        by: what makes a group; a trial is in the group of each block that it has, ensembles are in none.

    Returns:
        One row a group, best mean first: the group, ``trials``, ``scored`` (those with a score), ``best``, ``mean``
        with its 95 % interval ``low`` to ``high`` over trials, and for blocks also ``effect``, ``effect_low`` and
        ``effect_high`` (see ``block_effects``), where there are enough trials.

    Raises:
        UserError: trials are not grouped by that.
    """
    expect_one_of("by", by, get_args(Grouping))
    name = "architecture" if by == "block" else by
    wanted = dict.fromkeys(("uid", name, "status", "objective", "direction"))
    members = of_one_architecture(frame) if by == "block" else frame
    members = members[list(wanted)].rename(columns={name: by})
    if by == "block":
        members = members.explode("block").drop_duplicates(["uid", "block"])
    members = members[members[by].notna()]
    maximised = is_maximised(frame)
    rows = []
    for group, trials in members.groupby(by, sort=True):
        scores = scored(trials)["objective"].to_numpy(float)
        low, high = mean_interval(scores, objective_name(frame))
        best = float("nan") if not len(scores) else float(scores.max() if maximised else scores.min())
        mean = float(scores.mean()) if len(scores) else float("nan")
        rows.append((group, len(trials), len(scores), best, mean, low, high))
    table = pd.DataFrame(rows, columns=[by, "trials", "scored", "best", "mean", "low", "high"])
    table = table.sort_values("mean", ascending=not maximised, na_position="last", kind="stable")
    effects = block_effects(frame) if by == "block" else None
    if effects is not None:
        renamed = effects.drop(columns="trials").rename(columns={"low": "effect_low", "high": "effect_high"})
        table = table.merge(renamed, on="block", how="left")
    return table.reset_index(drop=True)
