"""Results of jobs that ended after their run was killed: Snakemake has no record of their settings."""

from salt.runtime import provenance
from salt.workflow.snakemake_adapter import Engine
from schemas.errors import UserError


def adopt(engine: Engine) -> None:
    """Record such results, before a run's first job. Ends the program if one was made with other settings."""
    for job in engine.unrecorded():
        try:
            made_with = provenance.read(job.output).get("settings")
        except UserError as error:
            raise SystemExit(f"Error: {error}") from None
        if made_with == job.settings:
            job.record()
        elif made_with is not None:
            raise SystemExit(
                f"Error: expected {job.output} to be made with the settings of this config, found others in "
                f"{provenance.path_of(job.output)}: a job of a killed run made it before the config was edited. Delete "
                f"{job.output}, and type the same command again."
            )
