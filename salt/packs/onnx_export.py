"""Networks for other programs: `make onnx RUN=demo MODEL=stage3_lite FOLD=0`, one ONNX file a snapshot.

A file holds everything between the bytes of tiles and their probabilities: resizing, padding, channels, normalisation,
and the way back. It is kept only if ONNX Runtime gives what torch gives, on tiles of the run.
"""

import argparse
import importlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from models.registry import create_network
from salt.data.network_input import Geometry
from salt.inference.finished_run import FinishedRun
from salt.inference.predictor import Predictor
from salt.inference.snapshots import Member, read_members
from salt.inference.weight_files import load_weights
from salt.packs import contents
from salt.runtime import program, provenance
from salt.runtime.atomic import atomic_path
from schemas.base import Shape
from schemas.errors import UserError
from schemas.results import EnsembleMember, TrainedEnsemble
from schemas.words import one_of

MOST = 1e-4  # difference of probabilities between torch and ONNX Runtime
TILES = 8  # that are compared
PACKAGES = ("onnxscript", "onnxruntime")  # the extra `onnx` of pyproject.toml
CHATTY = ("onnxscript", "onnx_ir")  # loggers that tell of each node
INPUT, OUTPUT = "tiles", "probabilities"

Bytes = npt.NDArray[np.uint8]


class FromBytes(nn.Module):
    """A network and its geometry: tiles (n, H, W) or (n, H, W, 3) uint8 -> probabilities (n, H, W) float32.

    Constant tiles get 0. The mean with the mirror image is left to the caller: mirror the tile, then the output.
    """

    def __init__(self, network: nn.Module, geometry: Geometry) -> None:
        super().__init__()
        self.network, self.geometry = network, geometry

    def forward(self, tiles: Tensor) -> Tensor:
        """Probabilities of tiles."""
        unknown = torch.zeros(tiles.shape[0])  # depths, which no such network reads
        found = self.geometry.probabilities(self.network(self.geometry.images(tiles, unknown))["mask"])
        return found * (tiles != tiles[:, :1, :1]).flatten(1).any(1).view(-1, 1, 1)


def main(argv: list[str] | None = None) -> None:
    """Export the snapshots of one fold, and print where they are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder of the finished run")
    parser.add_argument("--model", required=True, help="name of the model")
    parser.add_argument("--fold", type=int, default=0, help="number of the fold, from 0")
    parser.add_argument("--snapshot", default="", help="name of the snapshot; default: all that predict")
    args = parser.parse_args(argv)
    must_have_packages()
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.ERROR)
    run = run_of(args.run, args.model)
    tiles = contents.sample_of_tiles(run, TILES)
    ensemble = TrainedEnsemble.model_validate(run.settings())
    for member in members_of(run, args.model, args.fold, args.snapshot):
        weights = run.files.fold(args.model, args.fold).snapshots / member.file
        out = run.files.exported(args.model, args.fold, weights.stem)
        most = export(weights, ensemble.models[args.model], ensemble.tile, tiles, out)
        print(f"Wrote {out}. On {len(tiles)} tiles, no probability differs from torch's by more than {most:.2g}.")


def run_of(folder: Path, model: str) -> FinishedRun:
    """The run, as if it had submitted this model alone. Raises UserError if there is none of that name."""
    purpose = f"To export {model or 'a model'} of {folder}"
    config = contents.config_of(folder, purpose)
    if model not in config.models:
        raise UserError(f"{purpose}, expected MODEL to be {one_of(config.models)}, found {model or 'nothing'}.")
    alone = config.submission.model_copy(update={"ensemble": model})
    return FinishedRun(config.model_copy(update={"submission": alone}), purpose, contents.UPDATE)


def members_of(run: FinishedRun, model: str, fold: int, snapshot: str) -> list[Member]:
    """The snapshots to export. Raises UserError if there is no such fold or snapshot."""
    run.snapshots()
    if fold not in range(folds := run.config.folds.count):
        raise UserError(f"{run.purpose}, expected FOLD to be from 0 to {folds - 1}, found {fold}.")
    members = {Path(member.file).stem: member for member in read_members(run.files.fold(model, fold).members)}
    if snapshot and snapshot not in members:
        raise UserError(f"{run.purpose}, expected SNAPSHOT to be {one_of(members)}, found {snapshot}.")
    return [members[snapshot]] if snapshot else list(members.values())


def export(weights: Path, member: EnsembleMember, tile: Shape, tiles: Bytes, out: Path) -> float:
    """Write a network as ONNX; the largest difference of its probabilities from torch's.

    tiles: (n, H, W) or (n, H, W, 3) of the run. Raises UserError if the difference is more than MOST.
    """
    network = create_network(member.network, member.input.channel_count).eval()
    load_weights(network, weights)
    geometry = Geometry(member.input, tile)
    exported = torch.onnx.export(
        FromBytes(network, geometry).eval(),
        (torch.from_numpy(tiles[:1].repeat(2, axis=0)),),  # of one tile, the export would take 1 as fixed
        dynamo=True,
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_shapes={INPUT: {0: torch.export.Dim("n")}},
        verbose=False,
    )
    if exported is None:
        raise RuntimeError("torch.onnx.export with dynamo=True returns a program")
    exported.model.metadata_props.update(_about(weights, member))
    depths = np.zeros(len(tiles), np.float32)
    expected = Predictor([network], [1], geometry, torch.device("cpu")).predict(tiles, depths).plain
    with atomic_path(out) as path:
        exported.save(path, external_data=False)
        most = max(_difference(path, tiles, expected), _difference(path, tiles[:1], expected[:1]))
        must_agree(weights, most)
    return most


def must_agree(weights: Path, difference: float) -> None:
    """Raises UserError if the largest difference of probabilities is more than MOST, or no number."""
    if not difference <= MOST:
        raise UserError(
            f"Expected ONNX Runtime to give the probabilities of {weights} within {MOST:g} of torch's, found a "
            f"difference of {difference:.2g}. This network cannot be exported; predict with `make predict`."
        )


def _about(weights: Path, member: EnsembleMember) -> Mapping[str, str]:
    """What the file says of itself."""
    return {
        "weights": weights.name,
        "weights_sha256": provenance.sha256(weights),
        INPUT: "uint8 (n, height, width), or (n, height, width, 3) red, green, blue; grey values as the run read them",
        OUTPUT: "float32 (n, height, width), of the tile alone; the run averages them with those of its mirror image",
        "stretch": member.stretch.model_dump_json(),  # that the run applies to the mean of all networks of the model
    }


def _difference(path: Path, tiles: Bytes, expected: npt.NDArray[np.float32]) -> float:
    """The largest difference of a file's probabilities from others."""
    runtime: Any = importlib.import_module("onnxruntime")
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (found,) = session.run([OUTPUT], {INPUT: tiles})
    return float(np.abs(found - expected).max())


def must_have_packages() -> None:
    """Raises UserError if a package is missing."""
    for name in PACKAGES:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise UserError(
                f"To export to ONNX, expected the packages {' and '.join(PACKAGES)}, found no {name} ({error}). Type "
                "`.venv/bin/pip install onnxscript onnxruntime`; no runtime is published for Python 3.15 and newer."
            ) from None


if __name__ == "__main__":
    program.run(main)
