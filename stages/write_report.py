"""Write the report: one self-contained page about a run."""

import argparse
import json
from pathlib import Path

from salt import program, provenance, report
from salt.atomic import atomic_path
from salt.progress import say
from schemas.config import check_config


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Options of the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="the config without compute and pathvars, as JSON")
    parser.add_argument("--run", type=Path, required=True, help="folder of the run: its name is the report's")
    parser.add_argument("--reads", type=Path, nargs="+", required=True, help="its files that the page is made of")
    parser.add_argument("--out", type=Path, required=True, help="the page to write, HTML")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Run the program."""
    args = parse_args(argv)
    config = check_config(json.loads(args.settings) | {"pathvars": {"results": str(args.run)}})
    page = report.page(config, args.run)
    with atomic_path(args.out) as path:
        path.write_text(page, encoding="utf-8")
    provenance.leave(args.out, args.settings, {"reads": args.reads})
    say(f"report of {len(page.encode()) / 1e6:.1f} MB: {args.out}")


if __name__ == "__main__":
    program.run(main)
