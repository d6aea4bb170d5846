import ast
import os
import select
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salt.runtime import gpu_count, gpu_lease
from salt.runtime.gpu_lease import Gpu
from schemas.errors import UserError
from tests.stages.conftest import COMPUTE

LISTING = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-aaaa1111)
  MIG 3g.20gb     Device  0: (UUID: MIG-0000)
  MIG 2g.10gb     Device  1: (UUID: MIG-1111)
GPU 1: NVIDIA H200 (UUID: GPU-bbbb2222)
GPU 2: NVIDIA H200 (UUID: GPU-bcbc3333)
"""
WAIT = 60  # s; until a test gives up


# The GPUs of a machine ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "names", "uuids"),
    [
        (None, ["MIG-0000", "MIG-1111", "GPU-bbbb2222", "GPU-bcbc3333"], None),
        ("2,1", ["2", "1"], ["GPU-bcbc3333", "GPU-bbbb2222"]),
        ("0", ["0"], ["MIG-0000"]),
        ("GPU-aaaa1111", ["GPU-aaaa1111"], ["MIG-0000"]),
        ("GPU-bc,MIG-1111", ["GPU-bc", "MIG-1111"], ["GPU-bcbc3333", "MIG-1111"]),
        ("1,-1,2", ["1"], ["GPU-bbbb2222"]),
        ("1,7,2", ["1"], ["GPU-bbbb2222"]),
        ("", [], []),
        ("NoDevFiles", [], []),
    ],
)
def test_the_names_of_cuda_visible_devices_are_kept_and_resolved_to_uuids(wanted, names, uuids):
    found = gpu_lease.select(LISTING, wanted)
    assert [gpu.name for gpu in found] == names
    assert [gpu.uuid for gpu in found] == (names if uuids is None else uuids)


def test_gpus_have_labels_for_people():
    labels = [gpu.label for gpu in gpu_lease.select(LISTING, None)]
    assert labels == ["GPU 0.0 (3g.20gb)", "GPU 0.1 (2g.10gb)", "GPU 1 (NVIDIA H200)", "GPU 2 (NVIDIA H200)"]


def test_without_nvidia_smi_indices_are_told_apart_by_the_clusters_job(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(gpu_count, "count", lambda: 2)
    monkeypatch.delenv(gpu_lease.VISIBLE, raising=False)
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    assert [(gpu.name, gpu.uuid) for gpu in gpu_lease.visible()] == [("0", "0-17"), ("1", "1-17")]
    monkeypatch.setenv(gpu_lease.VISIBLE, "3,5")
    assert [gpu.name for gpu in gpu_lease.visible()] == ["3", "5"]
    monkeypatch.setattr(gpu_count, "count", lambda: 0)
    assert gpu_lease.visible() == []


# The folder --------------------------------------------------------------------------------------------------------


def test_the_folder_of_locks_belongs_to_this_user_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_lease.tempfile, "gettempdir", lambda: str(tmp_path))
    folder = gpu_lease.lock_folder()
    assert gpu_lease.lock_folder() == folder
    folder.chmod(0o777)
    with pytest.raises(UserError, match="expected a folder that only you can use"):
        gpu_lease.lock_folder()
    folder.rmdir()
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="found a link"):
        gpu_lease.lock_folder()


def test_a_link_in_the_place_of_a_lock_is_not_followed(tmp_path):
    (tmp_path / "GPU-0").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="symbolic links"):
        gpu_lease.hold([Gpu("0", "GPU-0", "GPU 0")], 1, tmp_path)


# Leases between processes ------------------------------------------------------------------------------------------

# Forks one job for each line "folder gpus jobs_per_gpu"; a job prints the folder, its id and its GPU once it has one,
# then waits to be killed.
NURSERY = """
import os, signal, sys, time
from pathlib import Path
from salt.runtime import gpu_lease
gpu_lease.POLL = 0.01
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
nursery = os.getpid()

def job(folder, gpus, jobs_per_gpu):
    gpus = [gpu_lease.Gpu(f"GPU-{n}", f"GPU-{n}", f"GPU {n}") for n in range(int(gpus))]
    os.write(1, f"{folder} {os.getpid()} starts\\n".encode())
    gpu_lease.hold(gpus, int(jobs_per_gpu), Path(folder))
    if not os.fork():  # a process that loads tiles, which outlives its training
        while Path(f"/proc/{nursery}").exists():
            time.sleep(0.1)
        os._exit(0)
    os.write(1, f"{folder} {os.getpid()} {os.environ['CUDA_VISIBLE_DEVICES']}\\n".encode())
    while os.getppid() == nursery:
        time.sleep(0.1)
    os._exit(0)

for line in sys.stdin:
    if not os.fork():
        job(*line.split())
"""


@pytest.fixture(scope="module")
def nursery():
    process = subprocess.Popen(
        [sys.executable, "-c", NURSERY],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": "."},
    )
    yield process
    process.kill()  # its jobs end with it
    process.wait()
    process.stdin.close()
    process.stdout.close()


class Machine:
    """Processes that take leases of some GPUs, in a folder of their own."""

    def __init__(self, nursery: subprocess.Popen, folder: Path, gpus: int) -> None:
        self.nursery, self.folder, self.gpus = nursery, folder, gpus
        self.jobs: set[int] = set()

    def line(self) -> tuple[int, str]:
        """The next line of a job of this folder: its id, and `starts` or its GPU."""
        assert select.select([self.nursery.stdout], [], [], WAIT)[0], "no job took a GPU"
        read = b""
        while not read.endswith(b"\n"):
            read += os.read(self.nursery.stdout.fileno(), 1)
        folder, job, what = read.decode().split()
        return (int(job), what) if folder == str(self.folder) else self.line()

    def start(self, jobs_per_gpu: int = 1) -> None:
        """Start a job, which may have to wait for its GPU."""
        self.nursery.stdin.write(f"{self.folder} {self.gpus} {jobs_per_gpu}\n".encode())
        self.nursery.stdin.flush()

    def events(self, count: int) -> list[tuple[int, str]]:
        """The next lines: ids of jobs with `starts` or their GPU."""
        events = [self.line() for _ in range(count)]
        self.jobs |= {job for job, _ in events}
        return events

    def kill(self, job: int) -> None:
        """Kill a job, as a lack of memory would."""
        os.kill(job, signal.SIGKILL)
        self.jobs.remove(job)

    def is_silent(self) -> bool:
        """Whether no job took a GPU in many attempts of those that wait."""
        return not select.select([self.nursery.stdout], [], [], 0.3)[0]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for job in list(self.jobs):
            self.kill(job)


def granted(events):
    return {job: what for job, what in events if what != "starts"}


def test_four_trainings_hold_four_gpus_a_fifth_waits_and_gets_that_of_a_killed_one_at_once(nursery, tmp_path):
    with Machine(nursery, tmp_path, gpus=4) as machine:
        for _ in range(4):
            machine.start()
        holders = granted(machine.events(8))
        assert sorted(holders.values()) == ["GPU-0", "GPU-1", "GPU-2", "GPU-3"]
        machine.start()
        ((fifth, what),) = machine.events(1)
        assert what == "starts"
        assert machine.is_silent()
        killed = next(iter(holders))
        machine.kill(killed)
        assert machine.events(1) == [(fifth, holders[killed])]


def test_jobs_share_gpus_only_when_all_are_used_and_a_job_that_wants_one_for_itself_waits(nursery, tmp_path):
    with Machine(nursery, tmp_path, gpus=2) as machine:
        taken = []
        for _ in range(4):
            machine.start(jobs_per_gpu=2)
            taken += granted(machine.events(2)).items()
        assert {gpu for _, gpu in taken[:2]} == {gpu for _, gpu in taken[2:]} == {"GPU-0", "GPU-1"}
        machine.start(jobs_per_gpu=1)
        machine.events(1)
        on_first = [job for job, gpu in taken if gpu == "GPU-0"]
        machine.kill(on_first[0])
        assert machine.is_silent()
        machine.kill(on_first[1])
        assert list(granted(machine.events(1)).values()) == ["GPU-0"]


@settings(max_examples=15)
@given(
    gpus=st.integers(1, 3),
    jobs_per_gpu=st.integers(1, 2),
    kills=st.lists(st.one_of(st.none(), st.integers(0, 9)), min_size=1, max_size=14),
)
def test_however_jobs_are_killed_each_gpu_has_its_jobs_and_no_more(
    nursery, tmp_path_factory, gpus, jobs_per_gpu, kills
):
    """Of `kills`, none starts a job, and a number kills one of those that have a GPU."""
    places = gpus * jobs_per_gpu
    holders, waiting = {}, 0
    with Machine(nursery, tmp_path_factory.mktemp("locks"), gpus) as machine:
        for kill in kills:
            if kill is None:
                machine.start(jobs_per_gpu)
                waiting += 1
                expected = 1 + (len(holders) < places)
            elif holders:
                victim = sorted(holders)[kill % len(holders)]
                del holders[victim]
                machine.kill(victim)
                expected = min(waiting, 1)
            else:
                continue
            found = granted(machine.events(expected))
            holders |= found
            waiting -= len(found)
            assert len(holders) == min(places, len(holders) + waiting)
            assert max(Counter(holders.values()).values(), default=0) <= jobs_per_gpu


# Programs ----------------------------------------------------------------------------------------------------------

PROGRAM = """
from salt.runtime import gpu_lease
gpu_lease.start_program()
import os, sys
print(os.environ.get("CUDA_VISIBLE_DEVICES"), "torch" in sys.modules)
"""


def output_of_a_program(tmp_path, compute, **environment):
    """What a program writes on a machine with two GPUs."""
    smi = tmp_path / "nvidia-smi"
    smi.write_text("#!/bin/sh\necho 'GPU 0: Fake (UUID: GPU-f0)'\necho 'GPU 1: Fake (UUID: GPU-f1)'\n")
    smi.chmod(0o755)
    here = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "TMPDIR": str(tmp_path), "PYTHONPATH": "."}
    without = {name: value for name, value in os.environ.items() if name != gpu_lease.VISIBLE}
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [sys.executable, tmp_path / "program.py", *(["--compute", compute] if compute else [])]
    return subprocess.run(
        command, env=without | here | environment, text=True, capture_output=True, check=True
    ).stdout.splitlines()[1:]


def test_a_program_takes_a_gpu_before_torch_is_imported_and_says_which(tmp_path):
    said, last = output_of_a_program(tmp_path, '{"device": "auto"}')
    assert said.endswith(" runs on GPU 0 (Fake), GPU-f0")
    assert gpu_lease.TAKEN.search(said)[1] == "GPU 0"
    assert last == "GPU-f0 False"


def test_a_program_keeps_the_name_that_its_environment_gives_a_gpu(tmp_path):
    assert output_of_a_program(tmp_path, '{"jobs_per_gpu": 2}', CUDA_VISIBLE_DEVICES="1")[-1] == "1 False"


@pytest.mark.parametrize("compute", [COMPUTE, None], ids=["on the CPU", "without settings"])
def test_a_program_that_needs_no_gpu_takes_none(tmp_path, compute):
    assert output_of_a_program(tmp_path, compute) == ["None False"]
    assert not list(tmp_path.glob("salt-gpus-*"))


@pytest.mark.parametrize("stage", ["train_fold", "pretrain", "predict_fold", "predict_images"])
def test_each_program_with_a_device_takes_a_gpu_before_its_other_imports(stage):
    _, first, second, *_ = ast.parse(Path(f"stages/{stage}.py").read_text()).body
    assert ast.unparse(first) == "from salt.runtime import gpu_lease, program"
    assert ast.unparse(second) == "if __name__ == '__main__':\n    gpu_lease.start_program()"


def test_no_other_program_has_a_device():
    programs = {path.stem for path in Path("stages").glob("*.py") if "--compute" in path.read_text()}
    assert programs == {path.stem for path in Path("stages").glob("*.py") if "start_program" in path.read_text()}
