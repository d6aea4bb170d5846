"""The one error that a user reads."""


class UserError(Exception):
    """Something the user can mend. Its text says what was expected, what was found and where, and what to do.

    A program ends with this text alone, without a traceback. Where there are several faults, each is a line.
    """
