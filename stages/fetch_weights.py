"""Fetch the first weights of an encoder, by name from the internet or from a local file."""

import argparse
from pathlib import Path

from models.pretrained import fetch_encoder
from salt.inference.weight_files import save_weights
from salt.runtime import program, provenance
from salt.runtime.progress import say
from schemas.networks import PretrainedEncoder
from schemas.reading import read_settings


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Options of the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="JSON of schemas.networks.PretrainedEncoder")
    parser.add_argument("--out", type=Path, required=True, help="safetensors to write, for 3 input channels")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Run the program."""
    args = parse_args(argv)
    settings = read_settings(PretrainedEncoder, args.settings)
    state, origin = fetch_encoder(settings)
    save_weights(args.out, state)
    provenance.write(args.out, args.settings, {"file": Path(settings.file) if settings.file else None}, source=origin)
    digest = provenance.sha256(args.out)
    say(f"fetched weights of {settings.encoder} from {origin}: {args.out.name}, sha256 {digest}")


if __name__ == "__main__":
    program.run(main)
