"""One self-contained page about a search."""

from msearch_core.report.page.build import Predictions, build_page

__all__ = ["Predictions", "build_page"]
