import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from models.registry import create_network
from salt.data.network_input import Geometry
from salt.inference.predictor import Predictor
from salt.inference.weight_files import load_weights
from salt.packs import onnx_export
from schemas.errors import UserError
from schemas.networks import Input
from schemas.results import EnsembleMember
from tests.salt.packs.conftest import ON_ENCODER, PLAIN

HAS_RUNTIME = importlib.util.find_spec("onnxruntime") is not None
runtime = pytest.mark.skipif(not HAS_RUNTIME, reason="no onnxruntime is published for this Python")


def start(small, model, *more):
    onnx_export.main(["--run", str(small.folder), "--model", model, *more])


@runtime
def test_a_snapshot_becomes_a_network_with_the_probabilities_of_torch(small, tiles):
    import onnxruntime

    start(small, "two", "--fold", "1", "--snapshot", "phase1_cycle2")
    (file,) = (small.folder / "onnx").iterdir()
    assert file.name == "two_fold1_phase1_cycle2.onnx"
    member = EnsembleMember.model_validate({"network": ON_ENCODER, "input": {"channels": "ramp"}, "weight": 1})
    network = create_network(member.network, 3).eval()
    load_weights(network, small.fold("two", 1).snapshots / "phase1_cycle2.safetensors")
    geometry = Geometry(member.input, tiles.shape[1:])
    depths = np.zeros(len(tiles), np.float32)
    expected = Predictor([network], [1], geometry, torch.device("cpu")).predict(tiles, depths).plain
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    for some in (slice(None), slice(1, 2)):
        (found,) = session.run(["probabilities"], {"tiles": tiles[some]})
        assert np.abs(found - expected[some]).max() < 1e-5
    assert found.dtype == np.float32
    assert expected[0].max() == 0  # constant
    assert session.get_modelmeta().custom_metadata_map["weights"] == "phase1_cycle2.safetensors"


@runtime
def test_everything_between_bytes_and_probabilities_is_in_the_file(small, tmp_path):
    given = {"channels": "rgb", "resize": 48, "pad": 64, "pad_mode": "reflect", "values": "raw"}
    colours = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    member = EnsembleMember(network=PLAIN, input=Input.model_validate(given), weight=1)
    weights = small.fold("one", 0).snapshots / "phase1_cycle1.safetensors"
    assert onnx_export.export(weights, member, (32, 32), colours, tmp_path / "one.onnx") < 1e-5


def test_a_network_whose_probabilities_differ_is_refused():
    onnx_export.must_agree(Path("a.safetensors"), 9e-5)
    for difference in (2e-4, float("nan")):
        with pytest.raises(UserError, match=r"a\.safetensors within 0\.0001 of torch's, found a difference of"):
            onnx_export.must_agree(Path("a.safetensors"), difference)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["three"], "expected MODEL to be one of one, two, unused, found three"),
        ([""], "expected MODEL to be one of one, two, unused, found nothing"),
        (["one", "--fold", "2"], "expected FOLD to be from 0 to 1, found 2"),
        (["one", "--snapshot", "phase1_cycle3"], "one of phase1_cycle1, phase1_cycle2, found phase1_cycle3"),
    ],
)
def test_unknown_names_are_answered_with_the_known_ones(small, monkeypatch, options, text):
    monkeypatch.setattr(onnx_export, "PACKAGES", ())
    with pytest.raises(UserError, match=text):
        start(small, *options)


def test_a_missing_package_and_missing_tiles_are_named(small, monkeypatch):
    small.tiles.images("test").unlink()
    monkeypatch.setattr(onnx_export, "PACKAGES", ())
    with pytest.raises(UserError, match="expected test tiles of the run to compare outputs on, found none in"):
        start(small, "one")
    monkeypatch.setattr(onnx_export, "PACKAGES", ("no_such_package",))
    with pytest.raises(UserError, match="found no no_such_package"):
        start(small, "one")
    assert not Path("results/small/onnx").exists()


def test_all_snapshots_that_predict_are_exported_unless_one_is_named(small):
    run = onnx_export.run_of(small.folder, "one")
    for snapshot, expected in (("", ["phase1_cycle1", "phase1_cycle2"]), ("phase1_cycle2", ["phase1_cycle2"])):
        found = onnx_export.members_of(run, "one", 0, snapshot)
        assert [Path(member.file).stem for member in found] == expected
