"""Keeping secrets out of what is recorded: parameters, rows and logs are for everyone to read."""

from __future__ import annotations

import re
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, Field

_INSIDE = r"(?:.*::)?[A-Za-z0-9+.-]+://(?:[^/@]*|[^/@:]*:(?!:|\d+/)[^@]*)@"
"""A URL with credentials, alone or after others: fsspec chains them by ``::``. A password may hold a slash, by which
alone it cannot be told from a port of digits and the path after it."""


def refuse_credentials(location: str) -> str:
    """Return a path or URL that holds no user or password before its host.

    Raises:
        ValueError: it does; the message does not repeat them.
    """
    if re.match(_INSIDE, location):
        raise ValueError("the URL holds credentials; give them by the environment, and the URL without them")
    return location


Location: TypeAlias = Annotated[
    str, Field(json_schema_extra={"pattern": f"^(?!{_INSIDE})"}), AfterValidator(refuse_credentials)
]
"""A path or URL without credentials. The JSON schema says so too, by which a server refuses them."""
