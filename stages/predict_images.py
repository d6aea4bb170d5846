"""Predict other images of any size with a trained run: a mask and the probabilities of each."""

from salt.runtime import gpu_lease, program

if __name__ == "__main__":
    gpu_lease.start_program()  # before torch is imported, which then sees one GPU

import argparse
import shutil
from pathlib import Path

from salt.inference.image_predictions import write_predictions
from salt.inference.input_images import find_images, open_images
from salt.inference.trained_run import Ensemble
from salt.inference.window_blocks import Blocks, Windows
from salt.runtime import device, provenance
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
    parser.add_argument("--checkpoints", type=Path, required=True, help="folder to resume from, deleted at the end")
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
    ensemble = Ensemble(settings.models, settings.folds, settings.tile, Run(args.run), compute)
    where = device.describe(ensemble.device, ensemble.dtype)
    say(f"{len(images)} images, {len(Windows(images))} windows, {len(ensemble)} networks, on {where}")
    blocks = Blocks.of(args.checkpoints, settings, ensemble.device.type)
    with device.faults_of_the_machine():
        blocks.predict(Windows(images), ensemble)
    write_predictions(images, blocks, settings.postprocess, args.masks, args.probabilities, args.table)
    provenance.write(
        [args.masks, args.probabilities, args.table],
        args.settings,
        {"images": find_images(Path(settings.images)), "weights": ensemble.files},
        device=where,
        threads=compute.threads,
    )
    shutil.rmtree(args.checkpoints)
    cut = sum(image.windows.is_cut for image in images)
    say(f"predicted {len(images)} images, {cut} of them larger than a tile, with {len(ensemble)} networks")


if __name__ == "__main__":
    program.finish(main)
