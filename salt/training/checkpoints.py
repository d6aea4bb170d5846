"""Checkpoints of a training that a kill at any moment, a full disk or a damaged file cannot spoil.

A checkpoint is a small manifest (JSON) that names files of tensors (safetensors) by the digest of their content, so
that a damaged one is noticed, and what did not change since the last checkpoint is not written again. All of it is
written beside its place, synced and renamed. The one before the newest is kept.

The folder is no output of a rule: Snakemake deletes the outputs of a job that fails. So a checkpoint carries the
fingerprint of what it belongs to: the same settings, tiles and first weights. Others lie in folders of their own.
"""

import fcntl
import hashlib
import json
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import numpy.typing as npt
import safetensors.torch
from torch import Tensor

from salt.inference.weights import State
from salt.runtime.atomic import atomic_path
from salt.runtime.progress import say
from schemas.errors import UserError

MOST_ON_CHECKPOINTS = 0.02  # of a training's time, but for those at the ends of cycles


class Damaged(Exception):
    """A checkpoint that cannot be read; the text says which file and why."""


def fingerprint(settings: str, arrays: Iterable[npt.NDArray], weights: State) -> str:
    """Digest of what a training is a function of: settings as JSON, tiles, first weights; 16 hexadecimal digits."""
    digest = hashlib.sha256(settings.encode())
    for array in (*arrays, *(value.cpu().numpy() for value in weights.values())):
        digest.update(f"{array.shape}{array.dtype}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:16]


class Checkpoints:
    """The checkpoints of one training in a folder of their own.

    Use it as a context: as long as it is open, no other training can use the folder.
    """

    def __init__(self, folder: Path, owner: str) -> None:
        """`owner`: the training's fingerprint."""
        self.root, self.folder = folder, folder / owner
        self._open = ExitStack()  # the lock, as long as it is held
        self._written: dict[int, tuple[State, str]] = {}  # what the last checkpoint holds, by identity, and its digest

    def __enter__(self) -> Self:
        """Raises UserError where another training is at work."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = self._open.enter_context((self.root / "lock").open("w"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._open.close()
            raise UserError(
                f"{self.root}: expected no other training of this model and fold, found one at work. "
                "Wait for it or stop it, then type the same command again."
            ) from None
        for other in sorted(self.root.iterdir()):
            if other.is_dir() and other != self.folder:
                say(f"a checkpoint of other settings or tiles is kept aside, in {other}; this training is not its")
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def save(self, facts: Mapping[str, Any], states: Mapping[str, State]) -> None:
        """Write a checkpoint: facts that JSON can hold, and named sets of tensors.

        A state that is the very object of the last call is taken to be unchanged and is not written again.
        """
        written = {name: self._written.get(id(state)) or (state, self._store(state)) for name, state in states.items()}
        self._written = {id(state): (state, digest) for state, digest in written.values()}
        content = json.dumps({"facts": facts, "states": {name: digest for name, (_, digest) in written.items()}})
        with atomic_path(self._manifest(max(self._numbers(), default=0) + 1)) as path:
            path.write_text(f"{_digest(content.encode())}\n{content}")
        self._forget_old()

    def load(self) -> tuple[dict[str, Any], dict[str, dict[str, Tensor]]] | None:
        """Facts and states of the newest checkpoint that is whole; None where there is none."""
        for number in reversed(self._numbers()):
            try:
                return self._read(self._manifest(number))
            except Damaged as damage:
                say(f"warning: a checkpoint is damaged and left out: {damage}")
                self._manifest(number).unlink()
        return None

    def remove(self) -> None:
        """Delete the checkpoints of this training, which is done."""
        shutil.rmtree(self.folder)
        if [path.name for path in self.root.iterdir()] == ["lock"]:
            shutil.rmtree(self.root)

    def _read(self, manifest: Path) -> tuple[dict[str, Any], dict[str, dict[str, Tensor]]]:
        digest, _, content = manifest.read_bytes().partition(b"\n")
        if _digest(content).encode() != digest:
            raise Damaged(f"{manifest} is not as it was written")
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
            raise Damaged(f"{path} is missing") from None
        if _digest(content) != digest:
            raise Damaged(f"{path} is not as it was written")
        return safetensors.torch.load(content)

    def _forget_old(self) -> None:
        *old, _, _ = [0, 0, *self._numbers()]  # the newest and the one before stay
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


class Saver:
    """Writes the checkpoints of a training, and says when the next one is due."""

    def __init__(self, checkpoints: Checkpoints | None, pause: float, seconds: float) -> None:
        """No checkpoints: none is written. pause: seconds between two; seconds: spent on the training before."""
        self.checkpoints, self.pause = checkpoints, pause
        self.started = time.monotonic() - seconds
        self.due = time.monotonic() + pause

    @property
    def seconds(self) -> float:
        """Spent on the training, over all of its parts."""
        return time.monotonic() - self.started

    @property
    def is_due(self) -> bool:
        """Whether it is time for the next one."""
        return self.checkpoints is not None and time.monotonic() >= self.due

    @property
    def where_to_go_on(self) -> str:
        """What to tell whoever stops the training."""
        kept = f"A checkpoint is in {self.checkpoints.folder}; the" if self.checkpoints else "The"
        return f"{kept} same command goes on."

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Save inside this context. It puts the next one off, the longer the more of the time they take."""
        start = time.monotonic()
        yield
        now = time.monotonic()
        self.due = now + (max(self.pause, (now - start) / MOST_ON_CHECKPOINTS) if self.pause else 0)

    def save(self, facts: Mapping[str, Any], states: Mapping[str, State]) -> None:
        """Write a checkpoint, where any are written."""
        if self.checkpoints is not None:
            self.checkpoints.save(facts, states)


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()  # twice as fast as SHA-256 where no CPU helps it
