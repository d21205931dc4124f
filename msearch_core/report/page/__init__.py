"""One self-contained page about a search."""

from msearch_core.report.page.build import build_page

__all__ = ["build_page"]
