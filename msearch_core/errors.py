"""The one exception that a user is meant to read."""


class UserError(Exception):
    """Something the user can mend.

    The message is one line that says what was wrong, what was expected and how to mend it. The command line
    prints it without a traceback and exits with code 2.
    """
