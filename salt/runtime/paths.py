"""The paths of a run: the one module that spells its file names. results/README.md describes their contents.

Names may be Snakemake wildcards: `Run("results/tgs").fold("{model}", "{fold}").history`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from schemas.config import Config

REPOSITORY = Path(__file__).parents[2]
LOCK = Path(".snakemake", "run.lock")  # held while a run works in a folder


@dataclass(frozen=True)
class TileFiles:
    """The packed tiles of a run, in a folder of their own; split: "train" or "test"."""

    folder: Path

    @property
    def table(self) -> Path:
        """One row per tile, of both splits."""
        return self.folder / "tiles.csv"

    @property
    def masks(self) -> Path:
        """Masks of the labelled tiles."""
        return self.folder / "train_masks.npy"

    def images(self, split: str) -> Path:
        """Images of a split."""
        return self.folder / f"{split}_images.npy"

    @property
    def all(self) -> list[Path]:
        """Every file."""
        return [self.table, self.images("train"), self.masks, self.images("test")]


@dataclass(frozen=True)
class TrainingFiles:
    """The files of a training.

    folder: of its results; checkpoints: folder while it is not done; timing: what it took
    """

    folder: Path
    checkpoints: Path
    timing: Path

    @property
    def history(self) -> Path:
        """One row per epoch."""
        return self.folder / "history.csv"


@dataclass(frozen=True)
class PretrainingFiles(TrainingFiles):
    """The files of a pretraining."""

    @property
    def weights(self) -> Path:
        """The weights that the folds start from."""
        return self.folder / "weights.safetensors"


@dataclass(frozen=True)
class FoldFiles(TrainingFiles):
    """The files of one fold's training and prediction."""

    @property
    def snapshots(self) -> Path:
        """Folder of weights, one file per snapshot."""
        return self.folder / "snapshots"

    @property
    def snapshots_table(self) -> Path:
        """One row per snapshot: the epoch of its weights, and their score."""
        return self.folder / "snapshots.csv"

    @property
    def members(self) -> Path:
        """The snapshots of the prediction, and their weights in its mean."""
        return self.folder / "members.json"

    @property
    def held_out(self) -> Path:
        """Predictions of the held-out tiles."""
        return self.folder / "held_out.npy"

    @property
    def test(self) -> Path:
        """Predictions of the test tiles."""
        return self.folder / "test.npy"

    def shard(self, number: int | str, count: int) -> Path:
        """Predictions of one part of the test tiles; number: 1 to count."""
        return self.folder / f"test_{number}_of_{count}.npy"

    def tests(self, shards: int) -> list[Path]:
        """The files that together hold the predictions of the test tiles."""
        return [self.test] if shards == 1 else [self.shard(number, shards) for number in range(1, shards + 1)]


@dataclass(frozen=True)
class EnsembleFiles:
    """Predictions of a model or an ensemble."""

    folder: Path

    @property
    def out_of_fold(self) -> Path:
        """Predictions of the labelled tiles, each by models that did not train on it."""
        return self.folder / "out_of_fold.npy"

    @property
    def test(self) -> Path:
        """Predictions of the test tiles."""
        return self.folder / "test.npy"

    @property
    def stretch(self) -> Path:
        """The probabilities that became 0 and 1 in both."""
        return self.folder / "stretch.json"


@dataclass(frozen=True)
class PseudoLabelFiles:
    """A set of pseudo-labels, for one scope."""

    folder: Path

    @property
    def masks(self) -> Path:
        """Masks of all test tiles."""
        return self.folder / "masks.npy"

    @property
    def table(self) -> Path:
        """Which test tiles are selected."""
        return self.folder / "pseudo_labels.csv"

    @property
    def all(self) -> list[Path]:
        """Both, in the order that programs expect."""
        return [self.masks, self.table]


@dataclass(frozen=True)
class PredictionFiles:
    """Predictions of other images."""

    folder: Path
    checkpoints: Path

    @property
    def masks(self) -> Path:
        """Folder of masks."""
        return self.folder / "masks"

    @property
    def probabilities(self) -> Path:
        """Folder of probabilities."""
        return self.folder / "probabilities"

    @property
    def table(self) -> Path:
        """Masks as run lengths."""
        return self.folder / "masks.csv"

    @property
    def all(self) -> list[Path]:
        """Every output."""
        return [self.masks, self.probabilities, self.table]


@dataclass(frozen=True)
class SurveyFiles:
    """A synthetic survey at data.root: the competition's files, and the truth beside them."""

    folder: Path

    @property
    def data(self) -> list[Path]:
        """The competition's files."""
        names = ("train.csv", "depths.csv", "sample_submission.csv", "train.zip", "test.zip")
        return [self.folder / name for name in names]

    @property
    def true_masks(self) -> Path:
        """The masks of the test tiles."""
        return self.folder / "truth" / "test_masks.csv"

    @property
    def true_mosaics(self) -> Path:
        """The place that each tile was cut from."""
        return self.folder / "truth" / "mosaics.csv"


@dataclass(frozen=True)
class PackFiles:
    """What a pack holds beside files of its run: in the zip, and in the folder that it is unpacked to."""

    folder: Path

    @classmethod
    def unpacked(cls, pack: Path) -> Self:
        """The folder of a pack that was unpacked, which is laid out like that of a run."""
        return cls(Path("results", pack.stem))

    @property
    def manifest(self) -> Path:
        """The version of the format, the settings of predictions, and the digests of all other files."""
        return self.folder / "pack.json"

    @property
    def card(self) -> Path:
        """What the ensemble is: for people."""
        return self.folder / "MODEL_CARD.md"


def snapshot(folder: Path, name: str) -> Path:
    """The weights of a snapshot in the folder of a fold's snapshots."""
    return folder / f"{name}.safetensors"


CURVES = "tensorboard"


def curves(timing: Path) -> Path:
    """Folder of the curves of a training, from the file of the time that it took.

    Not an option of its program: Snakemake would train everything anew that another command has made.
    """
    return timing.parent.with_name(CURVES) / timing.stem


def event_file(folder: Path, number: int) -> Path:
    """An event file of TensorBoard in a training's folder of curves. Readers take the files in the order of names."""
    return folder / f"events.out.tfevents.{number:06d}"


def event_files(folder: Path) -> list[Path]:
    """The event files in a training's folder of curves, in the order of their numbers."""
    return sorted(folder.glob("events.out.tfevents.[0-9]*"))


@dataclass(frozen=True)
class Run:
    """The files of a run below its folder of results."""

    folder: Path

    @classmethod
    def of(cls, config: Config) -> Self:
        """The run of a config."""
        return cls(Path(config.pathvars.results))

    # Tiles ----------------------------------------------------------------------------------------------------

    @property
    def tiles(self) -> TileFiles:
        """The packed tiles."""
        return TileFiles(self.folder / "tiles")

    @property
    def hidden_masks(self) -> Path:
        """Masks of labelled tiles that take part as unlabelled ones. Beside the tiles: only scoring may read them."""
        return self.folder / "hidden_masks.npy"

    @property
    def folds(self) -> Path:
        """The fold that holds out each labelled tile."""
        return self.folder / "folds.csv"

    @property
    def mosaics(self) -> Path:
        """The places of tiles in mosaics."""
        return self.folder / "mosaics.csv"

    @property
    def neighbours(self) -> Path:
        """Pairs of neighbouring tiles."""
        return self.folder / "neighbours.csv"

    @property
    def duplicates(self) -> Path:
        """Tiles that are copies of others."""
        return self.folder / "duplicates.csv"

    # Trainings and predictions --------------------------------------------------------------------------------

    def encoder(self, slug: str) -> Path:
        """The weights that an encoder starts from."""
        return self.folder / "encoders" / f"{slug}.safetensors"

    @property
    def models(self) -> Path:
        """Everything that is trained: enough to predict other images, on another machine too."""
        return self.folder / "models"

    def pretraining(self, model: str, scope: str) -> PretrainingFiles:
        """A model's pretraining for a scope: `all_folds` or `fold<k>`."""
        return PretrainingFiles(self.models / model / "pretrain" / scope, *self._timed(f"{model}_pretrain_{scope}"))

    def fold(self, model: str, fold: int | str) -> FoldFiles:
        """A fold of a model."""
        return FoldFiles(self.models / model / f"fold{fold}", *self._timed(f"{model}_fold{fold}"))

    def ensemble(self, name: str) -> EnsembleFiles:
        """The predictions of a model or an ensemble."""
        return EnsembleFiles(self.folder / "ensembles" / name)

    def pseudo_labels(self, name: str, scope: str) -> PseudoLabelFiles:
        """A set of pseudo-labels for a scope: `all_folds` or `fold<k>`."""
        return PseudoLabelFiles(self.folder / "pseudo_labels" / name / scope)

    @property
    def all_checkpoints(self) -> Path:
        """Folder of the checkpoints of unfinished trainings and predictions."""
        return self.folder / "checkpoints"

    @property
    def timings(self) -> Path:
        """Folder of the times that trainings took."""
        return self.folder / "timings"

    def _timed(self, training: str) -> tuple[Path, Path]:
        """Folder of the checkpoints of a training, and the file of the time that it took."""
        return self.all_checkpoints / training, self.timings / f"{training}.json"

    # Results --------------------------------------------------------------------------------------------------

    @property
    def config(self) -> Path:
        """The resolved config."""
        return self.folder / "config.yaml"

    @property
    def scores(self) -> Path:
        """Scores of all models and ensembles."""
        return self.folder / "scores.csv"

    @property
    def tile_scores(self) -> Path:
        """Scores of all tiles with known masks."""
        return self.folder / "tile_scores.csv"

    @property
    def differences(self) -> Path:
        """Differences of scores between stages, with intervals."""
        return self.folder / "differences.csv"

    @property
    def pseudo_label_scores(self) -> Path:
        """Scores of the pseudo-labels whose true masks are known."""
        return self.folder / "pseudo_label_scores.csv"

    @property
    def threshold_curve(self) -> Path:
        """Scores by threshold."""
        return self.folder / "threshold_curve.csv"

    @property
    def masks(self) -> Path:
        """The final masks of the test tiles."""
        return self.folder / "postprocess" / "masks.npy"

    @property
    def changes(self) -> Path:
        """What the jigsaw rule changed."""
        return self.folder / "postprocess" / "changes.csv"

    @property
    def submission(self) -> Path:
        """The submission."""
        return self.folder / "submission.csv"

    @property
    def report(self) -> Path:
        """The report's page."""
        return self.folder / "report.html"

    @property
    def report_so_far(self) -> Path:
        """The report's page about a run that goes on."""
        return self.folder / "report_so_far.html"

    @property
    def mosaics_page(self) -> Path:
        """The report's page of all mosaics."""
        return self.folder / "mosaics.html"

    def pack(self, half: bool = False) -> Path:
        """The pack: one file for other machines and people; half: with weights of half precision."""
        return self.folder / f"{self.folder.resolve().name}{'_half' if half else ''}.pack.zip"

    @property
    def exports(self) -> Path:
        """Folder of networks for other programs."""
        return self.folder / "onnx"

    def exported(self, model: str, fold: int, name: str) -> Path:
        """A snapshot as a network for other programs."""
        return self.exports / f"{model}_fold{fold}_{name}.onnx"

    @property
    def predictions(self) -> Path:
        """Folder of the predictions of other images."""
        return self.folder / "predictions"

    def prediction(self, images: str) -> PredictionFiles:
        """Predictions of other images; images: the name of their folder."""
        return PredictionFiles(self.predictions / images, self.all_checkpoints / f"predict_{images}")

    def log(self, rule: str, job: str = "") -> Path:
        """A job's log; job: its wildcards, if the rule has any."""
        return self.logs / _of_job(rule, job, ".log")

    def benchmark(self, rule: str, job: str = "") -> Path:
        """What a job took, as Snakemake measured it: seconds, memory."""
        return self.benchmarks / _of_job(rule, job, ".tsv")

    # Beside the results ---------------------------------------------------------------------------------------

    @property
    def logs(self) -> Path:
        """Folder of what programs printed."""
        return self.folder / "logs"

    @property
    def benchmarks(self) -> Path:
        """Folder of what jobs took: a file for each rule, or a folder for a rule with wildcards."""
        return self.folder / "benchmarks"

    @property
    def all_curves(self) -> Path:
        """Folder of the curves of all trainings."""
        return self.folder / CURVES

    @property
    def repairs(self) -> Path:
        """What a repair removed, until it is made again."""
        return self.folder / "repairs.json"

    @property
    def of_no_rule(self) -> list[Path]:
        """Files and folders that differ from run to run, and that no record tells of."""
        watched = [self.logs, self.benchmarks, self.all_curves, self.report_so_far]
        handed_on = [self.pack(), self.pack(half=True), self.exports]
        return [self.config, self.timings, self.all_checkpoints, self.repairs, *watched, *handed_on]


def _of_job(rule: str, job: str, suffix: str) -> Path:
    return Path(rule, f"{job}{suffix}") if job else Path(f"{rule}{suffix}")
