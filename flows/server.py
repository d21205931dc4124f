"""The main of the embedded Prefect server.

A new database costs ten seconds of migrations, so the first one made with each version of Prefect is kept, before
anything is recorded in it, and later searches start from a copy.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import platformdirs
import uvicorn

from flows import lifeline
from flows.prefect_api import DATABASE


class Server(uvicorn.Server):
    """Keeps a copy of the database as soon as it has been migrated.

    Args:
        config: uvicorn's.
        database: the server's database.
        template: where to keep the copy.
    """

    def __init__(self, config: uvicorn.Config, database: Path, template: Path) -> None:
        super().__init__(config)
        self._database = database
        self._template = template

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start serving, after the application's own start-up."""
        await super().startup(sockets)
        # Without a cache to write to, or room in it, the next start is as slow as this one.
        with contextlib.suppress(OSError, sqlite3.Error):
            if self.started and not self._template.exists():
                keep(self._database, self._template)


def keep(database: Path, template: Path) -> None:
    """Copy a database that may be in use to a file that others find whole or not at all; not one without tables.

    Raises:
        OSError, sqlite3.Error: it cannot be written there.
    """
    template.parent.mkdir(parents=True, exist_ok=True)
    partial = template.with_name(f".{template.name}.{os.getpid()}")
    try:
        with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(partial)) as copy:
            source.backup(copy)
            (tables,) = copy.execute("select count(*) from sqlite_master where type = 'table'").fetchone()
        if tables:
            partial.replace(template)
    finally:
        partial.unlink(missing_ok=True)


def main() -> None:
    """Serve on the port given until the parent process ends."""
    lifeline.watch()
    from prefect import __version__
    from prefect.server.api.server import create_app

    database = Path(os.environ["PREFECT_HOME"]) / DATABASE
    template = platformdirs.user_cache_path("msearch") / f"prefect-{__version__}.db"
    with contextlib.suppress(OSError):  # there is none yet, or it is out of reach
        shutil.copy(template, database)
    config = uvicorn.Config(
        create_app, factory=True, host="127.0.0.1", port=int(sys.argv[1]), log_level="error", lifespan="on"
    )
    Server(config, database, template).run()


if __name__ == "__main__":
    main()
