"""Config sections about losses. models/losses.py computes them, by name, from their parameters."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from schemas.base import Positive, Section, variants


class BaseLoss(Section):
    """A term of the loss.

    words: its description in the report's methods, a format string of the section's fields
    needs_heads: whether it takes all outputs of a network with heads for deep supervision, not only the mask
    """

    words: ClassVar[str]
    needs_heads: ClassVar[bool] = False

    weight: Positive = Field(1.0, description="Factor of this loss in the sum.")

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of the loss itself, by name."""
        return self.model_dump(exclude={"name", "weight"})


class Bce(BaseLoss):
    """Mean binary cross-entropy over all pixels."""

    words = "binary cross-entropy"
    name: Literal["bce"] = "bce"


class Dice(BaseLoss):
    """1 - Dice coefficient over the whole batch at once."""

    words = "Dice loss (smoothed by {0.smooth:g} px)"
    name: Literal["dice"] = "dice"
    smooth: Positive = Field(
        1.0, description="Pixels added to numerator and denominator; the larger, the less small masks weigh."
    )


class BceDice(BaseLoss):
    """Half BCE, half Dice with its default parameters."""

    words = "the mean of binary cross-entropy and Dice loss"
    name: Literal["bce_dice"] = "bce_dice"


class LovaszRelu(BaseLoss):
    """Lovasz hinge with ReLU, mean over images (the ResNet34 author's)."""

    words = "the Lovász hinge loss"
    name: Literal["lovasz_relu"] = "lovasz_relu"


class LovaszElu(BaseLoss):
    """Lovasz hinge with ELU + 1, mean over images (the ResNeXt50 author's)."""

    words = "the Lovász hinge loss with an ELU surrogate"
    name: Literal["lovasz_elu"] = "lovasz_elu"


class LovaszSymmetric(BaseLoss):
    """Mean of the Lovasz hinge of salt and that of background."""

    words = "the symmetric Lovász hinge loss"
    name: Literal["lovasz_symmetric"] = "lovasz_symmetric"


class LovaszNonEmpty(BaseLoss):
    """Lovasz hinge with ReLU, mean over the images with salt; 0 if there are none."""

    words = "the Lovász hinge loss of the tiles with salt"
    name: Literal["lovasz_non_empty"] = "lovasz_non_empty"


class DeepSupervision(BaseLoss):
    """Lovasz(mask) + BCE(empty) + Lovasz(pixel), for networks with these heads (recipe 5.2).

    The last term is a mean over all tiles, of which empty ones count 0.
    """

    words = "the Lovász hinge loss with deep supervision by an image and a pixel head"
    needs_heads = True
    name: Literal["deep_supervision"] = "deep_supervision"


Loss = Annotated[
    Bce | Dice | BceDice | LovaszRelu | LovaszElu | LovaszSymmetric | LovaszNonEmpty | DeepSupervision,
    Field(discriminator="name"),
]
KINDS = variants(Loss)
if TYPE_CHECKING:
    LossName = str
else:
    LossName = Literal[tuple(KINDS)]


def _named(losses: Any) -> Any:
    """Copy each loss's name into its mapping, where pydantic expects it."""
    return {name: _with_name(name, term) for name, term in losses.items()} if isinstance(losses, Mapping) else losses


def _with_name(name: Any, term: Any) -> Any:
    if not isinstance(term, Mapping):
        return term
    if term.get("name", name) != name:
        raise ValueError(f"expected no other name inside {name}, found {term['name']}; take it out")
    return {**term, "name": name}


WEIGHTED = {
    "expected": "a number above 0 or a mapping of parameters",
    "about": "Any of these, each at most once; a number instead of a mapping is its `weight`.",
}
Losses = Annotated[
    LossName
    | Annotated[dict[LossName, Annotated[Positive | Loss, Field(json_schema_extra=WEIGHTED)]], Field(min_length=1)],
    BeforeValidator(_named),
]


def terms(losses: Losses) -> tuple[Loss, ...]:
    """The terms of a sum, in its order. Terms may be written as a name, with a weight or with parameters."""
    if isinstance(losses, str):
        return (KINDS[losses](),)
    return tuple(KINDS[name](weight=term) if isinstance(term, float) else term for name, term in losses.items())


def shown(losses: Losses) -> str:
    """A sum as logs and tables show it: `lovasz_relu`, or `0.1 bce + 0.9 dice (smooth 10)`."""
    if isinstance(losses, str):
        return losses
    return " + ".join(f"{term.weight:g} {term.name}{_shown_parameters(term)}" for term in terms(losses))


def _shown_parameters(term: Loss) -> str:
    parameters = ", ".join(f"{name} {value:g}" for name, value in term.parameters.items())
    return f" ({parameters})" if parameters else ""
