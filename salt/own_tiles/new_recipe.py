"""Write a recipe for a folder of images: `make new-recipe NAME=mine DATA=path/to/data`.

With a GPU, its models are those of the winning recipe, else the small ones of recipes/tgs_sample.yaml; both start from
pretrained encoders. Settings that depend on the tiles are fitted to them: inputs, size classes of pseudo-labels, folds.
"""

import argparse
import copy
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from salt.own_tiles.inspection import Findings, inspect
from salt.runtime import program
from salt.runtime.atomic import atomic_path
from salt.runtime.paths import REPOSITORY
from schemas.base import COMPETITION, Shape
from schemas.config import Config
from schemas.errors import UserError
from schemas.networks import Input
from schemas.phases import Phase
from schemas.reading import check_config
from schemas.results import SizeClass
from schemas.training import Model

WINNING, SMALL = REPOSITORY / "workflow_config.yaml", REPOSITORY / "recipes" / "tgs_sample.yaml"
TILES = {True: (4000, 18_000), False: (3200, 2000)}  # labelled and others, in the recipes with and without GPU
FEW = 200  # unlabelled tiles: below that, all become pseudo-labels
SMALLEST = 16  # px, side of an input
PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")

Overlay = dict[str, Any]


def main(argv: list[str] | None = None) -> None:
    """Inspect the data, write the recipe, and print how to run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="of the recipe, and of the folder of its results")
    parser.add_argument("--data", required=True, help="folder with the images")
    parser.add_argument("--recipes", type=Path, default=Path("recipes"), help="folder to write the recipe to")
    args = parser.parse_args(argv)
    recipe = args.recipes / f"{args.name}.yaml"
    check_arguments(args.name, args.data, recipe)
    found, gpu = inspect(Path(args.data)), has_gpu()
    overlay = overlay_for(args.name, found, gpu)
    command = f"snakemake --cores {1 if gpu else 2} --resources gpu=1 --configfile {recipe}"
    with atomic_path(recipe) as path:
        path.write_text(f"{header(found, gpu, command)}\n{as_yaml(overlay)}", encoding="utf-8")
    print("\n".join([*found.lines, "", f"Wrote {recipe}. Review it, then run", f"    {command}"]))


def check_arguments(name: str, data: str, recipe: Path) -> None:
    """Raises UserError for a name that is invalid or taken, and for a data folder that does not exist."""
    usage = "Type `make new-recipe NAME=mine DATA=path/to/data`."
    if not PLAIN.fullmatch(name):
        raise UserError(f"NAME: expected letters, digits, _ and -, the first a letter, found {name!r}. {usage}")
    if not data or not Path(data).is_dir():
        raise UserError(f"DATA: expected a folder with images, found {data!r}, which is not a folder. {usage}")
    for taken in (recipe, Path("results") / name):
        if taken.exists():
            raise UserError(
                f"NAME: expected an unused name, found that {taken} exists. Choose another name, or move that."
            )


def has_gpu() -> bool:
    """Whether torch sees a GPU."""
    import torch  # imported here: it takes seconds

    return torch.cuda.is_available()


# The overlay ------------------------------------------------------------------------------------------------------


def overlay_for(name: str, found: Findings, gpu: bool) -> Overlay:
    """The differences from workflow_config.yaml, checked together with it. Raises UserError."""
    winning = yaml.safe_load(WINNING.read_text(encoding="utf-8"))
    overlay = {} if gpu else yaml.safe_load(SMALL.read_text(encoding="utf-8"))
    config = check_config(merged(winning, overlay))
    steps, competition = config.submission.postprocess, found.data.layout == "competition"
    fitted = {
        "pathvars": {"results": f"results/{name}"},
        "data": found.data.model_dump(mode="json", exclude_defaults=True),
        "folds": {
            "count": max(2, min(config.folds.count, found.usable(found.train) // 4)),
            "by": "depth" if found.has_depths else "coverage",
        },
        "models": {key: model_for(model, found, gpu) for key, model in config.models.items()},
        "pseudo_labels": pseudo_labels_for(config, found, gpu),
        "submission": {"postprocess": (steps if competition else steps.tilewise).model_dump(mode="json")},
    }
    complete = merged(overlay, fitted)
    check_config(merged(winning, complete))
    return complete


def merged(base: Any, overlay: Any) -> Any:
    """Merge as Snakemake merges overlays: mappings recursively, other values replaced."""
    if not (isinstance(base, Mapping) and isinstance(overlay, Mapping)):
        return copy.deepcopy(overlay)
    return dict(base) | {key: merged(base.get(key), value) for key, value in overlay.items()}


def model_for(model: Model, found: Findings, gpu: bool) -> Overlay:
    """The differences of a model: its input and, for few tiles, the passes per epoch and batches."""
    overlay: Overlay = {"input": input_for(model, found.tile, may_shrink=not gpu)}
    labelled, others = (of / len(tiles) for of, tiles in zip(TILES[gpu], (found.train, found.test), strict=True))
    if labelled > 1:
        overlay["phases"] = phases_for(model.phases, labelled, found.usable(found.train) // 2)
    if model.pretrain and others > 1:
        overlay["pretrain"] = {"phases": phases_for(model.pretrain.phases, others, found.usable(found.test))}
    return overlay


def phases_for(phases: Sequence[Phase], times: float, tiles: int) -> list[Overlay]:
    """The phases for a smaller data set, with as many steps per epoch as the original phases.

    times: how many times smaller the data set is, so how many times more passes an epoch makes
    tiles: the fewest tiles that a training gets, an upper limit of the batch
    """
    return [
        phase.model_dump(mode="json", exclude_defaults=True)
        | {
            "batch": (batch := max(2, min(phase.batch, tiles))),
            "passes_per_epoch": max(1, round(phase.passes_per_epoch * times * batch / phase.batch)),
        }
        for phase in phases
    ]


def input_for(model: Model, tile: Shape, may_shrink: bool) -> Overlay:
    """The model's input for tiles of another size than the competition's.

    If the model resizes, the longer side of a tile gets the length that the model gives the competition's tiles; a
    longer side keeps its length unless it may shrink. A side that is no multiple of the network's stride is then padded
    to one, or resized to one if the model does not pad.
    """
    given, stride = model.input, model.network.stride
    if tile == COMPETITION:
        return given.model_dump(mode="json", exclude_defaults=True)
    longest = max(tile)
    wanted = longest if given.resize is None else max(given.resize[0], 0 if may_shrink else longest)
    sides = _as_shape(max(SMALLEST, round(side * wanted / longest)) for side in tile)
    whole = _as_shape(-(-side // stride) * stride for side in sides)
    if given.pad is None:
        sides = whole
    fitted = Input(
        resize=None if sides == tile else sides, pad=None if whole == sides else whole, channels=given.channels
    )
    reflected = fitted.model_copy(update={"pad_mode": given.pad_mode})
    fits = fitted if reflected.misfit(tile) else reflected
    unset = [key for key in ("resize", "pad") if getattr(given, key) and not getattr(fits, key)]
    return dict.fromkeys(unset) | fits.model_dump(mode="json", exclude_defaults=True)


def pseudo_labels_for(config: Config, found: Findings, gpu: bool) -> Overlay:
    """All tiles if they are few, since rounds end without confident tiles; else the scaled classes of mask sizes."""
    if len(found.test) < FEW:
        return {name: {"min_confidence": 0, "per_fold": None} for name in config.pseudo_labels}
    share = min(1.0, len(found.test) / TILES[gpu][1])
    return {
        name: {"per_fold": size_classes(labels.per_fold, found.tile, share)}
        for name, labels in config.pseudo_labels.items()
        if labels.per_fold
    }


def size_classes(sizes: Sequence[SizeClass], tile: Shape, share: float) -> list[Overlay]:
    """Classes of mask sizes scaled to the area of a tile, with one count for all folds: the first fold's.

    share: of the original number of tiles, scales counts
    """
    area = tile[0] * tile[1] / (COMPETITION[0] * COMPETITION[1])
    classes, last = [], -1
    for size in sizes:
        low, high = (round(pixels * area) for pixels in size.pixels)
        low = max(low, last + 1)
        last = max(high, low)
        scaled = {"pixels": [low, last], "count": max(1, round(size.asked([0]) * share))}
        classes.append(size.model_dump(mode="json", exclude_defaults=True) | scaled)
    return classes


def _as_shape(sides: Any) -> Shape:
    height, width = sides
    return height, width


# Text -------------------------------------------------------------------------------------------------------------


def header(found: Findings, gpu: bool, command: str) -> str:
    """The comments at the top of the recipe: its purpose and the findings."""
    models = (
        "The models are those of workflow_config.yaml: torch sees a GPU here."
        if gpu
        else "The models are the small pretrained ones of recipes/tgs_sample.yaml: torch sees no GPU here."
    )
    lines = [
        f"Purpose:  the images in {found.data.root}: {len(found.train)} labelled tiles, {len(found.test)} others.",
        f"Machine:  {'one GPU' if gpu else '2 CPU cores'}.",
        f"Command:  {command}",
        "Time:     `snakemake -n` with the same options estimates it, once a first training is done",
        "Score:    not run yet",
        "Overlays workflow_config.yaml; docs/configuration.md explains every key. Found by `make new-recipe`:",
        *(f"  {line}" for line in found.lines),
        models,
        "If tiles are few, an epoch passes over them many times, so that trainings take their usual number of steps.",
        "Add recipes/rehearsal.yaml to find out first whether pseudo-labels pay on these tiles: docs/rounds.md.",
    ]
    if len(found.test) < FEW:
        lines.append(f"With fewer than {FEW} unlabelled tiles, all of them become pseudo-labels, confident or not.")
    return "\n".join(f"# {line}" for line in lines) + "\n"


class _Plain(yaml.SafeDumper):
    """Writes repeated values in full, without aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def as_yaml(overlay: Overlay) -> str:
    """The overlay as YAML: a blank line between sections, innermost lists and mappings on one line."""
    parts = ({key: value} for key, value in overlay.items())
    return "\n".join(
        yaml.dump(part, Dumper=_Plain, sort_keys=False, default_flow_style=None, width=120) for part in parts
    )


if __name__ == "__main__":
    program.run(main)
