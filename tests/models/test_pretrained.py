import pytest

from models.registry import create_network
from schemas.config import ConfigError, ResNet34Family, Unet


@pytest.mark.parametrize(
    "network",
    [
        Unet(name="unet", encoder="resnet18", weights="no_such_weights"),
        Unet(name="unet", encoder="no_such_encoder"),
        ResNet34Family(name="res34_pad128", weights="no_such_weights"),
    ],
)
def test_weights_that_cannot_be_had_are_an_error_with_the_remedy(network):
    with pytest.raises(ConfigError, match="weights: none"):
        create_network(network)


def test_trained_weights_need_no_pretrained_ones():
    create_network(Unet(name="unet", encoder="resnet18", weights="no_such_weights"), pretrained=False)
