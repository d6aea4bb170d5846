"""Checkpoints of a training. They survive a kill at any moment, a full disk and a damaged file.

A checkpoint is a small manifest (JSON) that names files of tensors (safetensors) by the digest of their content.
So damage is noticed, and tensors that did not change since the last checkpoint are not written again. Every file is
written to a temporary path, synced and renamed. The two newest checkpoints are kept.

The folder is not the output of a rule, because Snakemake deletes the outputs of a job that fails. So each training
has its own folder, named by its fingerprint: a digest of its settings, tiles and first weights.
"""

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Self

import numpy.typing as npt
import safetensors.torch
from torch import Tensor

from salt.inference.weight_files import State
from salt.runtime.atomic import atomic_path
from salt.runtime.progress import say

LOCKS = WAITING, LOCK = "waiting", "lock"  # held by processes that wait for the lock, and by the one that has it
MAX_TIME_SHARE = 0.02  # of a training's time, not counting checkpoints at the ends of cycles


class DamagedCheckpoint(Exception):
    """A checkpoint cannot be read; the text names the file and the reason."""


def fingerprint(settings: str, arrays: Iterable[npt.NDArray], weights: State) -> str:
    """Digest of everything that determines a training's result, as 16 hexadecimal digits.

    settings: as JSON; arrays: the tiles; weights: the first weights
    """
    digest = hashlib.sha256(settings.encode())
    for array in (*arrays, *(value.cpu().numpy() for value in weights.values())):
        digest.update(f"{array.shape}{array.dtype}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:16]


class Checkpoints:
    """The checkpoints of one training, in their own folder.

    Use this as a context manager: while it is open, other trainings wait for the folder.
    """

    def __init__(self, folder: Path, owner: str) -> None:
        """owner: the training's fingerprint."""
        self.root, self.folder = folder, folder / owner
        self._open = ExitStack()  # holds the lock
        self._written: dict[int, tuple[State, str]] = {}  # the last checkpoint's states by identity, with digests

    def __enter__(self) -> Self:
        """Lock the folder. Waits while another process trains in it; what that leaves is loaded then.

        On a cluster, the jobs of a killed run train on. A new run may start the same training a second time.
        """
        while not self._locked():
            self._open.close()
        self.folder.mkdir(exist_ok=True)
        for other in sorted(self.root.iterdir()):
            if other.is_dir() and other != self.folder:
                say(f"{other} holds a checkpoint of other settings or tiles: it stays there and is not used")
        return self

    def _locked(self) -> bool:
        """Wait for the lock. False if the process that held it has deleted its file, so that it locks nothing."""
        self.root.mkdir(parents=True, exist_ok=True)
        try:
            waiting, lock = (self._open.enter_context((self.root / name).open("a+")) for name in LOCKS)
        except FileNotFoundError:  # deleted since the line before
            return False
        fcntl.flock(waiting, fcntl.LOCK_SH)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another process trains this model and fold in {self.root}: waits until it ends, then continues there")
            fcntl.flock(lock, fcntl.LOCK_EX)
        fcntl.flock(waiting, fcntl.LOCK_UN)
        return _is_in_place(waiting) and _is_in_place(lock)

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def save(self, facts: Mapping[str, Any], states: Mapping[str, State]) -> None:
        """Write a checkpoint: facts that JSON can hold, and named states (sets of tensors).

        A state that is the same object as in the last call counts as unchanged and is not written again.
        """
        written = {name: self._written.get(id(state)) or (state, self._store(state)) for name, state in states.items()}
        self._written = {id(state): (state, digest) for state, digest in written.values()}
        content = json.dumps({"facts": facts, "states": {name: digest for name, (_, digest) in written.items()}})
        with atomic_path(self._manifest(max(self._numbers(), default=0) + 1)) as path:
            path.write_text(f"{_digest(content.encode())}\n{content}")
        self._delete_old()

    def load(self) -> tuple[dict[str, Any], dict[str, dict[str, Tensor]]] | None:
        """Facts and states of the newest undamaged checkpoint; None if there is none."""
        for number in reversed(self._numbers()):
            try:
                return self._read(self._manifest(number))
            except DamagedCheckpoint as damage:
                say(f"warning: skipped a damaged checkpoint: {damage}")
                self._manifest(number).unlink()
        return None

    def remove(self) -> None:
        """Delete the checkpoints of this training once it is done.

        They stay if another process waits for them: the last one is the finished training, whose results it writes.
        """
        with (self.root / WAITING).open("a+") as waiting:
            try:
                fcntl.flock(waiting, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            shutil.rmtree(self.folder)
            if {path.name for path in self.root.iterdir()} == set(LOCKS):
                shutil.rmtree(self.root, ignore_errors=True)  # another process may enter at this moment

    def _read(self, manifest: Path) -> tuple[dict[str, Any], dict[str, dict[str, Tensor]]]:
        digest, _, content = manifest.read_bytes().partition(b"\n")
        if _digest(content).encode() != digest:
            raise DamagedCheckpoint(f"{manifest} has changed since it was written")
        found = json.loads(content)
        return found["facts"], {name: self._fetch(digest) for name, digest in found["states"].items()}

    def _store(self, state: State) -> str:
        content = safetensors.torch.save({name: value.detach().cpu().contiguous() for name, value in state.items()})
        digest = _digest(content)
        with atomic_path(self._tensors(digest)) as path:
            path.write_bytes(content)
        return digest

    def _fetch(self, digest: str) -> dict[str, Tensor]:
        path = self._tensors(digest)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise DamagedCheckpoint(f"{path} is missing") from None
        if _digest(content) != digest:
            raise DamagedCheckpoint(f"{path} has changed since it was written")
        return safetensors.torch.load(content)

    def _delete_old(self) -> None:
        *old, _, _ = [0, 0, *self._numbers()]  # keeps the two newest
        for number in old:
            self._manifest(number).unlink(missing_ok=True)
        named = "".join(self._manifest(number).read_text(errors="replace") for number in self._numbers())
        for file in self.folder.glob("*.safetensors"):
            if file.stem not in named:
                file.unlink()

    def _numbers(self) -> list[int]:
        return sorted(int(path.stem) for path in self.folder.glob("[0-9]*.json"))

    def _manifest(self, number: int) -> Path:
        return self.folder / f"{number:06d}.json"

    def _tensors(self, digest: str) -> Path:
        return self.folder / f"{digest}.safetensors"


def newest_facts(root: Path) -> tuple[dict[str, Any], float] | None:
    """The facts of a training's newest checkpoint, and the time of its writing; None if there is none.

    For readers beside a training: they take no lock, read no tensors and change nothing. root: the training's folder
    """
    found = []
    for manifest in root.glob("*/[0-9]*.json"):
        with suppress(OSError):  # replaced by a newer one since
            found.append((manifest.stat().st_mtime, manifest.read_bytes().partition(b"\n")))
    whole = [(written, content) for written, (digest, _, content) in found if _digest(content).encode() == digest]
    if not whole:
        return None
    written, content = max(whole)
    return json.loads(content)["facts"], written


class Saver:
    """Writes the checkpoints of a training and decides when the next one is due."""

    def __init__(self, checkpoints: Checkpoints | None, pause: float, seconds: float) -> None:
        """Start the clock.

        checkpoints: None writes none; pause: seconds between two checkpoints; seconds: spent on earlier parts of
            the training
        """
        self.checkpoints, self.pause = checkpoints, pause
        self.started = time.monotonic() - seconds
        self.due = time.monotonic() + pause

    @property
    def seconds(self) -> float:
        """Time spent on the training so far, over all of its parts."""
        return time.monotonic() - self.started

    @property
    def is_due(self) -> bool:
        """Whether it is time for the next checkpoint."""
        return self.checkpoints is not None and time.monotonic() >= self.due

    @property
    def how_to_resume(self) -> str:
        """Instructions for a user who stopped the training."""
        if self.checkpoints is None:
            return "The same command starts it afresh."
        return f"A checkpoint is in {self.checkpoints.folder}; the same command continues from it."

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Save inside this context: it schedules the next checkpoint, later if saving takes long."""
        start = time.monotonic()
        yield
        now = time.monotonic()
        self.due = now + (max(self.pause, (now - start) / MAX_TIME_SHARE) if self.pause else 0)

    def save(self, facts: Mapping[str, Any], states: Mapping[str, State]) -> None:
        """Write a checkpoint, unless the training writes none."""
        if self.checkpoints is not None:
            self.checkpoints.save(facts, states)


def _is_in_place(file: IO[str]) -> bool:
    """Whether an open file is still the one at its path."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(file.name))
    except FileNotFoundError:
        return False


def _digest(content: bytes) -> str:
    return hashlib.blake2b(
        content, digest_size=16
    ).hexdigest()  # twice as fast as SHA-256 on CPUs without instructions for it
