"""workflow_config.yaml against the published facts of the winning solution, as tables that a person can compare.

Sources: the authors' write-up and their published code (github.com/ybabakhin/kaggle_salt_bes_phalanx); where the two
disagree, the code.
"""

from pathlib import Path

import pytest
import yaml

from schemas.postprocess import DEFAULT
from schemas.reading import check_config
from schemas.schedules import Plateau

CONFIG = check_config(yaml.safe_load(Path("workflow_config.yaml").read_text()))

# model, part | loss | optimizer, momentum, weight decay | largest rate | batch | passes an epoch | schedule:
# cosine: epochs of each cycle, least rate; plateau: most epochs, factor, patience, stop after, least rate
PHASES = """
stage1_resnext50 fold     | bce_dice         | rmsprop         | 0.0001 | 24 | 2 | plateau 125 x0.25 10 20 to 6.25e-06
stage1_resnext50 fold     | lovasz_elu       | rmsprop         | 5e-05  | 24 | 2 | plateau 125 x0.5 7 15 to 6.25e-06
stage1_resnext50 fold     | lovasz_elu       | rmsprop         | 0.0001 | 24 | 2 | cosine 40 40 40 to 0
stage1_resnet34 fold      | lovasz_relu      | sgd 0.9 0.0001  | 0.012  | 18 | 1 | cosine 50 50 50 50 50 50 to 0.001
stage2_resnext50 pretrain | bce_dice         | rmsprop         | 0.0001 | 28 | 2 | cosine 40 to 0
stage2_resnext50 pretrain | lovasz_elu       | rmsprop         | 5e-05  | 28 | 2 | cosine 40 to 0
stage2_resnext50 fold     | lovasz_elu       | rmsprop         | 5e-05  | 28 | 2 | plateau 125 x0.5 8 15 to 1.25e-05
stage2_resnext50 fold     | lovasz_elu       | rmsprop         | 5e-05  | 28 | 2 | cosine 20 20 25 to 0
stage2_resnet34 fold      | deep_supervision | sgd 0.9 0.0001  | 0.012  | 18 | 1 | cosine 50 50 50 50 to 0.001
stage3_pad128 pretrain    | lovasz_relu      | sgd 0.9 0.0001  | 0.01   | 64 | 1 | cosine 50 50 50 to 0.001
stage3_pad128 fold        | lovasz_relu      | sgd 0.9 0.0001  | 0.01   | 64 | 1 | cosine 50 50 50 50 to 0.001
stage3_resize128 pretrain | deep_supervision | sgd 0.9 0.0001  | 0.01   | 64 | 1 | cosine 50 50 50 to 0.001
stage3_resize128 fold     | deep_supervision | sgd 0.9 0.0001  | 0.01   | 64 | 1 | cosine 50 50 50 50 to 0.001
"""

# the author's models | constant tiles | tiles of a batch | rate of a cosine | a new cycle starts from | the rise of the
# score that keeps a plateau's rate
AUTHORS = """
resnext50                   | leave_out | with replacement    | once an epoch | best weights, fresh optimizer | 0.0001
resnet34, pad128, resize128 | train     | without replacement | once an epoch | last weights, fresh optimizer | none
"""

# model | network, its decoder if there is a choice, its first weights | input: geometry, channels, values, mask edges
MODELS = """
stage1_resnext50 | unet_resnext50 published imagenet | resize 192 pad 224 reflect grey3 raw fractions
stage1_resnet34  | res34_256 imagenet                | resize 202 pad 256 edge ramp unit cut
stage2_resnext50 | unet_resnext50 published imagenet | resize 192 pad 224 reflect grey3 raw fractions
stage2_resnet34  | res34_256_ds imagenet             | resize 202 pad 256 edge ramp unit cut
stage3_pad128    | res34_pad128 imagenet             | resize None pad 128 edge ramp unit cut
stage3_resize128 | res34_resize128 imagenet          | resize 128 pad None edge ramp unit cut
"""

# model | phase: weight of its last snapshot, or of each of its cycles (0: not used)
MEMBERS = """
stage1_resnext50 | 2: 1 | 3: 1 1 1
stage1_resnet34  | 1: 0 1 1 1 1 1
stage2_resnext50 | 1: 3 | 2: 1 1 1
stage2_resnet34  | 1: 1 1 1 1
stage3_pad128    | 1: 1 1 1 1
stage3_resize128 | 1: 1 1 1 1
"""

# mask size in px | tiles of each fold | least confidence | every n-th
SIZES = """
0 0       | 600 600 600 600 rest | 0.97 | 2
20 500    | 110 110 110 110 rest | 0.99 | 1
501 2550  | 300 300 300 300 rest | 0.97 | 1
2551 5100 | 240 240 260 240 rest | 0.97 | 1
5101 7650 | 200 200 200 200 rest | 0.97 | 1
7651 9180 | 130 130 130 130 rest | 0.97 | 1
"""


def cells(table):
    return [[" ".join(cell.split()) for cell in line.split("|")] for line in table.strip().splitlines()]


def optimizer_words(optimizer):
    if optimizer.name == "sgd":
        return f"sgd {optimizer.momentum:g} {optimizer.weight_decay:g}"
    return optimizer.name if optimizer.weight_decay == 0 else f"{optimizer.name} {optimizer.weight_decay:g}"


def schedule_words(schedule):
    if isinstance(schedule, Plateau):
        return (
            f"plateau {schedule.epochs} x{schedule.factor:g} {schedule.patience} {schedule.stop_after} "
            f"to {schedule.min_lr:g}"
        )
    return f"{schedule.name} {' '.join(map(str, schedule.cycles))} to {schedule.min_lr:g}"


def phase_cells(where, phase):
    assert phase.average is None
    return [
        where,
        phase.loss_words,
        optimizer_words(phase.optimizer),
        f"{phase.optimizer.lr:g}",
        str(phase.batch),
        str(phase.passes_per_epoch),
        schedule_words(phase.schedule),
    ]


def test_the_phases_are_the_published_ones():
    parts = [
        (f"{name} {part}", phases)
        for name, model in CONFIG.models.items()
        for part, phases in (("pretrain", model.pretrain.phases if model.pretrain else ()), ("fold", model.phases))
    ]
    assert [phase_cells(where, phase) for where, phases in parts for phase in phases] == cells(PHASES)


@pytest.mark.parametrize("name", CONFIG.models)
def test_each_model_is_trained_in_its_authors_way(name):
    model = CONFIG.models[name]
    phases = [*model.phases, *(model.pretrain.phases if model.pretrain else ())]
    (row,) = [row for row in cells(AUTHORS) if name.split("_")[1] in row[0].split(", ")]
    for phase in phases:
        schedule = phase.schedule
        plateau = isinstance(schedule, Plateau)
        assert row[1:3] == [model.constant_tiles, f"{'with' if phase.with_replacement else 'without'} replacement"]
        if plateau:
            assert row[-1] == f"{schedule.min_delta:g}"
        else:
            assert row[3] == f"once an {schedule.interval}"
        if len(schedule.cycle_suffixes) > 1:
            assert row[4] == f"{schedule.restart.weights} weights, {schedule.restart.optimizer} optimizer"


def test_networks_and_inputs_are_the_published_ones():
    found = []
    for name, model in CONFIG.models.items():
        given, network = model.input.model_dump(), model.network
        shape = "resize {resize} pad {pad} {pad_mode} {channels} {values} {mask_edges}".format(**given)
        parts = (network.name, getattr(network, "decoder", ""), network.weights)
        found.append([name, " ".join(filter(None, parts)), shape])
        assert model.mix is None
    assert found == cells(MODELS)


def test_the_resnet34_authors_predictions_are_stretched():
    assert {name for name, model in CONFIG.models.items() if model.stretch} == {
        "stage1_resnet34",
        "stage2_resnet34",
        "stage3_pad128",
        "stage3_resize128",
    }


def test_members_are_the_published_ones():
    found = []
    for name, model in CONFIG.models.items():
        phases = [
            [f"{model.members.get(snapshot, 0):g}" for snapshot in phase.snapshots(number)]
            for number, phase in enumerate(model.phases, 1)
        ]
        used = [f"{number}: {' '.join(weights)}" for number, weights in enumerate(phases, 1) if set(weights) != {"0"}]
        found.append([name, *used])
    assert found == cells(MEMBERS)


def test_rounds_ensembles_and_what_they_learn_from_are_the_published_ones():
    learn_from = {name: model.pseudo_labels for name, model in CONFIG.models.items()}
    assert learn_from == {
        "stage1_resnext50": [],
        "stage1_resnet34": [],
        "stage2_resnext50": ["stage1_confident"],
        "stage2_resnet34": ["stage1_by_size"],
        "stage3_pad128": ["stage2_confident"],
        "stage3_resize128": ["stage2_confident"],
    }
    assert CONFIG.ensembles == {
        "stage1": {"stage1_resnext50": 1, "stage1_resnet34": 1},
        "stage2": {"stage2_resnext50": 1, "stage2_resnet34": 1},
        "final": {"stage2_resnext50": 1, "stage3_pad128": 1},
    }
    submission = CONFIG.submission
    assert (submission.ensemble, submission.threshold, submission.jigsaw) == ("final", 0.5, "published")
    assert submission.postprocess == DEFAULT
    assert (CONFIG.folds.count, CONFIG.folds.by) == (5, "depth")


@pytest.mark.parametrize(
    ("name", "ensemble", "min_confidence"),
    [("stage1_confident", "stage1", 0.9), ("stage2_confident", "stage2", 0.9), ("stage1_by_size", "stage1", 0.97)],
)
def test_pseudo_labels_are_chosen_as_published(name, ensemble, min_confidence):
    labels = CONFIG.pseudo_labels[name]
    assert (labels.ensemble, labels.low, labels.high, labels.min_confidence) == (ensemble, 0.2, 0.8, min_confidence)


def test_folds_get_1580_pseudo_labels_by_size_but_the_third_1600_and_the_last_the_rest():
    labels = CONFIG.pseudo_labels["stage1_by_size"]
    found = [
        [
            " ".join(map(str, size.pixels)),
            " ".join(map(str, size.count)),
            f"{size.min_confidence or labels.min_confidence:g}",
            str(size.every),
        ]
        for size in labels.per_fold
    ]
    assert found == cells(SIZES)
    assert [sum(size.asked([fold]) for size in labels.per_fold) for fold in range(5)] == [1580, 1580, 1600, 1580, 0]
