"""A SLURM cluster of one node in a folder, from Debian's packages slurmctld, slurmd and munge; for root, no systemd.

The node has two GPUs, which are device nodes that nothing computes on, and as many cores and as much memory as the
tests ask for. There is no accounting: `squeue` tells the states of jobs.
"""

import ctypes
import os
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol")
GPUS = 2
KILL_WAIT = (
    60  # seconds between TERM and KILL of a job: a busy machine needs longer than SLURM's 30 to save a checkpoint
)
NULL_DEVICE = os.makedev(1, 3)

CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
AuthInfo=socket={folder}/munge.socket,cred_expire=5
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=batch_sched_delay=0,sched_interval=1
SlurmdParameters=config_overrides
KillWait={kill_wait}
MinJobAge=3600
ReturnToService=2
GresTypes=gpu
NodeName=node NodeHostname={host} NodeAddr=127.0.0.1 CPUs=16 RealMemory=64000 Gres=gpu:fake:{gpus}
PartitionName=all Nodes=node Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> list[str]:
    """Programs of SLURM that this machine lacks."""
    return [name for name in PROGRAMS if not shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")]


@contextmanager
def cluster(folder: Path) -> Iterator[dict[str, str]]:
    """Start the cluster; yield the environment in which SLURM's commands find it. Stops everything that it started."""
    write_config(folder)
    environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": f"{folder}/bin:{os.environ['PATH']}"}
    with ExitStack() as daemons:
        daemons.callback(kill_all_in, folder)
        munge = [f"--{name}={folder}/munge.{name.split('-')[0]}" for name in ("key-file", "socket", "pid-file")]
        munge += [f"--log-file={folder}/munge.log", f"--seed-file={folder}/munge.seed", "--foreground", "--force"]
        daemons.enter_context(daemon(["munged", *munge], environment))
        wait_until((folder / "munge.socket").exists)
        daemons.enter_context(daemon(["slurmctld", "-D"], environment))
        daemons.enter_context(daemon(["slurmd", "-D", "-N", "node"], environment))
        wait_until(lambda: "idle" in ask(environment, "sinfo", "--noheader", "--format=%T"))
        try:
            yield environment
        finally:
            ask(environment, "scancel", "--user=root")
            ask(environment, "scancel", "--user=root", "--signal=KILL")


def write_config(folder: Path) -> None:
    """Write the configuration, the key and the devices of a cluster."""
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    (folder / "munge.key").touch(mode=0o400)
    (folder / "munge.key").write_bytes(secrets.token_bytes(128))
    devices = [folder / f"gpu{number}" for number in range(GPUS)]
    for device in devices:
        os.mknod(device, 0o666 | stat.S_IFCHR, NULL_DEVICE)
    lines = [f"NodeName=node Name=gpu Type=fake File={device}\n" for device in devices]
    (folder / "gres.conf").write_text("".join(lines))
    ports = dict(zip(("controller_port", "node_port"), free_ports(2), strict=True))
    # The executor plugin takes SLURM_CONF from the environment of a job before it calls srun.
    (folder / "bin").mkdir()
    (folder / "bin" / "srun").write_text(
        f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {shutil.which("srun")} "$@"\n'
    )
    (folder / "bin" / "srun").chmod(0o755)
    host = socket.gethostname().split(".")[0]
    config = CONFIG.format(folder=folder, host=host, gpus=GPUS, kill_wait=KILL_WAIT, **ports)
    (folder / "slurm.conf").write_text(config)


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextmanager
def daemon(command: list[str], environment: dict[str, str]) -> Iterator[None]:
    """Run a daemon in the foreground; stop it at the end, and when this process dies."""
    program = shutil.which(command[0], path=f"{os.environ['PATH']}:/usr/sbin")
    process = subprocess.Popen(
        [program, *command[1:]],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=end_with_parent,
    )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def end_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def kill_all_in(folder: Path) -> None:
    """Kill what the node started and did not stop: processes with the cluster's configuration in their environment."""
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get("SLURM_CONF") == str(folder / "slurm.conf"):
                process.kill()
        except psutil.Error:
            continue


def ask(environment: dict[str, str], *command: str) -> str:
    """The output of one of SLURM's commands; "" if it fails."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else ""


def wait_until(holds, seconds: float = 60, what: str = "the cluster") -> None:
    """Wait until a condition holds. Raises TimeoutError if it does not in time."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds} s for {what}")
        time.sleep(0.2)
