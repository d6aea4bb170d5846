"""What one would write first for each step between tiles and results: loops, and everything in memory."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.tiles import SIDE

Mask = npt.NDArray[np.uint8]

IOUS = np.arange(0.5, 1, 0.05)


def unpack(archive: Path, count: int) -> object:
    """Read and decode the archive's images one after another."""
    with zipfile.ZipFile(archive) as zipped:
        data = [np.frombuffer(zipped.read(name), np.uint8) for name in zipped.namelist()[:count]]
    return np.stack([np.asarray(cv2.imdecode(image, cv2.IMREAD_GRAYSCALE)) for image in data])


def encode(mask: Mask) -> str:
    """Run-length encoding, pixel by pixel."""
    runs: list[int] = []
    previous = -2
    for pixel in np.flatnonzero(mask.T.ravel()).tolist():
        if pixel > previous + 1:
            runs += [pixel + 1, 0]
        runs[-1] += 1
        previous = pixel
    return " ".join(map(str, runs))


def decode(text: str) -> Mask:
    """The mask of a run-length encoding, run by run."""
    pixels, values = np.zeros(SIDE**2, np.uint8), list(map(int, text.split()))
    for start, length in zip(values[::2], values[1::2], strict=True):
        pixels[start - 1 : start - 1 + length] = 1
    return pixels.reshape(SIDE, SIDE).T


def score(predicted: npt.NDArray[np.bool_], truth: Mask) -> list[float]:
    """The score of each tile, threshold by threshold."""
    scores = []
    for one, other in zip(predicted, truth.astype(bool), strict=True):
        union = (one | other).sum()
        iou = (one & other).sum() / union if union else 1.0
        scores.append(float(np.mean([iou > threshold for threshold in IOUS])))
    return scores


def curve(probabilities: npt.NDArray[np.float16], truth: Mask, thresholds: npt.NDArray[np.float64]) -> object:
    """The scores at each threshold, one after another."""
    return [score(probabilities > threshold, truth) for threshold in thresholds]


def average(predictions: Sequence[Path], count: int, out: Path) -> None:
    """The mean of all predictions, in memory."""
    members = [np.load(path)["tta"][:count].astype(np.float32) for path in predictions]
    np.save(out, np.mean(members, axis=0).astype(np.float16))


def label(predictions: Sequence[Path], count: int) -> object:
    """The mask and the confidence of each tile's mean."""
    found = []
    for tile in np.mean([np.load(path)["tta"][:count].astype(np.float32) for path in predictions], axis=0):
        sure = ((tile < 0.2) | (tile > 0.8)).sum() / tile.size
        found.append((tile > 0.5, sure, (tile > 0.5).sum()))
    return found


def match(images: npt.NDArray[np.uint8]) -> object:
    """For each tile, the most similar left and upper borders of all tiles to its right and lower ones."""
    images = images.astype(np.float32)
    found = []
    for own, others in ((images[:, :, -1], images[:, :, 0]), (images[:, -1], images[:, 0])):
        others = (others - others.mean(1, keepdims=True)) / (others.std(1, keepdims=True) + 1e-6)
        for line in own:
            similarity = (others * ((line - line.mean()) / (line.std() + 1e-6))).mean(axis=1)
            found.append((int(similarity.argmax()), float(similarity.max())))
    return found
