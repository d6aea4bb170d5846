"""Make networks once, to find those that cannot be made before anything is trained: `python -m models.trial JSON`.

JSON: {name: {"network": its settings, "channels": of its input, "sides": height and width of its input, px}}
Prints {name: what is wrong} of those that cannot. It imports what makes them, which takes seconds.
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
    """Names of the networks that cannot be made, and why."""
    for name, trial in trials.items():
        network = TypeAdapter(Network).validate_python(trial["network"])
        try:
            with torch.device("meta"):  # nothing is filled
                stride = create_network(network, trial["channels"]).stride
            if network.pretrained:
                must_be_known(network.pretrained)
        except UserError as error:
            yield name, str(error)
            continue
        wrong = [side for side in trial["sides"] if side % stride]
        if wrong:
            fault = f"Expected an input whose side divides by {stride}, as this network needs, and found {wrong[0]} px."
            yield name, f"{fault} Set `resize` or `pad` of the model's `input`."


if __name__ == "__main__":
    print(json.dumps(dict(faults(json.loads(sys.argv[1])))))
