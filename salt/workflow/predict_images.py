"""Apply a trained run to other images: the settings of the prediction, checked while the Snakefile is read.

The weights are not inputs of the job, or Snakemake could retrain them; a prediction must train nothing. A digest of
them is part of the job's settings.
"""

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from salt.inference.finished_run import FinishedRun
from salt.intake import sources
from salt.runtime import provenance
from salt.runtime.paths import PredictionFiles, Run
from schemas.config import Config
from schemas.errors import UserError


def folder_name(images: str) -> str:
    """The name of the folder of predictions: that of the images, without characters special to Snakemake or a shell."""
    path = Path(os.path.abspath(images))
    return re.sub(r"[^\w.-]", "_", path.name if path.is_dir() else path.stem)


def files(config: Config) -> PredictionFiles:
    """The files of a prediction."""
    return Run.of(config).prediction(folder_name(config.predict or ""))


def summary(config: Config) -> str:
    """The text shown at the end: the number of images, and where their predictions are."""
    outputs = files(config)
    if not outputs.table.exists():  # something else was requested
        return ""
    images = len(outputs.table.read_text(encoding="utf-8").splitlines()) - 1
    return (
        f"{images} images are predicted\n"
        f"masks          {outputs.masks} (PNG, 255 is salt), and as run lengths in {outputs.table}\n"
        f"probabilities  {outputs.probabilities} (16-bit PNG, 65535 is 1)"
    )


def settings(config: Config) -> dict[str, Any]:
    """The settings of predict_images.

    Raises UserError if there are no images; if the run is not trained, was trained with other settings or needs
    depths; or if predictions of other images would be replaced.
    """
    from salt.inference.input_images import find_images  # here: a run without predictions needs no image libraries

    images = Path(config.predict or "")
    found = find_images(images)
    must_not_replace_others(files(config).masks, images)
    run = FinishedRun(config, f"To predict {config.predict}", "type the same command without `predict`")
    of_the_run = run.settings()
    pictures = sources.fingerprint(found)
    return {"images": str(images), "pictures": pictures, **of_the_run, "weights": _digest(run.snapshots())}


def _digest(weights: Mapping[Path, float]) -> str:
    """Digest of the files of weights, with the method used for images, and of their weights in the means."""
    text = f"{sources.fingerprint(list(weights))} {list(weights.values())}"
    return hashlib.sha256(text.encode()).hexdigest()


def must_not_replace_others(masks: Path, images: Path) -> None:
    """Raises UserError if the masks are of images from elsewhere, with the same name."""
    others = provenance.read(masks).get("settings", {}).get("images")
    if others and os.path.abspath(others) != os.path.abspath(images):
        raise UserError(
            f"Expected to write the predictions of {images} to {masks.parent}, found there those of {others}, which "
            "has the same name. Move them elsewhere, or rename the images' folder; then type the same command again."
        )
