"""The models that are measured: one for each network of the winning recipe, and the demo's."""

import argparse
import os

import torch
import yaml

from salt.runtime.paths import REPOSITORY
from schemas.config import Compute
from schemas.training import Model, TrainSettings

RECIPE = REPOSITORY / "workflow_config.yaml"
DEMO = REPOSITORY / "recipes" / "demo.yaml"
MODELS = {
    "stage1_resnet34": RECIPE,
    "stage2_resnet34": RECIPE,
    "stage3_pad128": RECIPE,
    "stage3_resize128": RECIPE,
    "stage2_resnext50": RECIPE,
    "stage2_lite": DEMO,
}


def read(name: str) -> Model:
    """A model of MODELS, with its augmentation, input, batch, and last phase's loss and optimizer."""
    return Model.model_validate(yaml.safe_load(MODELS[name].read_text(encoding="utf-8"))["models"][name])


def settings(model: Model, batch: int | None = None) -> TrainSettings:
    """The settings of a training of the model's last phase alone. batch: instead of its own."""
    phase = model.phases[-1]
    phase = phase if batch is None else phase.model_copy(update={"batch": batch})
    return TrainSettings(
        seed=13, network=model.network, input=model.input, augment=model.augment, mix=model.mix, phases=(phase,)
    )


def final_blend() -> list[str]:
    """The models of the recipe's final blend."""
    return list(yaml.safe_load(RECIPE.read_text(encoding="utf-8"))["ensembles"]["final"])


def compute(args: argparse.Namespace) -> Compute:
    """How a program uses the machine: by default the recipe's values on a GPU, and all cores of a CPU in torch.

    args: of `measure.add_options`
    """
    where = args.device if args.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    given = yaml.safe_load(RECIPE.read_text(encoding="utf-8"))["compute"] | {"device": where}
    if where == "cpu":
        given |= {"threads": len(os.sched_getaffinity(0)), "loader_workers": 0}
    chosen = {"threads": args.threads, "loader_workers": args.workers, "deterministic": args.deterministic}
    return Compute(**given | {name: value for name, value in chosen.items() if value is not None})
