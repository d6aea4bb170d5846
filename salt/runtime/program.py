"""The frame of every stage program: its log, and one short paragraph instead of a traceback for a user's mistake.

A log begins with the command that runs this job alone, ready to paste.
"""

import ctypes
import errno
import logging
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from salt.runtime import provenance
from salt.runtime.signals import Interrupted
from schemas.errors import UserError

PR_SET_PDEATHSIG = 1  # of prctl(2), Linux

CAUSES = {
    errno.ENOSPC: "the disk is full. Free some space",
    errno.EDQUOT: "the disk quota is used up. Free some space",
    errno.EACCES: "permission is denied. Make the folder writable",
    errno.EROFS: "the file system is read-only. Make it writable",
}
MEMORY = (
    "Close other programs, or lower --cores, compute.loader_workers or compute.predict_batch in the config, and type "
    "the same command again; what was done is kept."
)


def run(main: Callable[[], None]) -> NoReturn:
    """Run a stage's `main` and exit: 0 if it returns, 1 with just the message after a user's mistake."""
    start()
    finish(main)


def start() -> None:
    """Set up the process of a stage, and begin its log."""
    end_with_parent()
    provenance.origin()
    print(command(), flush=True)
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(message)s")


def finish(main: Callable[[], None]) -> NoReturn:
    """Run the `main` of a stage that has started, and exit as `run` does."""
    with faults_in_words():
        main()
    sys.exit(0)


@contextmanager
def faults_in_words() -> Iterator[None]:
    """Turn a user's mistake, a signal or a machine that is too small into an exit with just the message."""
    try:
        yield
    except UserError as error:
        logging.shutdown()
        sys.exit(f"Error: {error}")
    except Interrupted as stop:
        logging.info(stop)
        logging.shutdown()
        sys.exit(128 + stop.signal_number)
    except OSError as error:
        sys.exit(unwritable(error))
    except MemoryError as error:
        sys.exit(f"Error: this machine's memory is full ({error}). {MEMORY}")


def command() -> str:
    """The shell command of this program: `python -m stages.<rule> ...` with all options."""
    return shlex.join([sys.executable, *sys.orig_argv[1:]])


def unwritable(error: OSError) -> str:
    """One paragraph about a file that the machine could not write. Raises the error again if its cause is another."""
    if error.errno not in CAUSES:
        raise error
    return (
        f"Error: {error.filename or 'a file'} could not be written: {CAUSES[error.errno]} and type the same command "
        "again; what was done is kept."
    )


def end_with_parent() -> None:
    """Ask the system to end this program when its parent dies (Linux only; elsewhere nothing happens).

    A training that outlived a killed workflow would run for hours and write into the folder of its successor.
    """
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died in the meantime
        os.kill(os.getpid(), signal.SIGTERM)
