"""What happens on a host, inside a Dask worker there: a run as a child process, its files as bytes.

Sent to the worker by value, so that it needs Dask and Python's own library there, and for the rest
a checkout: the run is a `python -m bench run` of that one. So nothing here imports `bench`, and all
that goes to and fro is dicts, lists, text and bytes.
"""

import contextlib
import hashlib
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

STEP_S = 0.2
"""How often the child is looked at."""

GRACE_S = 10.0
"""How long a child may take to end all that it started."""

BUSY = ("profile", "tick")
"""What a worker does a hundred times a second, for dashboards: not while something is measured."""

WORDS = {signal.SIGKILL: "SIGKILL (did it run out of memory?)"}


def who() -> dict[str, str | None]:
    """What tells the host: the name that it was given, its own, and what all containers of a
    machine share until it starts anew.
    """
    boot = ""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return {"said": os.environ.get("BENCH_HOST"), "node": platform.node(), "boot": boot}


async def offer(name: str, dask_worker: Any = None) -> None:
    """Let the worker have one of the resource: it does one run at a time, whoever asks."""
    await dask_worker.set_resources(**{name: 1})


def running(prefix: str, dask_worker: Any = None) -> int:
    """How many tasks of this fleet have not ended yet on the worker, wanted or not."""
    return sum(str(key).startswith(prefix) for key in list(dask_worker.state.tasks))


def run(order: dict[str, Any]) -> dict[str, Any]:
    """Run the sweep -> its folder, exit code, and files with their size and hash; or a `trouble` in
    words. Ends the child where the task was cancelled, or the worker leaves its scheduler.
    """
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()

    def wanted() -> bool:
        task = worker.state.tasks.get(key)
        return worker.status.name in ("running", "paused") and (
            task is not None and task.state == "executing"
        )

    callbacks = [worker.periodic_callbacks[n] for n in BUSY if n in worker.periodic_callbacks]
    for callback in callbacks:
        worker.loop.add_callback(callback.stop)
    folder = None
    try:
        folder = Path(tempfile.mkdtemp(prefix="fleet-", dir=worker.local_directory))
        done = measured(order, folder, dict(os.environ), _set_by_nanny(worker), wanted)
    except OSError as error:
        done = {"trouble": f"{error.filename or folder}: {error.strerror}"}
    finally:
        for callback in callbacks:
            worker.loop.add_callback(callback.start)
    if "trouble" in done and folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
    return done


def _set_by_nanny(worker: Any) -> dict[str, str]:
    """Variables that Dask's nanny has set for its worker: threads and memory of other work."""
    import dask

    if not worker.nanny:
        return {}
    settings: dict[str, Any] = {}
    for name in ("pre-spawn-environ", "environ"):
        settings |= dask.config.get(f"distributed.nanny.{name}") or {}
    return {name: str(value) for name, value in settings.items()}


def measured(
    order: dict[str, Any],
    folder: Path,
    environment: dict[str, str],
    foreign: dict[str, str],
    wanted: Callable[[], bool],
) -> dict[str, Any]:
    """The same in this folder, without the variables that are foreign to a run."""
    places = [order["checkout"]] if order["checkout"] else [str(Path.cwd()), order["own"]]
    checkout = next((p for p in places if (Path(p) / "bench/fleet/child.py").is_file()), None)
    if checkout is None:
        where = " or ".join(places)
        remedy = "start the workers in one, or name it: --checkout"
        return {"trouble": f"no checkout of this program in {where}: {remedy}"}
    kept = {name: v for name, v in environment.items() if foreign.get(name) != v}
    path = os.pathsep.join(filter(None, [checkout, kept.get("PYTHONPATH")]))
    # one history, at home: over a shared file system SQLite would be a risk
    kept |= {"BENCH_HISTORY": "", "BENCH_HOST": order["host"], "PYTHONPATH": path}
    arguments = [*order["arguments"], "--out", str(folder / "run"), "--no-charts"]
    if order["sweep"]:  # the last one of an option counts
        (folder / "sweep.toml").write_text(order["sweep"], encoding="utf-8")
        arguments += ["--sweep", str(folder / "sweep.toml")]
    command = [sys.executable, "-m", "bench.fleet.child", str(os.getpid()), "run", *arguments]
    with _file() as said:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=kept,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,
        )
        trouble = _watch(process, order["limit_s"], wanted)
        said.seek(0)
        lines = said.read().decode(errors="replace").strip().splitlines()
    last = (lines or ["it said nothing"])[-1].removeprefix("error: ")
    code = process.returncode
    if trouble:
        return {"trouble": trouble}
    if code not in (0, 1) or not (folder / "run/cells.csv").is_file():
        return {"trouble": _how(code, last)}
    return {"code": code, "folder": str(folder), "files": _files(folder / "run", order["files"])}


def _watch(process: "subprocess.Popen[bytes]", limit_s: float, wanted: Callable[[], bool]) -> str:
    """Wait for the child's end -> why it had to be ended, if so."""
    deadline = time.monotonic() + limit_s
    try:
        while process.poll() is None:
            if not wanted():
                return "it was no longer wanted"
            if time.monotonic() > deadline:
                return f"it hung: no end after {limit_s:.0f} s, and was ended"
            time.sleep(STEP_S)
    finally:
        _end(process)
    return ""


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the child, which then ends all that it started; where it can't, those of its session."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)
    if process.poll() is None or process.returncode < 0:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):  # it waits inside a driver
            process.wait(GRACE_S)


def _how(code: int, last: str) -> str:
    """An exit code in words; a shell's for what a signal has ended."""
    number = -code if code < 0 else code - 128
    try:
        signal_number = signal.Signals(number)
    except ValueError:
        return last if code == 2 else f"the run ended with exit code {code}: {last}"
    return f"the run was ended by {WORDS.get(signal_number, signal_number.name)}"


def _files(folder: Path, names: list[str]) -> list[tuple[str, int, str]]:
    files = []
    for name in names:
        if (folder / name).is_file():
            content = (folder / name).read_bytes()
            files.append((name, len(content), hashlib.sha256(content).hexdigest()))
    return files


def _file() -> IO[bytes]:
    """A file without a name, in memory where Linux has that: the disk may be full."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("said"), "w+b")
    return tempfile.TemporaryFile()


def piece(folder: str, name: str, offset: int, size: int) -> bytes:
    """So much of a run's file."""
    with (Path(folder) / "run" / name).open("rb") as file:
        file.seek(offset)
        return file.read(size)


def drop(folder: str) -> None:
    """Remove a run that is somewhere else now."""
    shutil.rmtree(folder, ignore_errors=True)
