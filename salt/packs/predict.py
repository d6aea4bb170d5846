"""Predict images with a pack, on a machine without its run: `make predict PACK=demo.pack.zip IMAGES=path/to/images`.

The pack is unpacked to results/<its name>/, once. The program of the rule predict_images then predicts as in a run: it
leases a GPU, and resumes after a kill.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import NoReturn

from salt.inference.input_images import find_images
from salt.intake import sources
from salt.packs.archive import Pack
from salt.runtime import program, provenance
from salt.runtime.paths import PredictionFiles, Run
from salt.workflow.predict_images import folder_name, must_not_replace_others
from schemas.config import Compute
from schemas.errors import UserError
from schemas.reading import read_settings
from schemas.results import PredictImagesSettings

USAGE = "Type `make predict PACK=path/to/demo.pack.zip IMAGES=path/to/images`."


def main(argv: list[str] | None = None) -> None:
    """Unpack, and become the program that predicts, unless everything is predicted already."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pack", required=True, help="file that `make pack` wrote")
    parser.add_argument("--images", required=True, help="an image or a folder of images")
    parser.add_argument(
        "--compute", default="{}", help="JSON of schemas.config.Compute; default: a GPU if there is one"
    )
    args = parser.parse_args(argv)
    for name, given in (("PACK", args.pack), ("IMAGES", args.images)):
        if not given:
            raise UserError(f"{name}: expected a path, found nothing. {USAGE}")
    images, compute = Path(args.images), read_settings(Compute, args.compute)
    pack = Pack(Path(args.pack))
    run = Run(pack.unpack().folder)
    settings = settings_of(pack, images)
    outputs = run.prediction(folder_name(str(images)))
    must_not_replace_others(outputs.masks, images)
    if is_done(outputs, settings):
        print(f"{outputs.folder} holds the predictions of {images} by this pack already.")
        return
    print(f"{pack.path} lies in {run.folder}; its masks, probabilities and table go to {outputs.folder}")
    command: list[object] = [sys.executable, "-m", "stages.predict_images", "--settings", settings.model_dump_json()]
    command += ["--compute", compute.model_dump_json(), "--run", run.folder, "--checkpoints", outputs.checkpoints]
    command += ["--masks", outputs.masks, "--probabilities", outputs.probabilities, "--table", outputs.table]
    become([str(part) for part in command], run.log("predict_images", outputs.folder.name))


def become(command: list[str], log: Path) -> NoReturn:
    """Become another program, whose output goes to its log; the terminal keeps its progress and its errors."""
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666), 1)
    os.environ["PROGRESS_TO"] = "2"
    os.execv(command[0], command)  # noqa: S606 (no shell; a program of this project)


def settings_of(pack: Pack, images: Path) -> PredictImagesSettings:
    """The settings of the prediction of images. Raises UserError if there are no images."""
    return PredictImagesSettings(
        **pack.manifest.prediction.model_dump(),
        images=str(images),
        pictures=sources.fingerprint(find_images(images)),
        weights=pack.digest,
    )


def is_done(outputs: PredictionFiles, settings: PredictImagesSettings) -> bool:
    """Whether all outputs are there, made with these settings."""
    recorded = provenance.read(outputs.masks).get("settings")
    return recorded == json.loads(settings.model_dump_json()) and all(path.exists() for path in outputs.all)


if __name__ == "__main__":
    program.run(main)
