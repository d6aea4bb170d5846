"""What differences of scores say, in words, for the terminal and the report.

Imports neither NumPy nor pandas, because the Snakefile imports it.
"""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from salt.data.damage import reading
from schemas import rounds
from schemas.config import Config

# Kinds of labels, the most telling first: the last one is of tiles that later rounds may have learned from.
LABELS = {
    "hidden": "tiles with hidden labels",
    "true_test": "test tiles with known masks",
    "out_of_fold": "labelled tiles, out of fold",
}
BETTER, WORSE, UNDECIDED = "better", "worse", "no difference beyond chance"


@dataclass(frozen=True)
class Difference:
    """A row of differences.csv: the mean over tiles of the score of `name` minus that of `than`.

    role: what `than` is to `name`: "before", "first" or "control"; low, high: 95 % interval of the difference
    """

    labels: str
    jigsaw: str
    name: str
    than: str
    role: str
    difference: float
    low: float
    high: float
    tiles: int

    @property
    def verdict(self) -> str:
        """BETTER or WORSE if the interval lies on one side of 0, else UNDECIDED; a single tile decides nothing."""
        if self.tiles > 1 and self.low > 0:
            return BETTER
        return WORSE if self.tiles > 1 and self.high < 0 else UNDECIDED

    @property
    def signed(self) -> str:
        """The difference as text: +0.0138, −0.0020."""
        sign = "−" if round(self.difference, 4) < 0 else "+"
        return f"{sign}{_number(abs(self.difference))}"

    @property
    def interval(self) -> str:
        """The interval as text: 0.0086 to 0.0190."""
        return f"{_number(self.low)} to {_number(self.high)}"


def load(path: Path) -> list[Difference]:
    """Read differences.csv."""
    with reading(path), path.open(newline="", encoding="utf-8") as file:
        return [
            Difference(
                *(row["labels"], row["jigsaw"], row["name"], row["than"], row["role"]),
                *(float(row["difference"]), float(row["low"]), float(row["high"]), int(row["tiles"])),
            )
            for row in csv.DictReader(file)
        ]


def as_submitted(config: Config, differences: Iterable[Difference]) -> list[Difference]:
    """The differences of masks with the jigsaw rule of the submission."""
    return [each for each in differences if each.jigsaw == config.submission.jigsaw]


def on_best_labels(differences: Sequence[Difference]) -> list[Difference]:
    """The differences on the most telling kind of labels that there is."""
    known = {each.labels for each in differences}
    best = next((labels for labels in LABELS if labels in known), None)
    return [each for each in differences if each.labels == best]


def merged(differences: Iterable[Difference]) -> dict[Difference, list[str]]:
    """The differences of distinct pairs, each with its roles: the stage before may also be the first."""
    roles: dict[tuple[str, ...], list[str]] = {}
    firsts: dict[tuple[str, ...], Difference] = {}
    for each in differences:
        pair = each.labels, each.name, each.than
        firsts.setdefault(pair, each)
        roles.setdefault(pair, []).append(each.role)
    return {firsts[pair]: found for pair, found in roles.items()}


def answer(config: Config, differences: Sequence[Difference]) -> str:
    """Whether the rounds paid, and more than longer training would have: of the submission, on the best labels.

    differences: those of masks as submitted
    """
    name = config.submission.ensemble
    own = {each.role: each for each in on_best_labels(differences) if each.name == name}
    if "first" not in own or not rounds.learned(config, name):
        return f"{name} comes after no other round, so its scores do not tell whether rounds of pseudo-labelling pay."
    first, control = own["first"], own.get("control")
    text = f"{name} {_clause(first, first.than)}"
    if control:
        clause = _clause(control, "the same training without pseudo-labels")
        text += f", and {clause.removeprefix('is ')}" if control.verdict == first.verdict else f", but {clause}"
    text += f", over {first.tiles:,} {LABELS[first.labels]}."
    if not control and first.verdict == BETTER:
        text += " This may be due to the longer training alone; the setting controls: true would tell."
    if first.labels == "out_of_fold" and rounds.leaking(config):
        text += (
            " These scores favour later rounds, whose pseudo-labels came from models that had seen the held-out tiles;"
            " sets of scope fold do not."
        )
    return text


def lines(config: Config, differences: Sequence[Difference]) -> list[str]:
    """What a run's end says: each stage against the others, with verdicts, and the answer; none without differences.

    differences: those of masks as submitted
    """
    found = on_best_labels(differences)
    if not found:
        return []
    head = f"differences of {found[0].tiles:,} {LABELS[found[0].labels]}, with 95 % intervals:"
    pairs = {f"{each.name} − {each.than} ({', '.join(roles)})": each for each, roles in merged(found).items()}
    width = max(map(len, pairs))
    rows = [f"{pair:{width}}  {of.signed} ({of.interval})  {of.verdict}" for pair, of in pairs.items()]
    return [head, *rows, answer(config, differences)]


def _clause(of: Difference, than: str) -> str:
    if of.verdict == UNDECIDED:
        return f"does not differ from {than} beyond chance ({of.signed}, {of.interval})"
    low, high = sorted((abs(of.low), abs(of.high)))  # on one side of 0
    return f"is {of.verdict} than {than} by {_number(abs(of.difference))} ({_number(low)} to {_number(high)})"


def _number(value: float) -> str:
    return f"{round(value, 4) + 0.0:.4f}".replace("-", "−")  # + 0.0: no minus before zero
