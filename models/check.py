"""Create networks on trial, to find faulty ones before any training: `python -m models.check JSON`.

JSON: {name: {"network": its settings, "channels": of its input, "sides": height and width of its input, px}}
Prints {name: fault} of the faulty ones. A program of its own, because importing torch takes seconds.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from pydantic import TypeAdapter

from models.pretrained import must_be_known
from models.registry import create_network
from schemas.errors import UserError
from schemas.networks import Network


def faults(trials: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Names of the networks that cannot be created, and why."""
    for name, trial in trials.items():
        network = TypeAdapter(Network).validate_python(trial["network"])
        try:
            with torch.device("meta"):  # allocates no memory
                stride = create_network(network, trial["channels"]).stride
            if network.pretrained:
                must_be_known(network.pretrained)
        except UserError as error:
            yield name, str(error)
            continue
        wrong = [side for side in trial["sides"] if side % stride]
        if wrong:
            fault = f"Expected an input whose side is divisible by {stride}, as this network needs"
            yield name, f"{fault}, and found {wrong[0]} px. Set `resize` or `pad` of the model's `input`."


if __name__ == "__main__":
    print(json.dumps(dict(faults(json.loads(sys.argv[1])))))
