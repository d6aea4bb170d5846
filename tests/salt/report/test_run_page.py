import re
from typing import get_args

import pytest
import yaml

from salt.report import rendering, run_page
from schemas import augmentation, data, losses, networks, postprocess, rounds, schedules, training
from schemas.reading import check_config
from schemas.section import variants


def words():
    return yaml.safe_load((rendering.FOLDER / "words.yaml").read_text(encoding="utf-8"))


SCHEDULES = (schedules.Plateau, schedules.Cosine, schedules.Triangular2)


def winning(**changes):
    """The winning recipe with some keys of its model `stage1_resnet34` changed."""
    raw = yaml.safe_load((rendering.FOLDER.parent / "workflow_config.yaml").read_text(encoding="utf-8"))
    raw["models"]["stage1_resnet34"] |= changes
    return check_config(raw)


def methods(settings):
    """The methods of a run in words, without the tags."""
    context = {"config": settings, "words": words(), "rounds": rounds.numbers(settings), "side": (101, 101)}
    context |= {"augmentations": run_page.augmentations(settings), "leaking": rounds.leaking(settings)}
    counts = {"tiles": 4000}
    page = rendering.templates().get_template("methods.html").render(context | {"train": counts, "test": counts})
    return " ".join(re.sub("<[^>]*>", "", page).split())


def choices(section, key):
    return set(get_args(section.model_fields[key].annotation))


def test_there_are_words_for_every_choice_of_the_config():
    known = words()
    assert {"plateau", *known["cycle"]} == {name for kind in SCHEDULES for name in choices(kind, "name")}
    assert set(known["optimizer"]) == choices(training.Optimizer, "name")
    assert set(known["channels"]) == choices(networks.Input, "channels")
    assert set(known["pad_mode"]) == choices(networks.Input, "pad_mode")
    assert set(known["folds"]) == choices(data.Folds, "by")


def amounts_in_words(section):
    """Fields that a section's words tell."""
    return set(re.findall(r"{0\.(\w+)", section.words))


@pytest.mark.parametrize("section", variants(augmentation.Transform).values())
def test_the_words_for_a_transformation_tell_all_its_amounts(section):
    assert amounts_in_words(section) == set(section.model_fields) - {"name", "p", "of"}


@pytest.mark.parametrize("section", variants(losses.Loss).values())
def test_the_words_for_a_loss_tell_all_its_parameters(section):
    assert amounts_in_words(section) == set(section.model_fields) - {"name", "weight"}


@pytest.mark.parametrize("section", variants(networks.Network).values())
def test_there_are_words_for_every_network(section):
    assert section.words
    assert amounts_in_words(section) <= set(section.model_fields)


@pytest.mark.parametrize("section", variants(postprocess.Step).values())
def test_the_words_for_a_step_tell_all_its_fields(section):
    assert amounts_in_words(section) == set(section.model_fields) - {"name"}


def submitting(*steps):
    """The winning recipe with other steps to the submission."""
    raw = winning().model_dump(mode="json")
    raw["submission"]["postprocess"] = list(steps)
    return check_config(raw)


def test_the_methods_tell_the_steps_of_the_submission_in_their_order():
    told = methods(winning())
    assert "of the probabilities p of final, step by step: a pixel was salt where p &gt; 0.5; tiles of one grey" in told
    assert "grey value got empty masks; tiles were laid out in mosaics by the similarity of their borders, and" in told
    assert "and the published jigsaw rule was applied. The published rule continues straight salt" in told
    holes = {"name": "fill_holes", "smaller_than": 9}
    specks = {"name": "remove_components", "smaller_than": 20}
    told = methods(submitting({"name": "threshold", "above": 0.45}, holes, specks))
    assert "salt where p &gt; 0.45; holes in salt" in told
    assert "of fewer than 9 px were filled; components of salt (8-connected) of fewer than 20 px were rem" in told
    assert "removed. The jigsaw rule was not applied." in told


def test_models_and_ensembles_take_the_order_of_the_scores():
    names = [*winning().models, *winning().ensembles]
    ordered = run_page.in_order(winning(), names[::-1])
    assert [*ordered.ensembles, *ordered.models] == names[::-1]


def test_the_methods_tell_the_winning_schedules():
    told = methods(winning())
    assert (
        "the Lovász hinge loss under SGD (batches of 18, learning rate 0.012, along cosine cycles of 50, 50, 50,"
        in told
    )
    assert "multiplied by 0.25 after 10 epochs without a better score; stopped after 20 such epochs, or 125 in" in told
    assert "epochs were two passes over the data" in told or "an epoch was two passes over the data" in told


def test_the_methods_tell_which_pseudo_labels_leak():
    assert "and the pseudo-labels stage1_confident, stage2_confident and stage1_by_size came from" in methods(winning())


def test_the_methods_tell_of_sums_averages_triangles_and_mixing():
    phase = {
        "loss": {"bce": 0.1, "dice": {"weight": 0.4, "smooth": 10}, "lovasz_relu": 0.5},
        "optimizer": {"name": "sgd", "lr": 0.01},
        "schedule": {"name": "triangular2", "cycles": [4]},
        "average": {"name": "swa", "start": 2},
        "batch": 18,
    }
    told = methods(winning(phases=[phase], members={"phase1_cycle1": 1}, mix={"name": "cutmix", "p": 0.25}))
    losses_told = "0.1 × binary cross-entropy, 0.4 × Dice loss (smoothed by 10 px) and 0.5 × the Lovász hinge loss"
    assert f"the sum of {losses_told} under SGD" in told
    assert "along a triangular cycle of 4 epochs down to 0; validated and kept as the mean of the weights after" in told
    assert "Of the batches, 25.0 % were mixed by cutmix, with shares from Beta(1, 1)." in told


PHASE = {
    "loss": "bce",
    "optimizer": {"name": "sgd", "lr": 0.01},
    "schedule": {"name": "cosine", "cycles": [4]},
    "batch": 8,
}


@pytest.mark.parametrize(
    ("keep", "members", "sentences"),
    [
        (
            {"name": "best_of_cycle"},
            {"phase1_cycle1": 1},
            [
                "The weights of the best epoch of each cycle were kept as snapshots.",
                "The prediction was that of the snapshot phase1_cycle1; on the test tiles, the mean over the folds.",
            ],
        ),
        (
            {"name": "every", "epochs": 2},
            {"name": "equal"},
            [
                "The weights of the last of every 2 epochs were kept as snapshots.",
                "The prediction was the mean of all kept snapshots with equal weights; on the test tiles,",
            ],
        ),
        (
            {"name": "best", "count": 3},
            {"name": "falling", "best": 2, "ratio": 0.5},
            [
                "the held-out fold chose the best epoch of each cycle, the 3 best epochs of each phase and the "
                "snapshots of the prediction, and the pseudo-labels",
                "The weights of the 3 best epochs of each phase were kept as snapshots.",
                "The prediction was the mean of the 2 kept snapshots with the best held-out scores, each weighing 0.5 "
                "times the one before; on the test tiles, the mean over the folds.",
            ],
        ),
    ],
)
def test_the_methods_tell_what_was_kept_and_what_it_weighed(keep, members, sentences):
    told = methods(winning(phases=[PHASE | {"keep": keep}], members=members))
    for sentence in sentences:
        assert sentence in told


def test_the_methods_tell_of_no_choice_where_the_held_out_fold_made_none():
    model = {"phases": [PHASE | {"keep": {"name": "last"}}], "members": {"phase1_last": 1}}
    raw = yaml.safe_load((rendering.FOLDER.parent / "workflow_config.yaml").read_text(encoding="utf-8"))
    network = {"network": {"name": "unet_plain"}, "input": {"pad": 128}}
    raw |= {"models": {"only": network | model}, "ensembles": {"final": {"only": 1}}, "pseudo_labels": {}}
    assert "optimistic" not in methods(check_config(raw))
    raw["models"]["only"]["phases"] *= 2
    assert "the held-out fold chose the weights that a phase started from." in methods(check_config(raw))
