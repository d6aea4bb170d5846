"""What every stage program shares: its log, and one short paragraph instead of a traceback for a user's mistake."""

import logging
import sys
from collections.abc import Callable
from typing import NoReturn

from schemas.config import ConfigError


class UserError(Exception):
    """Something the user can mend. Its text says what was expected, what was found and where, and what to do."""


def run(main: Callable[[], None]) -> NoReturn:
    """Run a stage's `main` and exit: 0 when it returns, 1 with the message alone after a user's mistake."""
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        main()
    except (UserError, ConfigError) as error:
        logging.shutdown()
        sys.exit(f"Error: {error}")
    sys.exit(0)
