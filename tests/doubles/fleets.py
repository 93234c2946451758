"""A fleet's cluster on this machine: a real Dask scheduler and real workers, each a process with a
directory of its own, told apart as hosts by BENCH_HOST; and runs that do what they are told.

The processes are forked from one that has imported Dask, and then are what `dask scheduler` and
`dask worker` are. On one machine all hosts share its cores: what is tried here is how runs begin,
end and come back, not what they measure.
"""

import compileall
import multiprocessing
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Self

import psutil
from made_up_runs import Book
from msgspec import structs

from bench import ROOT
from bench.data import store
from bench.data.machine import Cpu, Machine
from bench.plan import sweep
from bench.show import runs

MACHINE = Machine(cpu=Cpu("a CPU", cores_usable=8), memory_bytes=2**34, fingerprint="abc")

PATIENCE_S = 60.0
"""After this long what is waited for will not come."""


def made(
    folder: Path, host: str, seconds: float = 1e-3, visits: int = 4, machine: Machine = MACHINE
) -> Path:
    """A run on disk, of two kernels; its first visit tells it from other runs."""
    book = Book()
    start_s = 1e9 + 1000 * sum(map(ord, host))
    for number in range(1, visits + 1):
        book.good("numpy_dot", number, seconds, at_s=start_s + number)
        book.good("numpy_matmul", number, seconds / 10, at_s=start_s + number + 0.5)
    settled = sweep.make({"widths": [100], "batches": [1], "kernels": ["numpy_dot"]})
    with store.Run.create(folder, settled) as opened:
        opened.write_machine(structs.replace(machine, host=host, commit="c0ffee"))
        for visit in book.visits:
            opened.append(visit, [block for block in book.blocks if block.visit == visit.visit])
    return folder


def wait_until(true: Callable[[], object]) -> None:
    """Fail where it takes too long."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# Runs that do what they are told

STUB = """
import os, shutil, signal, subprocess, sys, time
from pathlib import Path

told = Path(__file__).parents[1] / "told" / os.environ["BENCH_HOST"]
out = Path(sys.argv[sys.argv.index("--out") + 1])
does = (told / "does").read_text()
with (told / "began").open("a") as file:
    file.write(f"{os.getpid()} {' '.join(sys.argv[1:])}\\n")
names = ("BENCH_HISTORY", "MALLOC_TRIM_THRESHOLD_", "OMP_NUM_THREADS")
values = [f"{name}={os.environ[name]}" for name in names if name in os.environ]
(told / "environment").write_text("\\n".join(values))
if does != "good":
    helper = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    with (told / "helpers").open("a") as file:
        file.write(f"{helper.pid}\\n")
if does == "hang":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(1000)
if does.startswith("say "):
    sys.stderr.write(does.removeprefix("say "))
    sys.exit(2)
try:
    shutil.copytree(told / "run", out, copy_function=shutil.copyfile)
except (OSError, shutil.Error) as error:
    sys.stderr.write(f"error: {out} can't be written ({error}): free some space\\n")
    sys.exit(2)
"""


class Checkout:
    """A checkout whose `python -m bench run` measures nothing and does what its host is told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "bench").mkdir(parents=True)
        for path in (ROOT / "bench").iterdir():
            if path.name not in ("__main__.py", "__pycache__"):
                (folder / "bench" / path.name).symlink_to(path)
        (folder / "bench" / "__main__.py").write_text(STUB)
        # Python writes half a compiled file to a full disk, and all hosts would read it
        compileall.compile_dir(folder / "bench", maxlevels=0, quiet=1)

    def tell(self, host: str, does: str) -> None:
        """What runs on this host do from now on: good, hang or say ...."""
        told = self.folder / "told" / host
        if not told.exists():
            made(told / "run", host)
            runs.renew(told / "run")
        (told / "does").write_text(does)

    def began(self, host: str) -> list[str]:
        """A line a run that began there: its process and arguments."""
        return self._lines(host, "began")

    def processes(self) -> list[int]:
        """The runs that go on, and what they have started."""
        hosts = [path.name for path in (self.folder / "told").iterdir()]
        lines = [line for host in hosts for line in self._lines(host, "began")]
        lines += [line for host in hosts for line in self._lines(host, "helpers")]
        return [pid for pid in (int(line.split()[0]) for line in lines) if alive(pid)]

    def _lines(self, host: str, name: str) -> list[str]:
        path = self.folder / "told" / host / name
        return path.read_text().splitlines() if path.exists() else []


def fill_disk(process: BaseProcess) -> None:
    """From now on no file that the process or a child of it writes can grow past 500 bytes."""
    assert process.pid is not None
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (500, 500))


def alive(pid: int) -> bool:
    """Whether a process goes on; a zombie doesn't."""
    with suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    return False


# The cluster

FORKED = ("distributed.cli.dask_scheduler", "distributed.cli.dask_worker", "bench.__main__")


def _process(function: Callable[..., None], *arguments: object) -> BaseProcess:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(FORKED))
    process = context.Process(target=function, args=arguments)
    process.start()
    return process


def _begin(folder: Path) -> None:
    """In a process of its own: its directory, and a log beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    log = os.open(folder.with_suffix(".log"), os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)


def _scheduler(folder: Path, port: int) -> None:
    _begin(folder)
    from distributed.cli import dask_scheduler

    dask_scheduler.main(["--host", "127.0.0.1", "--port", str(port), "--no-dashboard"])


def _worker(folder: Path, address: str, host: str, resources: str) -> None:
    _begin(folder)
    from distributed.cli import dask_worker

    os.environ["BENCH_HOST"] = host
    options = ["--no-nanny", "--no-dashboard", "--nthreads", "3", "--local-directory", str(folder)]
    dask_worker.main([address, *options, "--resources", resources])


def _command(folder: Path, arguments: list[str], host: str) -> None:
    _begin(folder)
    os.setsid()  # a terminal's Ctrl-C goes to all processes of a command
    os.environ["BENCH_HOST"] = host
    from bench import __main__ as commands

    sys.argv = ["bench", *arguments]
    commands.main()


class Cluster:
    """Processes that end with the context."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.processes: list[BaseProcess] = []
        self.scheduler = self.start_scheduler()

    def start_scheduler(self) -> BaseProcess:
        """One at the fleet's address."""
        self.scheduler = self._add(_process(_scheduler, self.folder / "scheduler", self.port))
        return self.scheduler

    def worker(
        self, host: str, name: str = "", folder: Path | None = None, resources: str = ""
    ) -> BaseProcess:
        """A worker in a directory of its own."""
        folder = folder or self.folder / (name or host)
        return self._add(_process(_worker, folder, self.address, host, resources))

    def registered(self, *names: str) -> None:
        """Wait until the scheduler knows these workers."""
        logs = [(self.folder / name).with_suffix(".log") for name in names]
        wait_until(lambda: all(log.exists() and "Registered" in log.read_text() for log in logs))

    def command(self, *arguments: str, host: str = "") -> BaseProcess:
        """A command of the program in a process group of its own, which signals can be sent to."""
        return self._add(_process(_command, self.folder / "command", list(arguments), host))

    def _add(self, process: BaseProcess) -> BaseProcess:
        self.processes.append(process)
        return process

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for process in self.processes:
            if process.pid is not None and process.is_alive():
                os.kill(process.pid, signal.SIGCONT)
                process.kill()
            process.join()
