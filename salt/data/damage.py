"""Damaged files of a run: every reader ends in one paragraph that tells how to mend the run.

A file whose size differs from the one that its program recorded is damaged, even if it can be read: a table that was
cut at the end of a line is a shorter table. Digests are not compared here, because that reads every file twice; `make
verify` compares them.
"""

import csv
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from yaml import YAMLError

from salt.runtime import provenance
from salt.runtime.paths import Run
from schemas.errors import UserError

# What parsers raise: JSON, NumPy, pandas, pydantic and text encodings raise subclasses of ValueError.
UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, EOFError, StopIteration, csv.Error, YAMLError)


class MissingFileError(UserError):
    """A file of a run that is not there: gone, or not made yet."""


@contextmanager
def reading(path: Path, remedy: str | None = None) -> Iterator[None]:
    """Read a file of a run inside this context.

    Raises UserError if it is cut or cannot be parsed, and MissingFileError, which is one, if it is missing.
    remedy: what to do about it; by default, how to repair the run
    """
    try:
        found, recorded = path.stat().st_size, provenance.recorded_bytes(path)
        if recorded not in (None, found):
            raise UserError(text(path, f"{found:,} bytes in place of {recorded:,}", remedy))
        yield
    except FileNotFoundError as error:
        if error.filename and Path(error.filename) != path:
            raise
        raise MissingFileError(text(path, "no such file", remedy)) from None
    except UNREADABLE as error:
        raise UserError(text(path, f"a damaged one ({brief(error)})", remedy)) from error


def text(path: Path, found: str, remedy: str | None = None) -> str:
    """One paragraph about a damaged file."""
    return f"{path}: expected the whole file, as its program wrote it, found {found}. {remedy or how_to_mend(path)}"


def how_to_mend(path: Path) -> str:
    """What to do about a damaged file of a run."""
    around = next((parent for parent in path.parents if Run(parent).config.is_file()), None)
    name = run_name(around) if around else "NAME"
    return (
        f"`make verify RUN={name}` lists what is damaged in its run; `make verify RUN={name} REPAIR=1` removes that, "
        "and the command of the run then makes it again. If you edited the file on purpose, delete the record beside "
        f"it that names it, which ends in {provenance.SUFFIX}."
    )


def run_name(folder: Path) -> str:
    """What `make verify RUN=...` calls a run: its name below results/, or its folder, quoted for a shell."""
    return shlex.quote(folder.name if folder == Path("results", folder.name) else str(folder))


def brief(error: BaseException) -> str:
    """The first line of an error, with its type where that says more."""
    line = next(iter(str(error).splitlines()), "")
    return line if line and not isinstance(error, LookupError) else f"{type(error).__name__} {line}".strip()
