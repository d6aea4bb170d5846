"""The jobs that a run would do, and why: what Snakemake knows of them, and which settings changed from what to what."""

import ast
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MISSING, SETTINGS, RULE = "output missing", "settings changed", "rule changed in the Snakefile"
FORCED, INPUT, FOLLOWS = "asked for on the command line", "input changed", "follows from another job"
REASONS = (MISSING, SETTINGS, RULE, FORCED, INPUT, FOLLOWS)


@dataclass(frozen=True)
class Job:
    """A job that is to run.

    why: one of REASONS
    changes: of its settings since it last ran: "phases.0.optimizer.lr: 0.002 -> 0.001"
    present: bytes of its outputs that are there and will be replaced
    """

    rule: str
    wildcards: Mapping[str, str]
    why: str = MISSING
    changes: tuple[str, ...] = ()
    present: int = 0


def pending(workflow: Any) -> list[Job]:
    """The jobs that need to run, in the order of their rules. `workflow`: Snakemake's, its DAG built."""
    order = {rule.name: number for number, rule in enumerate(workflow.rules)}
    jobs = [job for job in workflow.dag.needrun_jobs(exclude_finished=False) if not job.rule.norun]
    jobs.sort(key=lambda job: (order[job.rule.name], sorted(job.wildcards_dict.items(), reverse=True)))  # model first
    return [_job(workflow, job) for job in jobs]


def _job(workflow: Any, job: Any) -> Job:
    reason = workflow.dag.reason(job)
    # Snakemake itself compares the settings of the first job of each chain alone: what follows reruns anyway.
    changed = workflow.persistence.params_changed(job)
    changes = tuple(differences(_settings(changed.only_old), _settings(changed.only_new))) if changed else ()
    present = sum(size(Path(path)) for path in job.output)
    return Job(job.rule.name, dict(job.wildcards_dict), _why(reason, changes), changes, present)


def _why(reason: Any, changes: tuple[str, ...]) -> str:
    causes = {
        MISSING: reason.missing_output or reason.incomplete_output,
        SETTINGS: changes,
        RULE: reason.code_changed or reason.software_stack_changed,
        FORCED: reason.forced,
        INPUT: reason.updated_input or reason.input_changed,
    }
    return next((name for name, holds in causes.items() if holds), FOLLOWS)


def _settings(recorded: set[str]) -> Any:
    """A rule's one parameter, the JSON of its settings, from what Snakemake records: its `repr`."""
    return json.loads(ast.literal_eval(min(recorded))) if recorded else {}


def differences(old: Any, new: Any) -> Iterator[str]:
    """Values of two nested settings that are not the same, each with the path of keys that leads to it."""
    before, after = dict(_flat(old)), dict(_flat(new))
    for key in dict.fromkeys([*before, *after]):
        values = [json.dumps(values[key]) if key in values else "nothing" for values in (before, after)]
        if values[0] != values[1]:
            yield f"{key}: {' -> '.join(values)}"


def _flat(value: Any, *path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict | list) and value:
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _flat(item, *path, str(key))
    else:
        yield ".".join(path), value


def size(path: Path) -> int:
    """Bytes of a file or of all files in a folder; 0 where there is none."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
