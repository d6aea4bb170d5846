"""The provenance of results: a small JSON file beside each, such as `submission.csv.provenance.json`.

It is not an output of a rule: it holds a commit and times, which must not change a result or rerun a job. It holds the
digests of all outputs of its program, by paths relative to its own folder, so that a run can be moved and verified.
"""

import contextlib
import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from salt.runtime.atomic import atomic_path
from salt.runtime.paths import REPOSITORY, Run
from schemas import rounds
from schemas.config import Config
from schemas.errors import UserError

CODE = (
    "Snakefile",
    "stages",
    "salt",
    "models",
    "schemas",
    "report",
)  # below REPOSITORY; an edited config does not count as edited code
MODULES = ("torch", "segmentation_models_pytorch", "timm", "albumentations", "cv2", "numpy", "pandas")
UNKNOWN = "unknown"
SUFFIX = ".provenance.json"
SEAL = "record_sha256"  # the key of a record's own digest

Record = dict[str, Any]


def write(
    outputs: Path | Sequence[Path | None],
    settings: Any,
    inputs: Mapping[str, Path | Sequence[Path] | None],
    *,
    name: Path | None = None,
    **facts: str | int,
) -> None:
    """Write the provenance of a program's outputs, files and folders, beside the first. To be called last.

    settings: the program's settings, as JSON; inputs: the files and folders that it read, by option
    name: the path beside which it is written, if it is not the first output
    facts: anything else that the result depends on: device, threads, seed, the source of a download
    The price: all outputs are read once, at 0.3 to 2 GB/s.
    """
    paths = {option: [given] if isinstance(given, Path) else given or [] for option, given in inputs.items()}
    made = [outputs] if isinstance(outputs, Path) else [output for output in outputs if output]
    target = path_of(name or made[0])
    record = origin() | {
        "ended": now(),
        "versions": versions(),
        **facts,
        "settings": json.loads(settings) if isinstance(settings, str) else settings,
        "inputs": {option: {str(path): sha256(path) for path in read} for option, read in paths.items() if read},
        "outputs": {
            file.relative_to(target.parent).as_posix(): {"sha256": sha256(file), "bytes": file.stat().st_size}
            for output in made
            for file in files_of(output)
        },
    }
    with atomic_path(target) as path:
        path.write_text(json.dumps(record | {SEAL: _seal(record)}, indent=1) + "\n", encoding="utf-8")


def read(output: Path) -> Record:
    """The provenance of a program's first output; if it is missing, a record of unknown code.

    Raises UserError if it is damaged.
    """
    try:
        return load(path_of(output))
    except FileNotFoundError:
        return {"commit": UNKNOWN, "changed": None, "versions": {}}


def load(path: Path) -> Record:
    """The content of a file of provenance. Raises UserError if it is damaged, FileNotFoundError if there is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("no record")
        seal = found.pop(SEAL, None)
        if (seal or "outputs" in found) and seal != _seal(found):  # older records have neither
            raise ValueError("it has changed")
    except ValueError as error:
        raise UserError(
            f"{path}: expected the record that a program leaves beside its results, found a damaged one ({error}). "
            f"Delete {path.name.removesuffix(SUFFIX)} beside it and type the command of the run again, which makes "
            "both; or delete this file alone, and where these results come from stays unknown."
        ) from None
    return found


def recorded_bytes(file: Path) -> int | None:
    """The size of an output when its program recorded it; None if no record tells. A damaged record tells nothing."""
    for folder in [*file.parents][:3]:  # a file may lie in a folder of outputs, and in a folder of that
        for path in folder.glob(f"*{SUFFIX}"):
            with contextlib.suppress(UserError, FileNotFoundError):
                if found := load(path).get("outputs", {}).get(file.relative_to(folder).as_posix()):
                    return int(found["bytes"])
    return None


def files_of(output: Path) -> Iterator[Path]:
    """An output that is a file, or the files of one that is a folder, without hidden ones; none if there is nothing."""
    for path in sorted(output.rglob("*")) if output.is_dir() else [output]:
        if path.is_file() and not path.name.startswith("."):
            yield path


def path_of(output: Path) -> Path:
    """The file that holds the provenance of an output."""
    return output.with_name(f"{output.name}{SUFFIX}")


def results(config: Config, run: Run) -> dict[str, list[Path]]:
    """The first output of every program that contributes to a run's report, by stage."""
    encoders = {model.network.pretrained.slug for model in config.models.values() if model.network.pretrained}
    folds = [run.fold(name, fold) for name in config.models for fold in range(config.folds.count)]
    shards = config.compute.shards
    survey = {"make_survey": [Path(config.data.root)]} if config.survey else {}
    return survey | {
        "fetch_weights": [run.encoder(slug) for slug in sorted(encoders)],
        "prepare_tiles": [run.tiles.folder],
        "assemble_mosaics": [run.mosaics],
        "make_folds": [run.folds],
        "make_pseudo_labels": [
            run.pseudo_labels(name, scope).masks
            for name, labels in config.pseudo_labels.items()
            for scope in labels.folders(config.folds.count)
        ],
        "pretrain": [
            run.pretraining(name, scope).weights
            for name in config.models
            for scope in rounds.pretrainings(config, name)
        ],
        "train_fold": [fold.snapshots for fold in folds],
        "predict_fold": [fold.held_out for fold in folds],
        "predict_shard": [path for fold in folds for path in fold.tests(shards)] if shards > 1 else [],
        "blend": [run.ensemble(name).out_of_fold for name in (*config.models, *config.ensembles)],
        "score": [run.scores],
        "score_pseudo_labels": [run.pseudo_label_scores] if config.scores_pseudo_labels else [],
        "postprocess": [run.masks],
        "write_submission": [run.submission],
    }


@cache
def origin() -> Record:
    """The program, the commit of its code and its start, UTC.

    Determined when a program starts, then cached: somebody may check out other code during a long training.
    """
    commit, changed = code(REPOSITORY)
    return {"program": Path(sys.argv[0]).stem, "commit": commit, "changed": changed, "started": now()}


def code(root: Path) -> tuple[str, bool | None]:
    """The commit checked out in a folder, and whether its code was edited since; unknown if git fails.

    git fails outside a checkout, and if the folder belongs to another user.
    """
    command = ("git", "--no-optional-locks", "status", "--porcelain=v2", "--branch", "--no-ahead-behind", "--", *CODE)
    # git must not look further up: a copy of the code inside another repository would get that one's commit.
    environment = os.environ | {"GIT_CEILING_DIRECTORIES": str(root.resolve().parent)}
    try:
        done = subprocess.run(  # noqa: S603 (fixed words)
            command, cwd=root, env=environment, capture_output=True, text=True, timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return UNKNOWN, None
    commit, *others = done.stdout.splitlines()
    return commit.removeprefix("# branch.oid "), any(not line.startswith("#") for line in others)


def versions() -> dict[str, str]:
    """Versions of Python, of Snakemake, and of those of MODULES that this program has imported."""
    imported = {name: str(sys.modules[name].__version__) for name in MODULES if name in sys.modules}
    return {"python": platform.python_version(), "snakemake": metadata.version("snakemake")} | imported


def sha256(path: Path) -> str:
    """Digest of a file; for a folder, the one that `sha256sum * | sha256sum` prints in it."""
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if not file.name.startswith("."))
        lines = "".join(f"{sha256(file)}  {file.name}\n" for file in files)
        return hashlib.sha256(lines.encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _seal(record: Record) -> str:
    """Digest of a record, the same before it is written and after it is read."""
    return hashlib.sha256(json.dumps(json.loads(json.dumps(record))).encode()).hexdigest()


def now() -> str:
    """The time, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
