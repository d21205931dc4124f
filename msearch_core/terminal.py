"""What the commands have in common: where they print, and the log that they are about."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

console = Console(markup=False, highlight=False)
Log = Annotated[str, typer.Argument(help="Folder of a trial log, or its gs:// or s3:// URL.")]
