"""Write the report: a self-contained page about a run, and a page with all of its mosaics."""

import argparse
import json
from pathlib import Path

from salt.report import mosaic_page, run_page
from salt.runtime import program, provenance
from salt.runtime.atomic import atomic_path
from salt.runtime.paths import Run
from salt.runtime.progress import say
from schemas.reading import check_config


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Options of the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="the config without compute and pathvars, as JSON")
    parser.add_argument("--run", type=Path, required=True, help="folder of the run; its name becomes the report's")
    parser.add_argument("--reads", type=Path, nargs="+", required=True, help="the files of the run that the pages show")
    parser.add_argument("--report-out", type=Path, required=True, help="html to write: the page")
    parser.add_argument(
        "--mosaics-out", type=Path, required=True, help="html to write, in the same folder: the page of mosaics"
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Run the program."""
    args = parse_args(argv)
    config = check_config(json.loads(args.settings) | {"pathvars": {"results": str(args.run)}})
    pages = {
        args.report_out: run_page.page(config, Run(args.run)),
        args.mosaics_out: mosaic_page.page(Run(args.run), run_page.SHOWN_MOSAICS),
    }
    for out, page in pages.items():
        with atomic_path(out) as path:
            path.write_text(page, encoding="utf-8")
        say(f"page of {len(page.encode()) / 1e6:.1f} MB: {out}")
    provenance.write(list(pages), args.settings, {"reads": args.reads})


if __name__ == "__main__":
    program.run(main)
