import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from salt.training.state import Epoch, TrainingState
from schemas.base import variants
from schemas.phases import Phase
from schemas.snapshots import Keep

PHASE = {"loss": "bce", "optimizer": {"name": "adamw", "lr": 0.01}, "batch": 4}
EVERY_KEEP = [
    {"name": "best_of_cycle"},
    {"name": "best", "count": 1},
    {"name": "best", "count": 3},
    {"name": "last"},
    {"name": "every", "epochs": 2},
]
KEEPS = st.sampled_from(EVERY_KEEP)
RESTARTS = st.sampled_from(["last", "best"])
SCORES = st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4]), min_size=4, max_size=4) | st.just([math.nan] * 4)


def train(phases, scores, state=None):
    """Training without steps: the weight of epoch n of phase p is 10 p + n. With a checkpoint after each epoch."""
    state = state or TrainingState()
    for number, of_phase in enumerate(scores, 1):
        state.phase = number
        for epoch, score in enumerate(of_phase, 1):
            network = torch.nn.Linear(1, 1)
            torch.nn.init.constant_(network.weight, 10 * number + epoch)
            state.end_epoch(Epoch(number, (epoch + 1) // 2, epoch, 0.1, 0.5, 0.5, score), network, phases)
            state = TrainingState.of(state.facts([]), dict(state.weights), torch.device("cpu"))
            if phases[number - 1].restarts_by_score:
                first = epoch - (epoch + 1) % 2  # of the cycle of two epochs
                best = first - 1 + ranked(of_phase[first - 1 : epoch])[0]
                assert float(state.weights[state.best_of_cycle.key]["weight"]) == 10 * number + best
    return state


def ranked(scores):
    """Epochs from the best: by score and then the earlier; where there are no scores, from the last."""
    epochs = range(1, len(scores) + 1)
    return sorted(epochs, key=lambda epoch: -epoch if math.isnan(scores[0]) else (-scores[epoch - 1], epoch))


def expected(keep, scores):
    """What a phase keeps, chosen when all of its epochs are there."""
    match keep:
        case {"name": "best_of_cycle"}:
            return {
                f"_cycle{cycle}": next(epoch for epoch in ranked(scores) if (epoch + 1) // 2 == cycle)
                for cycle in (1, 2)
            }
        case {"name": "best", "count": count}:
            return {f"_best{place}": epoch for place, epoch in enumerate(ranked(scores)[:count], 1)}
        case {"name": "last"}:
            return {"_last": 4}
    return {"_epoch2": 2, "_epoch4": 4}


def test_the_names_of_snapshots_are_tried_with_every_rule():
    assert {keep["name"] for keep in EVERY_KEEP} == variants(Keep).keys()


@given(st.lists(st.tuples(KEEPS, SCORES), min_size=1, max_size=3), RESTARTS)
def test_what_is_kept_epoch_by_epoch_and_over_checkpoints_is_what_one_would_choose_at_the_end(drawn, restart):
    schedule = {"name": "cosine", "cycles": [2, 2], "restart": {"weights": restart}}
    phases = [Phase.model_validate(PHASE | {"schedule": schedule, "keep": keep}) for keep, _ in drawn]
    state = train(phases, [scores for _, scores in drawn])
    found = {kept.name: float(weights["weight"]) for kept, weights in state.kept(phases).items()}
    wanted = {
        f"phase{number}{suffix}": 10 * number + epoch
        for number, (keep, scores) in enumerate(drawn, 1)
        for suffix, epoch in expected(keep, scores).items()
    }
    assert list(found.items()) == list(wanted.items())
    assert list(found) == [name for number, phase in enumerate(phases, 1) for name in phase.snapshots(number)]
    assert state.best.epoch == ranked(drawn[-1][1])[0]
    assert float(state.weights[state.best.key]["weight"]) == 10 * len(drawn) + state.best.epoch
    assert len(state.weights) <= len(found) + 1 + (
        restart == "best"
    )  # the best of the last phase and of its last cycle


def test_the_weights_are_copies():
    network, state = torch.nn.Linear(1, 1), TrainingState()
    phases = [Phase.model_validate(PHASE | {"schedule": {"name": "cosine", "cycles": [3]}})]
    first = network.weight.clone()
    for epoch, score in enumerate([0.5, 0.4], 1):
        state.end_epoch(Epoch(1, 1, epoch, 0.1, 0.5, 0.5, score), network, phases)
        with torch.no_grad():
            network.weight += 1
    assert torch.equal(state.weights[state.best.key]["weight"], first)


@pytest.mark.parametrize(("epochs", "names"), [(3, ["_epoch2"]), (4, ["_epoch2", "_epoch4"])])
def test_a_plateau_that_ends_early_leaves_the_snapshots_of_the_epochs_it_had(epochs, names):
    plateau = {"name": "plateau", "epochs": 9, "factor": 0.5, "patience": 1, "stop_after": 1}
    phases = [Phase.model_validate(PHASE | {"schedule": plateau, "keep": {"name": "every", "epochs": 2}})]
    state = train(phases, [[0.5] * epochs])
    assert [kept.name for kept in state.kept(phases)] == [f"phase1{name}" for name in names]
