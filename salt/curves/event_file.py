"""The curves of a training as TensorBoard reads them: one record an epoch, in one event file of a folder of its own.

A training that starts or goes on begins a new file with the records of its finished epochs, and empties the old one.
So what was written after the last checkpoint is neither doubled nor left over, however the training ended. Readers
that have read the old file go on to the new one, where steps that begin anew replace those that they hold. Old files
stay, empty: TensorBoard's slow reader (`--load_fast=false`) would wait for a deleted one forever.
"""

import struct
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy.typing as npt
from google.protobuf.message import DecodeError
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from salt.runtime.paths import event_file, event_files

LENGTH, CHECKSUM = struct.Struct("<Q"), 4  # of a record: length, its checksum, content, its checksum
RGB = 3  # channels
Scalars = Mapping[str, float]
Pictures = Mapping[str, npt.NDArray]


class EventFile:
    """The event file of a training in a folder of its own. Only one program at a time may write there."""

    def __init__(self, folder: Path, epochs: Iterable[Scalars]) -> None:
        """Begin the file with the epochs that are finished.

        epochs: their values by tag. What an older file holds of an epoch stays, with its time and pictures, if the
            values there are these. A record that was cut, or that belongs to another training, is replaced.
        """
        old = event_files(folder)
        found = {event.step: event for path in old for event in read(path)}
        kept = [_kept(found.get(step), _event(step, values)) for step, values in enumerate(epochs, 1)]
        number = 1 + max((int(path.suffix[1:]) for path in old), default=0)
        self.path, self.steps = event_file(folder, number), len(kept)
        folder.mkdir(parents=True, exist_ok=True)
        with self.path.open("wb") as file:
            for event in (*_beginning(), *kept):
                RecordWriter(file).write(event.SerializeToString())
        for path in old:  # only now: if this program is killed before, the next one finds all in the two files
            path.write_bytes(b"")

    def add(self, epoch: Scalars, measured: Scalars, pictures: Pictures) -> None:
        """Append the next epoch.

        epoch: the values that its training's checkpoints hold; measured: values that differ each time, such as speeds
        pictures: (H, W, 3) uint8, red, green, blue
        """
        self.steps += 1
        with self.path.open("ab") as file:
            RecordWriter(file).write(_event(self.steps, {**epoch, **measured}, pictures).SerializeToString())


def read(path: Path) -> Iterator[Any]:
    """The events of a file with values, up to the first record that was cut or damaged."""
    content, start = path.read_bytes(), 0
    while start + LENGTH.size <= len(content):
        (length,) = LENGTH.unpack_from(content, start)
        begin = start + LENGTH.size + CHECKSUM
        start = begin + length + CHECKSUM
        if start > len(content):
            return
        try:
            event = Event.FromString(content[begin : begin + length])
        except DecodeError:
            return
        if event.HasField("summary"):
            yield event


def values(event: Any) -> dict[str, float]:
    """The numbers of an event by tag, in single precision."""
    return {value.tag: value.simple_value for value in event.summary.value if value.HasField("simple_value")}


def _kept(found: Any | None, wanted: Any) -> Any:
    """The event that an older file holds, if it has the wanted values; else the wanted one."""
    return found if found is not None and values(wanted).items() <= values(found).items() else wanted


def _beginning() -> list[Any]:
    """The first events of a file: the version of the format, and that everything before it is void."""
    started = SessionLog(status=SessionLog.START)
    return [
        Event(wall_time=time.time(), file_version="brain.Event:2"),
        Event(wall_time=time.time(), session_log=started),
    ]


def _event(step: int, scalars: Scalars, pictures: Pictures | None = None) -> Any:
    """One epoch."""
    summary = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()]
    summary += [Summary.Value(tag=tag, image=_image(pixels)) for tag, pixels in (pictures or {}).items()]
    return Event(wall_time=time.time(), step=step, summary=Summary(value=summary))


def _image(pixels: npt.NDArray) -> Any:
    height, width = pixels.shape[:2]
    _, png = cv2.imencode(".png", pixels[..., ::-1])
    return Summary.Image(height=height, width=width, colorspace=RGB, encoded_image_string=png.tobytes())
