"""Scores as a person reads them, wherever they are told."""

from __future__ import annotations


def score_text(score: float) -> str:
    """A score with four decimals, or with four digits where these would say nothing or too much.

    Args:
        score: any score or its standard error.
    """
    usual = score == 0 or 1e-3 <= abs(score) < 100
    return f"{score:.4f}" if usual else f"{score:,.4g}"
