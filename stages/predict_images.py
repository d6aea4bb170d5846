"""Predict other images with a trained run: a mask and the probabilities of each, whatever its size."""

import argparse
import csv
import hashlib
import math
import shutil
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from salt.data import rle
from salt.data.predictions import ONE, in_16_bits
from salt.inference.blocks import BLOCK, Blocks, Windows
from salt.inference.ensemble import Ensemble
from salt.inference.images import Image, find_images, open_images
from salt.runtime import device, program, provenance
from salt.runtime.atomic import atomic_folder, atomic_path
from salt.runtime.paths import Run
from salt.runtime.progress import say
from schemas.config import Compute
from schemas.reading import read_settings
from schemas.results import PredictImagesSettings


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Options of the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="JSON of schemas.results.PredictImagesSettings")
    parser.add_argument("--compute", required=True, help="JSON of schemas.config.Compute")
    parser.add_argument("--run", type=Path, required=True, help="folder of the trained run")
    parser.add_argument("--checkpoints", type=Path, required=True, help="folder to go on from, gone when all is done")
    parser.add_argument("--masks", type=Path, required=True, help="folder of PNGs to write, 255 is salt")
    parser.add_argument("--probabilities", type=Path, required=True, help="folder of 16-bit PNGs to write, 65535 is 1")
    parser.add_argument("--table", type=Path, required=True, help="csv to write: id, rle_mask")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Run the program."""
    args = parse_args(argv)
    settings = read_settings(PredictImagesSettings, args.settings)
    compute = read_settings(Compute, args.compute)
    images = open_images(settings)
    windows = Windows(images)
    ensemble = Ensemble(settings.models, settings.folds, settings.tile, Run(args.run), compute)
    where = device.describe(ensemble.device)
    say(f"{len(images)} images, {len(windows)} windows, {len(ensemble)} networks, on {where}")
    size = max(1, BLOCK[ensemble.device.type] // math.prod(settings.tile))
    blocks = Blocks(folder_of_blocks(args.checkpoints, settings), size)
    with device.faults_of_the_machine():
        blocks.predict(windows, ensemble)
    write(args, Windows(images), blocks, settings.threshold)  # anew: without the image that was read last
    provenance.leave(
        args.masks,
        args.settings,
        {"images": find_images(Path(settings.images)), "weights": ensemble.files},
        device=where,
        threads=compute.threads,
    )
    shutil.rmtree(args.checkpoints)
    cut = sum(image.windows.is_cut for image in images)
    say(f"predicted {len(images)} images, {cut} of them larger than a tile, with {len(ensemble)} networks")


def folder_of_blocks(folder: Path, settings: PredictImagesSettings) -> Path:
    """That of just this prediction; those of others, which nothing will read again, go."""
    prediction = settings.model_dump_json(exclude={"threshold"})
    own = folder / hashlib.sha256(prediction.encode()).hexdigest()[:16]
    own.mkdir(parents=True, exist_ok=True)
    for other in folder.iterdir():
        if other != own:
            shutil.rmtree(other)
    return own


def write(args: argparse.Namespace, windows: Windows, blocks: Blocks, threshold: float) -> None:
    """Write all that is made of the probabilities, an image at a time."""
    with (
        atomic_folder(args.masks) as masks,
        atomic_folder(args.probabilities) as folder,
        atomic_path(args.table) as table,
        table.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", "rle_mask"])
        for number, image in enumerate(windows.images):
            probabilities = blended(image, blocks.read(windows.of(number)))
            mask = np.uint8(255) * (probabilities > threshold * ONE)
            write_png(folder / f"{image.name}.png", probabilities)
            write_png(masks / f"{image.name}.png", mask)
            writer.writerow([image.name, rle.encode(mask)])


def blended(image: Image, predictions: Iterable[npt.NDArray[np.float32]]) -> npt.NDArray[np.uint16]:
    """The image's probabilities (H, W), 65535 = 1, from those of its windows."""
    probabilities, column = np.empty(image.windows.shape, np.uint16), 0
    for strip in image.windows.blend(predictions):
        probabilities[:, column : column + strip.shape[1]] = in_16_bits(strip)
        column += strip.shape[1]
    return probabilities


def write_png(path: Path, pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]) -> None:
    """Write (H, W) numbers as grey. Not by OpenCV itself, which tells nobody of a full disk."""
    _, png = cv2.imencode(".png", pixels)
    path.write_bytes(png.data)


if __name__ == "__main__":
    program.run(main)
