import re
from typing import get_args

import pytest
import yaml

from salt.report import rendering, run_page
from schemas import augmentation, data, losses, networks, phases, postprocess, rounds, schedules
from schemas.base import variants
from schemas.reading import check_config


def words():
    return yaml.safe_load((rendering.FOLDER / "words.yaml").read_text(encoding="utf-8"))


SCHEDULES = (schedules.Plateau, schedules.Cosine, schedules.Triangular2)


def winning(**changes):
    """The winning recipe with changed keys of its model `stage1_resnet34`."""
    raw = yaml.safe_load((rendering.FOLDER.parent / "workflow_config.yaml").read_text(encoding="utf-8"))
    raw["models"]["stage1_resnet34"] |= changes
    return check_config(raw)


def methods(settings):
    """The methods of a run as text, without tags."""
    context = {"config": settings, "words": words(), "rounds": rounds.numbers(settings), "tile_shape": (101, 101)}
    context |= {"augmentations": run_page.augmentations(settings), "leaking": rounds.leaking(settings)}
    counts = {"tiles": 4000}
    page = rendering.templates().get_template("methods.html").render(context | {"train": counts, "test": counts})
    return " ".join(re.sub("<[^>]*>", "", page).split())


def choices(section, key):
    return set(get_args(section.model_fields[key].annotation))


def test_there_are_words_for_every_choice_of_the_config():
    known = words()
    assert {"plateau", *known["cycle"]} == {name for kind in SCHEDULES for name in choices(kind, "name")}
    assert set(known["optimizer"]) == choices(phases.Optimizer, "name")
    assert set(known["decoder"]) == choices(networks.UnetResNext50, "decoder")
    assert set(known["channels"]) == choices(networks.Input, "channels")
    assert set(known["values"]) == choices(networks.Input, "values")
    assert set(known["mask_edges"]) == choices(networks.Input, "mask_edges")
    assert set(known["pad_mode"]) == choices(networks.Input, "pad_mode")
    assert set(known["folds"]) == choices(data.Folds, "by")


def amounts_in_words(section):
    """Fields that a section's words contain."""
    return set(re.findall(r"{0\.(\w+)", section.words))


@pytest.mark.parametrize("section", variants(augmentation.Transform).values())
def test_the_words_for_a_transformation_contain_all_its_amounts(section):
    assert amounts_in_words(section) == set(section.model_fields) - {"name", "p", "of"}


@pytest.mark.parametrize("section", variants(losses.Loss).values())
def test_the_words_for_a_loss_contain_all_its_parameters(section):
    assert amounts_in_words(section) == set(section.model_fields) - {"name", "weight"}


@pytest.mark.parametrize("section", variants(networks.Network).values())
def test_there_are_words_for_every_network(section):
    assert section.words
    assert amounts_in_words(section) <= set(section.model_fields)


@pytest.mark.parametrize("section", variants(postprocess.Step).values())
def test_the_words_for_a_step_contain_all_its_fields(section):
    assert amounts_in_words(section) == set(section.model_fields) - {"name"}


def submitting(*steps):
    """The winning recipe with other steps to the submission."""
    raw = winning().model_dump(mode="json")
    raw["submission"]["postprocess"] = list(steps)
    return check_config(raw)


def test_the_methods_list_the_steps_of_the_submission_in_their_order():
    text = methods(winning())
    assert (
        "made from the probabilities p of final, step by step: a pixel was salt where p &gt; 0.5; tiles of one grey"
        in text
    )
    assert "grey value got empty masks; tiles were laid out in mosaics by the similarity of their borders, and" in text
    assert "and the published jigsaw rule was applied. The published rule continues straight salt" in text
    holes = {"name": "fill_holes", "smaller_than": 9}
    specks = {"name": "remove_components", "smaller_than": 20}
    text = methods(submitting({"name": "threshold", "above": 0.45}, holes, specks))
    assert "salt where p &gt; 0.45; holes in salt" in text
    assert "of fewer than 9 px were filled; components of salt (8-connected) of fewer than 20 px were rem" in text
    assert "removed. The jigsaw rule was not applied." in text


def test_models_and_ensembles_take_the_order_of_the_scores():
    names = [*winning().models, *winning().ensembles]
    ordered = run_page.in_order(winning(), names[::-1])
    assert [*ordered.ensembles, *ordered.models] == names[::-1]


def test_the_methods_describe_the_winning_schedules():
    text = methods(winning())
    assert (
        "the Lovász hinge loss using SGD (batches of 18, learning rate 0.012, in cosine cycles of 50, 50, 50, 50, 50 "
        "and 50 epochs down to 0.001, set once an epoch; each further cycle started with a fresh optimizer)" in text
    )
    assert (
        "multiplied by 0.25 after 10 epochs without a score that was better by more than 0.0001; stopped after 20 "
        "epochs without any better score or after 125 in total)" in text
    )
    assert (
        "(batches of 24, drawn with replacement, learning rate 1 × 10⁻⁴, in cosine cycles of 40, 40 and 40 epochs "
        "down to 0, set once an epoch; each further cycle started from the best weights of the one before with a fresh "
        "optimizer)" in text
    )
    assert "in a cosine cycle of 40 epochs down to 0, set once an epoch)" in text
    assert "epochs were two passes over the data" in text or "an epoch was two passes over the data" in text


def test_the_methods_describe_schedules_without_the_originals_habits():
    plateau = {"name": "plateau", "epochs": 9, "factor": 0.5, "patience": 1, "stop_after": 2}
    text = methods(winning(phases=[PHASE | {"schedule": plateau}], members={"phase1": 1}))
    assert (
        "(batches of 8, learning rate 0.01, multiplied by 0.5 after 1 epoch without a better score; stopped after 2 "
        "such epochs or after 9 in total)" in text
    )
    best = {"name": "cosine", "cycles": [4, 2], "restart": {"weights": "best"}}
    text = methods(winning(phases=[PHASE | {"schedule": best}], members={"phase1_cycle1": 1}))
    assert "of 4 and 2 epochs down to 0; each further cycle started from the best weights of the one before)" in text
    text = methods(winning(phases=[PHASE | {"schedule": best | {"restart": {}}}], members={"phase1_cycle1": 1}))
    assert "(batches of 8, learning rate 0.01, in cosine cycles of 4 and 2 epochs down to 0)" in text


def test_the_methods_say_which_models_learn_from_constant_tiles():
    on_constant = "stage1_resnet34, stage2_resnet34, stage3_pad128 and stage3_resize128"
    given = methods(winning())
    assert f"excluded from training, except for the folds of {on_constant}, and from the out-of-fold scores" in given
    raw = winning().model_dump(mode="json")
    for model in raw["models"].values():
        model["constant_tiles"] = "leave_out"
    assert "Constant tiles were excluded from training and from the out-of-fold scores, and" in methods(
        check_config(raw)
    )


def test_the_methods_describe_what_the_networks_of_the_winning_recipe_see_and_what_is_stretched():
    text = methods(winning())
    assert "given as grey three times, with values of 0 to 255. Pixels at the edges of resized masks kept" in text
    assert "a vertical ramp, and their product, with values of 0 to 1. Each fold was trained" in text
    assert text.count("averaged over the folds, and stretched to 0 … 1 over all unlabelled tiles.") == 4
    assert "multiplying the grey values by 1 ± 0.2 about triple_mean (p = 0.1)" in text
    assert text.count("averaged over the folds.") == 2


def test_the_methods_name_the_pseudo_labels_that_leak():
    assert "and the pseudo-labels stage1_confident, stage2_confident and stage1_by_size came from" in methods(winning())


@pytest.mark.parametrize("weights", ["imagenet", "package"])
def test_the_methods_name_the_first_weights(weights):
    network = {"name": "unet", "encoder": "tu-tf_efficientnet_lite0", "weights": weights}
    text = methods(winning(network=network))
    assert text.count("from ImageNet weights.") == 6  # of six models


@pytest.mark.parametrize(
    ("decoder", "expected"),
    [
        ("published", "scSE blocks in its decoder (as its author published it, with a batch norm of the input, "),
        ("smp", "scSE blocks in its decoder (of segmentation_models_pytorch) on the encoder resnext50_32x4d, from "),
    ],
)
def test_the_methods_tell_decoders_of_the_resnext50_apart(decoder, expected):
    raw = winning().model_dump(mode="json")
    for name in ("stage1_resnext50", "stage2_resnext50"):
        raw["models"][name]["network"]["decoder"] = decoder
    assert methods(check_config(raw)).count(expected) == 2


def test_the_methods_describe_sums_averages_triangles_and_mixing():
    phase = {
        "loss": {"bce": 0.1, "dice": {"weight": 0.4, "smooth": 10}, "lovasz_relu": 0.5},
        "optimizer": {"name": "sgd", "lr": 0.01},
        "schedule": {"name": "triangular2", "cycles": [4]},
        "average": {"name": "swa", "start": 2},
        "batch": 18,
    }
    text = methods(winning(phases=[phase], members={"phase1_cycle1": 1}, mix={"name": "cutmix", "p": 0.25}))
    terms = "0.1 × binary cross-entropy, 0.4 × Dice loss (smoothed by 10 px) and 0.5 × the Lovász hinge loss"
    assert f"the sum of {terms} using SGD" in text
    assert "in a triangular cycle of 4 epochs down to 0; the mean of the weights after epoch 2 and then after" in text
    assert "after every epoch was validated and kept" in text
    assert "Of the batches, 25.0 % were mixed by cutmix, with shares from Beta(1, 1)." in text


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
                "The prediction was that of the snapshot phase1_cycle1; predictions of test tiles were averaged over "
                "the folds.",
            ],
        ),
        (
            {"name": "every", "epochs": 2},
            {"name": "equal"},
            [
                "The weights of the last of every 2 epochs were kept as snapshots.",
                "The prediction was the mean of all kept snapshots with equal weights; predictions of test tiles",
            ],
        ),
        (
            {"name": "best", "count": 3},
            {"name": "falling", "best": 2, "ratio": 0.5},
            [
                "the held-out fold was used to choose the best epoch of each cycle, the 3 best epochs of each "
                "phase and the snapshots of the prediction, and the pseudo-labels",
                "The weights of the 3 best epochs of each phase were kept as snapshots.",
                "The prediction was the mean of the 2 kept snapshots with the best held-out scores, each weighing 0.5 "
                "times the one before; predictions of test tiles were averaged over the folds.",
            ],
        ),
    ],
)
def test_the_methods_describe_what_was_kept_and_with_what_weight(keep, members, sentences):
    text = methods(winning(phases=[PHASE | {"keep": keep}], members=members, stretch=False))
    for sentence in sentences:
        assert sentence in text


def test_the_methods_mention_no_choice_if_the_held_out_fold_made_none():
    model = {"phases": [PHASE | {"keep": {"name": "last"}}], "members": {"phase1_last": 1}}
    raw = yaml.safe_load((rendering.FOLDER.parent / "workflow_config.yaml").read_text(encoding="utf-8"))
    network = {"network": {"name": "unet_plain"}, "input": {"pad": 128}}
    raw |= {"models": {"only": network | model}, "ensembles": {"final": {"only": 1}}, "pseudo_labels": {}}
    assert "optimistic" not in methods(check_config(raw))
    raw["models"]["only"]["phases"] *= 2
    assert "the held-out fold was used to choose the weights that a phase started from." in methods(check_config(raw))
    cycles = {"name": "cosine", "cycles": [4, 4], "restart": {"weights": "best"}}
    raw["models"]["only"]["phases"] = [model["phases"][0] | {"schedule": cycles}]
    assert "the held-out fold was used to choose the weights that a cycle started from." in methods(check_config(raw))


def test_the_methods_say_where_the_folds_are_from():
    raw = winning().model_dump(mode="json")
    assert "tiles of equal depth such that folds were even), and every model" in methods(check_config(raw))
    raw["folds"] |= {"by": "file", "file": "data/mine.csv"}
    assert "five folds as listed in a file (data/mine.csv), and every model" in methods(check_config(raw))


def learning(phase=None, model=None, labels=None):
    """The methods of the winning recipe with changes to a phase, to a model with pseudo-labels, and to their set."""
    raw = winning().model_dump(mode="json")
    raw["models"]["stage1_resnet34"]["phases"][0] |= phase or {}
    raw["models"]["stage2_resnet34"] |= model or {}
    raw["pseudo_labels"]["stage1_by_size"] |= labels or {}
    return methods(check_config(raw))


def test_the_methods_describe_what_pseudo_labels_teach():
    plain = learning()
    assert not re.search("labelled;|probability p of each|weighted by the tile's confidence", plain)
    text = learning(model={"labelled_share": 0.25}, labels={"masks": "soft"})
    assert "were added to the training tiles of each fold; in each batch, 25.0 % of the tiles were labelled." in text
    assert "Networks learned the probability p of each of its pixels instead of the mask." in text
    assert "at most 1580, 1580, 1600, 1580 and all others for the folds in turn, in six classes of mask size" in plain
    equal = learning(labels={"per_fold": [{"pixels": [0, 0], "count": 600}, {"pixels": [20, 500], "count": 110}]})
    assert "at most 710 per fold in two classes of mask size, different ones for each fold" in equal
    text = learning(labels={"weight": {"name": "confidence", "power": 2}})
    assert "The loss of each of its tiles was weighted by the tile's confidence to the power of 2." in text


def test_the_methods_describe_consistency_training():
    assert "unlabelled tiles per step" not in learning()
    strong = [{"name": "noise", "p": 0.8, "std": 0.1}]
    given = {"teacher": "average", "batch": 9, "mix": {"name": "cutmix"}, "masks": "soft", "augment": strong}
    text = learning({"average": {"name": "ema", "decay": 0.99}, "consistency": given})
    assert (
        "validated and kept; from 9 unlabelled tiles per step, changed by adding noise with a deviation of up to 0.1 "
        "of the grey range (p = 0.8), mixed by cutmix, the network learned what the average of its weights predicted "
        "without these changes, where p &lt; 0.2 or p &gt; 0.8, as probabilities (weight 1, reached after 30.0 % of "
        "the epochs)" in text
    )
    text = learning({"consistency": {"teacher": "self", "batch": 9, "ramp": 0, "augment": strong}})
    assert "learned what it predicted without these changes, where p &lt; 0.2 or p &gt; 0.8 (weight 1))" in text
