"""The manifest of a pack: what it is, how it predicts, and the digests of its files."""

from typing import Annotated, Final, Literal

from pydantic import Field

from schemas.base import Name, Section
from schemas.results import TrainedEnsemble

VERSION: Final = 1  # of the format: raise it when a reader of the last one would predict something else, or nothing
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Manifest(Section):
    """A pack says itself how it predicts, so it needs no recipe, and no config of another commit is read."""

    format: Literal[1] = Field(VERSION, description="Version of the format.")
    run: str = Field(description="Name of the run.")
    ensemble: Name = Field(description="The ensemble, or the model, that the run submitted.")
    precision: Literal["float32", "float16"] = Field("float32", description="Of the kernels of all networks.")
    prediction: TrainedEnsemble = Field(description="What images are predicted with.")
    files: dict[str, Digest] = Field(min_length=1, description="SHA-256 of all other files, by their paths.")
