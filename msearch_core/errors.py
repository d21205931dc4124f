"""The one exception that a user is meant to read."""

from __future__ import annotations

from collections.abc import Iterable


class UserError(Exception):
    """Something the user can mend.

    The message is one line that says what was wrong, what was expected and how to mend it. The command line
    prints it without a traceback and exits with code 2.
    """


def expect_one_of(what: str, given: object, known: Iterable[str]) -> None:
    """See that a word is one of those that are understood.

    Raises:
        UserError: it is not.
    """
    names = list(known)
    if given not in names:
        raise UserError(f"{what} is {given!r}; expected one of {', '.join(names)}")
