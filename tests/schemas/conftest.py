from pathlib import Path

import yaml

WINNING = yaml.safe_load(Path("workflow_config.yaml").read_text())


def merge(base, overlay):
    """Merge like Snakemake's --configfile: mappings recursively; everything else is replaced."""
    if not (isinstance(base, dict) and isinstance(overlay, dict)):
        return overlay
    return base | {key: merge(base.get(key), value) for key, value in overlay.items()}
