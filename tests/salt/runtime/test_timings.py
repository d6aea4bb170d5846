import os

from salt.runtime import timings
from salt.runtime.paths import Run
from salt.runtime.timings import Timing
from schemas.networks import PlainUnet, Unet

ONE = Timing(network="{}", shape=(64, 96), tiles=100, seconds=5.5, weights=1000, device="CPU")


def write(path, seconds, age):
    Timing("{}", (64, 64), 100, seconds, 1000, "CPU").write(path)
    os.utime(path, (1e9 - age, 1e9 - age))


def test_a_timing_is_read_as_it_was_written(tmp_path):
    ONE.write(tmp_path / "timings" / "one.json")
    assert Timing.read(tmp_path / "timings" / "one.json") == ONE


def test_a_runs_own_timings_come_before_those_of_other_runs_and_new_ones_first(tmp_path):
    write(tmp_path / "tgs" / "timings" / "a.json", seconds=2, age=9)
    write(tmp_path / "tgs" / "timings" / "b.json", seconds=1, age=8)
    write(tmp_path / "demo" / "timings" / "a.json", seconds=3, age=0)
    assert [timing.seconds for timing in timings.load(Run(tmp_path / "tgs"))] == [1, 2, 3]
    assert timings.load(Run(tmp_path / "nothing" / "there")) == []


def test_files_that_are_no_timings_are_left_out(tmp_path):
    (tmp_path / "tgs" / "timings").mkdir(parents=True)
    for name, text in (("a", "{"), ("b", "[]"), ("c", '{"hours": 3}')):
        (tmp_path / "tgs" / "timings" / f"{name}.json").write_text(text)
    assert timings.load(Run(tmp_path / "tgs")) == []


def test_networks_are_of_one_kind_whatever_weights_they_start_from():
    kinds = {timings.kind(Unet(name="unet", encoder="resnet34", weights=weights)) for weights in ("none", "imagenet")}
    assert len(kinds) == 1
    assert timings.kind(PlainUnet(name="unet_plain", width=8)) != timings.kind(PlainUnet(name="unet_plain", width=9))
