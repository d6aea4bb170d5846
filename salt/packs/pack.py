"""Pack a finished run into one file for other machines and people: `make pack RUN=demo`, smaller with HALF=1."""

import argparse
import shutil
import tempfile
from pathlib import Path

from salt.inference.finished_run import FinishedRun
from salt.packs import archive, contents, half_precision, model_card
from salt.runtime import program, provenance
from salt.runtime.paths import PackFiles, Run
from schemas.packs import Manifest
from schemas.results import TrainedEnsemble


def main(argv: list[str] | None = None) -> None:
    """Write the pack, and print where it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder of the finished run")
    parser.add_argument("--half", action="store_true", help="float16 kernels; measures what that changes")
    parser.add_argument("--out", type=Path, help="file to write; default: in the run's folder, with its name")
    args = parser.parse_args(argv)
    run = contents.finished(args.run, f"To pack {args.run}")
    out = args.out or run.files.pack(args.half)
    write(run, out, args.half)
    print(f"Wrote {out}, {out.stat().st_size / 1e6:.1f} MB, {len(run.snapshots())} networks. Wherever this program is:")
    print(f"    make predict PACK={out} IMAGES=path/to/images")


def write(run: FinishedRun, out: Path, half: bool) -> None:
    """Write the pack of a run. Raises UserError if the run has not finished."""
    ensemble = TrainedEnsemble.model_validate(run.settings())
    found = contents.files(run)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".pack-") as temporary:
        made = Path(temporary)
        loss = _halve(run, ensemble, found, made) if half else None
        card = PackFiles(made).card
        card.write_text(model_card.text(run, ensemble, out, loss), encoding="utf-8")
        found[card.name] = card
        manifest = Manifest(
            run=run.files.folder.resolve().name,
            ensemble=run.config.submission.ensemble,
            precision="float16" if half else "float32",
            prediction=ensemble,
            files={name: provenance.sha256(path) for name, path in found.items()},
        )
        archive.write(out, manifest, found)


def _halve(run: FinishedRun, ensemble: TrainedEnsemble, found: dict[str, Path], made: Path) -> half_precision.Loss:
    """Replace the weights among the found files by those of half precision, made in a folder; what that changes."""
    weights = run.snapshots()
    for name, path in found.items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        if path in weights:
            half_precision.convert(path, made / name)
            found[name] = made / name
        else:
            shutil.copy(path, made / name)  # members.json, which tells what predicts
    compute = run.config.compute.model_copy(update={"device": "cpu"})  # the same digits on every machine
    tiles = contents.sample_of_tiles(run, half_precision.TILES)
    return half_precision.measured(ensemble, tiles, run.files, Run(made), compute)


if __name__ == "__main__":
    program.run(main)
