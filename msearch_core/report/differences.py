"""How two trials differ: their architectures block by block, their hyperparameters value by value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

from msearch_core.report.scores import decoded, listed


def architecture_difference(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """The edits that make one architecture of another.

    Args:
        before: blocks from input to output.
        after: blocks from input to output.

    Returns:
        One text an edit: ``+ block``, ``- block`` or ``block → block``, with the place, counted from 1, before it:
        the place in ``after``, or for a block that is gone its place in ``before``.
    """
    edits = []
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    for kind, first, last, start, end in matcher.get_opcodes():
        if kind == "equal":
            continue
        paired = min(last - first, end - start)
        edits += [f"{start + each + 1}: {before[first + each]} → {after[start + each]}" for each in range(paired)]
        edits += [f"{each + 1}: - {before[each]}" for each in range(first + paired, last)]
        edits += [f"{each + 1}: + {after[each]}" for each in range(start + paired, end)]
    return edits


def hyperparameter_difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The values that differ, as ``name: before → after``; a name that one side lacks is ``none`` there."""
    return [
        f"{name}: {_text(before.get(name))} → {_text(after.get(name))}"
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]


def changes(parent: Mapping[str, Any], child: Mapping[str, Any]) -> list[str]:
    """What was changed between two trials' rows, one text a change."""
    return [
        *architecture_difference(listed(parent["architecture"]), listed(child["architecture"])),
        *hyperparameter_difference(decoded(parent["hyperparameters"]), decoded(child["hyperparameters"])),
    ] or ["nothing changed: trained on"]


def _text(value: Any) -> str:
    return "none" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
