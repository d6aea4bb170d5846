import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from salt.curves import event_file
from salt.curves.event_file import EventFile

EPOCHS = [{"loss/training": 1 / 3**step, "schedule/phase": 1} for step in range(1, 6)]
PICTURE = {"tile": np.arange(2 * 6 * 3, dtype=np.uint8).reshape(2, 6, 3)}


def read(folder):
    """What TensorBoard reads: steps and values by tag, and the steps of pictures."""
    found = EventAccumulator(str(folder)).Reload()
    return shown(found)


def shown(found):
    tags = found.Tags()
    curves = {tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in tags["scalars"]}
    return curves, {tag: [event.step for event in found.Images(tag)] for tag in tags["images"]}


def curves(epochs):
    """What is read of these epochs, in single precision."""
    tags = dict.fromkeys(tag for epoch in epochs for tag in epoch)
    steps = list(enumerate(epochs, 1))
    return {tag: [(step, float(np.float32(epoch[tag]))) for step, epoch in steps if tag in epoch] for tag in tags}


def written(folder, epochs, speed=7.0):
    file = EventFile(folder, [])
    for number, epoch in enumerate(epochs, 1):
        file.add(epoch, {"images per second": speed}, PICTURE if number % 2 else {})
    return file


def test_tensorboard_reads_what_was_written(tmp_path):
    written(tmp_path, EPOCHS)
    values, pictures = read(tmp_path)
    assert values == curves([epoch | {"images per second": 7.0} for epoch in EPOCHS])
    assert pictures == {"tile": [1, 3, 5]}
    (picture, *_) = EventAccumulator(str(tmp_path)).Reload().Images("tile")
    assert (picture.height, picture.width) == (2, 6)


@settings(max_examples=40)
@given(kept=st.integers(0, 5), cut=st.integers(0, 400))
def test_wherever_a_file_was_cut_a_training_that_goes_on_leaves_each_finished_epoch_once(tmp_path_factory, kept, cut):
    folder = tmp_path_factory.mktemp("cut")
    path = written(folder, EPOCHS).path
    content = path.read_bytes()
    path.write_bytes(content[: max(0, len(content) - cut)])
    EventFile(folder, EPOCHS[:kept]).add({"loss/training": 9}, {}, {})
    values, _ = read(folder)
    values.pop("images per second", None)
    assert values == curves([*EPOCHS[:kept], {"loss/training": 9}])
    shutil.rmtree(folder)


@settings(max_examples=40)
@given(place=st.integers(0, 1000), flip=st.integers(1, 255))
def test_damage_to_an_old_file_changes_no_value_of_a_finished_epoch(tmp_path_factory, place, flip):
    folder = tmp_path_factory.mktemp("damaged")
    path = written(folder, EPOCHS).path
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= flip
    path.write_bytes(content)
    found = [event_file.values(event) for event in event_file.read(EventFile(folder, EPOCHS).path)]
    kept = [{tag: of.get(tag) for tag in epoch} for of, epoch in zip(found, EPOCHS, strict=True)]
    assert kept == [{tag: float(np.float32(value)) for tag, value in epoch.items()} for epoch in EPOCHS]
    shutil.rmtree(folder)


def test_speeds_times_and_pictures_of_finished_epochs_stay(tmp_path):
    before = list(event_file.read(written(tmp_path, EPOCHS).path))
    after = list(event_file.read(EventFile(tmp_path, EPOCHS[:4]).path))
    assert [event.SerializeToString() for event in after] == [event.SerializeToString() for event in before[:4]]


def test_nothing_stays_of_another_training_in_the_same_folder(tmp_path):
    written(tmp_path, EPOCHS)
    others = [epoch | {"loss/training": 4.0} for epoch in EPOCHS[:3]]
    EventFile(tmp_path, others)
    assert read(tmp_path) == (curves(others), {})


def test_curves_that_were_lost_come_back_from_the_history(tmp_path):
    EventFile(tmp_path, EPOCHS)
    assert read(tmp_path) == (curves(EPOCHS), {})


@pytest.mark.parametrize("restarts", [1, 2])
@pytest.mark.parametrize("cut", [0, 20])
def test_a_reader_that_watches_goes_on_to_what_is_true(tmp_path, restarts, cut):
    path = written(tmp_path, EPOCHS).path
    watching = EventAccumulator(str(tmp_path)).Reload()
    if cut:
        with path.open("ab") as file:
            file.write(path.read_bytes()[-60:][:cut])
        watching.Reload()
    for _ in range(restarts):
        file = EventFile(tmp_path, EPOCHS[:2])
        file.add({"loss/training": 9}, {}, PICTURE)
    watching.Reload()
    assert shown(watching) == read(tmp_path)
    assert shown(watching)[0]["loss/training"][-1] == (3, 9)
    assert shown(watching)[1] == {"tile": [1, 3]}
