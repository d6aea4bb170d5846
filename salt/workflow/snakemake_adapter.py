"""All access to Snakemake's internals: its command line, its DAG, its records of a job's settings.

They are not a public interface and change between versions, so an untested version ends the program.
"""

import ast
import json
import logging
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

from snakemake.cli import get_argument_parser
from snakemake_interface_logger_plugins.common import LogEvent

from salt.runtime.makespan import Limits
from schemas.differences import differences

TESTED = "9.27"  # minor version; its patches change no internals

# Options of commands that run no jobs.
WITHOUT_JOBS = (
    *("dryrun", "lint", "list_rules", "list_target_rules", "print_compilation", "containerize", "report", "unlock"),
    *("generate_unit_tests", "dag", "rulegraph", "filegraph", "d3dag", "summary", "detailed_summary"),
    *("list_changes", "list_input_changes", "list_params_changes", "list_untracked"),
)

GPU = "gpu"  # the resource that jobs on a GPU take

# What Snakemake says of each job, which a watched run shows in its own way. Errors are none of these.
OF_JOBS = (
    *(LogEvent.WORKFLOW_STARTED, LogEvent.RUN_INFO, LogEvent.RESOURCES_INFO, LogEvent.JOB_INFO, LogEvent.GROUP_INFO),
    *(LogEvent.JOB_STARTED, LogEvent.JOB_FINISHED, LogEvent.PROGRESS),
)
OF_SCHEDULING = ("Select jobs to execute", "Removing temporary output", "Building DAG", "Using shell", "Assuming unres")

MISSING, SETTINGS, RULE = "output missing", "settings changed", "rule changed in the Snakefile"
FORCED, INPUT, FOLLOWS = "asked for on the command line", "input changed", "follows from another job"
REASONS = (MISSING, SETTINGS, RULE, FORCED, INPUT, FOLLOWS)


@dataclass(frozen=True)
class Job:
    """A pending job.

    why: one of REASONS
    changes: changes of its settings since it last ran: "phases.0.optimizer.lr: 0.002 -> 0.001"
    present: bytes of its existing outputs, which will be replaced
    number: Snakemake's; after: numbers of the pending jobs that it waits for
    cores, gpus: what it takes; log: its file; outputs: files and folders
    """

    rule: str
    wildcards: Mapping[str, str]
    why: str = MISSING
    changes: tuple[str, ...] = ()
    present: int = 0
    number: int = 0
    after: frozenset[int] = frozenset()
    cores: int = 1
    gpus: int = 0
    log: Path = Path()
    outputs: tuple[Path, ...] = ()

    @property
    def name(self) -> str:
        """Rule and wildcards, as in the name of its log: `train_fold stage1_fold0`."""
        return self.rule if self.log.stem in ("", self.rule) else f"{self.rule} {self.log.stem}"


class Watcher(Protocol):
    """Learns what happens to jobs, by their numbers, and makes room for what Snakemake writes itself."""

    def started(self, number: int) -> None: ...  # noqa: D102
    def finished(self, number: int) -> None: ...  # noqa: D102
    def failed(self, number: int) -> None: ...  # noqa: D102
    def clear(self) -> None: ...  # noqa: D102


@dataclass(frozen=True)
class Unrecorded:
    """A finished job without a record: its first output, its settings, and how to write the record."""

    output: Path
    settings: Any
    record: Callable[[], None]


class Engine:
    """The Snakemake that reads the Snakefile. Ends the program if its version was not tested."""

    def __init__(self, workflow: Any) -> None:
        """Workflow: Snakemake's object of this name in the Snakefile."""
        must_be_tested(metadata.version("snakemake"))
        self._workflow = workflow

    @property
    def config_files(self) -> list[Path | str]:
        """The files that the config was merged from: overlays, later ones override earlier ones; the default last."""
        return list(self._workflow.configfiles)

    @property
    def config_options(self) -> Mapping[str, Any]:
        """Values of the config on the command line."""
        return self._workflow.config_settings.config or {}

    @property
    def is_main_process(self) -> bool:
        """Whether this process plans the run; False in a job that an executor plugin started."""
        return bool(self._workflow.is_main_process)

    def runs_jobs(self, arguments: Sequence[str]) -> bool:
        """Whether this is the main process of a command that runs jobs."""
        return self.is_main_process and executes(arguments)

    @property
    def runs_here(self) -> bool:
        """Whether jobs run on this machine."""
        return bool(self._workflow.local_exec)

    @property
    def has_planned_a_dry_run(self) -> bool:
        """Whether this is a dry run with a complete DAG; only then has it a scheduler."""
        return bool(self._workflow.dryrun) and self._workflow.scheduler is not None

    @property
    def has_nothing_to_do(self) -> bool:
        """Whether the DAG is complete and no job is pending: Snakemake then calls no hook of a workflow."""
        return self._workflow.scheduler is not None and not len(self._workflow.dag)

    def watched_by(self, watcher: Watcher) -> bool:
        """Tell a watcher of all jobs, instead of the terminal; Snakemake's own log still gets all.

        Returns False if this command runs no jobs, or asks for another display: --quiet, --verbose or --logger.
        """
        settings, handlers = self._workflow.output_settings, logging.getLogger("snakemake.logging").handlers
        terminal = next((handler for handler in handlers if handler.name == "DefaultStreamHandler"), None)
        if terminal is None or settings.quiet or settings.verbose or not self.runs_jobs(sys.argv[1:]):
            return False
        terminal.addFilter(_Watched(watcher))
        return True

    @property
    def limits(self) -> Limits:
        """What jobs share, by --cores and --resources gpu, or --jobs on a cluster. Requires a complete DAG."""
        shared = self._workflow.scheduler.global_resources
        cores, gpus, nodes = (shared.get(name, sys.maxsize) for name in ("_cores", GPU, "_nodes"))
        return Limits(*(math.inf if limit == sys.maxsize else limit for limit in (cores, min(gpus, nodes))))

    def pending(self) -> list[Job]:
        """The jobs that need to run, in the order of their rules. Requires a complete DAG."""
        order = {rule.name: number for number, rule in enumerate(self._workflow.rules)}
        jobs = [job for job in self._workflow.dag.needrun_jobs(exclude_finished=False) if not job.rule.norun]
        jobs.sort(key=lambda job: (order[job.rule.name], sorted(job.wildcards_dict.items(), reverse=True)))
        return [self._job(job) for job in jobs]

    def unrecorded(self) -> list[Unrecorded]:
        """Finished jobs whose settings Snakemake has not recorded, so that it would not notice a change of them.

        The main process writes the records: these jobs ended while none ran. Requires a complete DAG.
        """
        dag = self._workflow.dag
        jobs = [job for job in dag.jobs if dag.reason(job).no_metadata and not dag.needrun(job) and job.params]
        return [Unrecorded(Path(job.output[0]), json.loads(job.params[0]), partial(self._record, job)) for job in jobs]

    def _record(self, job: Any) -> None:
        self._workflow.async_run(self._workflow.persistence.finished(job))

    def _job(self, job: Any) -> Job:
        # Snakemake compares parameters as a set: with two of them, it would not notice swapped values.
        assert len(job.rule.params) <= 1, f"rule {job.rule.name}: expected one parameter at most"  # noqa: S101
        # Snakemake itself compares the settings of only the first job in each chain: the others rerun anyway.
        changed = self._workflow.persistence.params_changed(job)
        changes = tuple(differences(_settings(changed.only_old), _settings(changed.only_new))) if changed else ()
        present = sum(size(Path(path)) for path in job.output)
        dag = self._workflow.dag
        return Job(
            job.rule.name,
            dict(job.wildcards_dict),
            _why(dag.reason(job), changes),
            changes,
            present,
            number=dag.jobid(job),
            after=frozenset(dag.jobid(other) for other in dag.job_dependencies(job) if dag.needrun(other)),
            cores=job.threads,
            gpus=job.resources.get(GPU, 0),
            log=Path(next(iter(job.log), "")),
            outputs=tuple(map(Path, job.output)),
        )


class _Watched(logging.Filter):
    """Passes records about jobs to a watcher, and everything else to the terminal."""

    def __init__(self, watcher: Watcher) -> None:
        super().__init__()
        self.watcher = watcher

    def filter(self, record: Any) -> bool:
        """Whether the terminal gets the record."""
        event = getattr(record, "event", None)
        if event == LogEvent.JOB_INFO:
            self.watcher.started(record.jobid)
        elif event == LogEvent.JOB_FINISHED:
            self.watcher.finished(record.job_id)
        elif event == LogEvent.JOB_ERROR:
            self.watcher.failed(record.jobid)
        if event in OF_JOBS or (event is None and str(record.msg).startswith(OF_SCHEDULING)):
            return False
        self.watcher.clear()
        return True


def must_be_tested(version: str) -> None:
    """End the program if this version of Snakemake was not tested."""
    if version.split(".")[:2] != TESTED.split("."):
        raise SystemExit(
            f"Error: expected Snakemake {TESTED}, which this workflow was tested with, found {version}. Run "
            "`make env`, or install the versions of requirements.lock."
        )


def executes(arguments: Sequence[str]) -> bool:
    """Whether a command line runs jobs. While it reads the Snakefile, Snakemake itself does not report this."""
    options, _ = get_argument_parser().parse_known_args(list(arguments))
    return not any(getattr(options, name) for name in WITHOUT_JOBS)


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


def size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; 0 if there is none."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
