"""What does a run survive? Every fault that was thought of, tried on the real program.

    python -m bench.studies.faults [TIMES]

Each fault is tried TIMES times (3), as the only thing that is wrong with a small run; those of
kernels all in one run, each in a cell of its own. Survived: the row or the one line on stderr says
what happened, everything else is measured, the files are valid, and a run that was ended goes on
with --resume. Rows lost: rows of finished visits that were in visits.csv before the fault and are
not there afterwards, and cells of an honest kernel that were not measured beside a bad one. Two
things differ from `python -m bench`, to save time: a kernel that doesn't answer is given about
three seconds, and the machine's ceilings are not taken.

Full and read-only disks are real ones, mounted in a name space of this script's own (Linux;
`unshare -rm`).
"""

import os
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bench import ROOT
from bench.data import store
from bench.data.records import Block, CellRow, Visit
from bench.studies import write
from bench.terminal.errors import BadInput

TROUBLES = ROOT / "tests" / "kernel_files" / "troubles.py"

KERNEL_FAULTS: dict[str, tuple[str, ...]] = {
    "segfault": ("kernel: segfault", "crashed"),
    "abort": ("kernel: abort", "crashed"),
    "leave": ("kernel: os._exit", "crashed"),
    "sys_exit": ("kernel: sys.exit", "crashed"),
    "be_killed": ("kernel: killed by SIGKILL", "crashed"),
    "nameless_signal": ("kernel: killed by a real-time signal", "crashed"),
    "kill_group": ("kernel: kills its process group", "crashed"),
    "loop": ("kernel: endless loop", "timeout"),
    "deadlock": ("kernel: deadlock", "timeout"),
    "reserve": ("kernel: reserves more memory than there is", "out_of_memory"),
    # filling the memory may take longer than the time that a kernel is given
    "hog": ("kernel: uses up the memory", "out_of_memory", "timeout"),
    "chatter": ("kernel: prints 600 KB a launch", "ok"),
    "chatter_and_die": ("kernel: prints and dies", "crashed"),
    "close_stdin": ("kernel: closes stdin", "ok"),
    "read_stdin": ("kernel: reads stdin", "error"),
    "close_stdout": ("kernel: closes stdout and stderr", "ok"),
    "close_all": ("kernel: closes every file", "crashed"),
    "close_all_and_stay": ("kernel: closes every file and waits", "crashed"),
    "babble": ("kernel: writes on the harness's connection", "crashed"),
    "idle_child": ("kernel: leaves an idle child", "ok"),
    "orphans": ("kernel: leaves detached busy processes", "ok"),
    "orphans_and_die": ("kernel: the same and dies", "crashed"),
    "fork_and_die": ("kernel: a copy outlives it", "crashed"),
}
"""What in troubles.py is tried, and the status that its row shall have."""

QUICKER = (
    "import runpy; from bench.machine import peak_rates; from bench.measure import visit,"
    " worker_process; visit.PATIENCE_S = worker_process.GRACE_S = 2.0;"
    " peak_rates.of_cpu = lambda *_: None; runpy.run_module('bench', run_name='__main__')"
)

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


class Outcome(NamedTuple):
    """Of one try."""

    survived: bool
    rows_lost: int
    why_not: str


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with a run's surroundings, and how the run shall end."""

    code: int = 0
    act: Callable[["Try"], object] | None = None  # once a few visits are on disk
    prepare: Callable[[Path], object] | None = None  # before the run, on its home
    mend: Callable[[Path], object] | None = None  # before it goes on
    bash: str = 'exec "$@"'
    where: str = "run"  # in the home
    checkout: str = ""  # a copy of the program, in the home
    budget: str = "60s"  # with an act that shall end it
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Try:
    """A run that is going on, with something wrong."""

    process: "subprocess.Popen[bytes]"
    out: Path
    errors: Path


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", QUICKER, *arguments]


def try_fault(fault: Fault) -> Outcome:
    """Run with the fault, mend it, go on."""
    with tempfile.TemporaryDirectory() as folder:
        home, errors = Path(folder) / "home", Path(folder) / "stderr"
        home.mkdir()
        if fault.prepare is not None:
            fault.prepare(home)
        try:
            return _try(fault, home, errors)
        finally:
            with suppress(OSError, subprocess.SubprocessError):
                subprocess.run(["umount", home], check=False, capture_output=True)


def _try(fault: Fault, home: Path, errors: Path) -> Outcome:
    out, checkout = home / fault.where, home / fault.checkout if fault.checkout else ROOT
    if fault.checkout:
        for package in ("bench", "kernels"):
            shutil.copytree(ROOT / package, checkout / package)
    endless = ["--target", "0.00001", "--budget", fault.budget if fault.act else "1s"]
    small = ["--sweep", "quick", "--widths", "16", "--batches", "1,8", "--kernel", "numpy_dot"]
    whole = command("run", *small, *endless, "--out", str(out))
    environment = {**os.environ, **fault.environment}
    shell = ["bash", "-c", f"set -o pipefail; {fault.bash}", "bash", *whole]
    before = b""
    with errors.open("wb") as stderr:
        process = subprocess.Popen(
            shell, cwd=checkout, env=environment, stdout=subprocess.DEVNULL, stderr=stderr
        )
        if fault.act is not None and wait_for(process, lambda: visits(out).count(b",ok,") > 3):
            before = visits(out)
            fault.act(Try(process, out, errors))
        code = process.wait(120)
    if fault.mend is not None:
        fault.mend(home)
    lost = len(set(before.splitlines()) - set(visits(out).splitlines()))
    wrong = list(complaints(fault, code, out, errors.read_text(errors="replace")))
    if not wrong:
        resume = command("run", "--resume", str(out), "--budget", "1s")
        have = visits(out)
        done = subprocess.run(resume, cwd=checkout, capture_output=True, check=False)
        if done.returncode:
            wrong.append(f"--resume: exit code {done.returncode}: {done.stderr.decode()[-200:]}")
        if not visits(out).startswith(have) or len(visits(out)) == len(have):
            wrong.append("--resume: no more visits")
    return Outcome(not wrong and not lost, lost, "; ".join(wrong))


def complaints(fault: Fault, code: int, out: Path, said: str) -> Iterator[str]:
    """What is not as it should be at the end of a run."""
    if code != fault.code:
        yield f"exit code {code}, not {fault.code}: {said[-200:]}"
    if "Traceback" in said:
        yield "a traceback"
    if fault.code == 2 and [line[:6] for line in said.splitlines()][-1:] != ["error:"]:
        yield "no error line"
    if list(out.rglob("*.half")):
        yield "half a file"
    try:
        good = [visit for visit in store.load(out, Visit) if visit.status == "ok"]
        store.load(out, Block)
        cells = store.load(out, CellRow) if fault.code != 2 else []
    except BadInput as error:
        yield str(error)
        return
    counted = sum(cell.visits + cell.disturbed for cell in cells)
    if not good or (cells and counted != len(good)):
        yield f"{len(good)} visits, {counted} in cells.csv"


def visits(out: Path) -> bytes:
    """The whole lines of visits.csv."""
    with suppress(OSError):
        content = (out / "visits.csv").read_bytes()
        return content[: content.rfind(b"\n") + 1]
    return b""


def wait_for(
    process: "subprocess.Popen[bytes]", true: Callable[[], bool], limit_s: float = 30.0
) -> bool:
    ends = time.monotonic() + limit_s
    while not true():
        if process.poll() is not None or time.monotonic() > ends:
            return False
        time.sleep(0.01)
    return True


def send(number: signal.Signals, at: Try) -> None:
    at.process.send_signal(number)


def send_twice(at: Try) -> None:
    """The second once the charts are being drawn."""
    send(signal.SIGINT, at)
    wait_for(at.process, (at.out / "plots").exists)
    send(signal.SIGINT, at)


def use_as_well(at: Try) -> None:
    """A second run in the same directory has to be refused; then end the first."""
    second = command("run", "--resume", str(at.out))
    done = subprocess.run(second, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 2 or "in use by another run" not in done.stderr:
        at.errors.write_text("Traceback: the second run was let in")
    send(signal.SIGTERM, at)


def take_away(at: Try) -> None:
    at.out.rename(at.out.with_name("aside"))


def mount(*arguments: object) -> None:
    """Try for a while: a file may be open for writing just now."""
    for _ in range(200):
        done = subprocess.run(
            ["mount", *map(str, arguments)], check=False, capture_output=True, text=True
        )
        if done.returncode == 0:
            return
        time.sleep(0.01)
    raise OSError(done.stderr.strip())


def make_read_only(at: Try) -> None:
    mount("-o", "remount,ro,bind", at.out.parent)


def no_results(home: Path) -> None:
    """A checkout in which results/ can't be made."""
    (home / "checkout").mkdir()
    (home / "checkout" / "results").write_text("in the way")


SURROUNDINGS = {
    "SIGINT": Fault(130, partial(send, signal.SIGINT)),
    "SIGTERM": Fault(143, partial(send, signal.SIGTERM)),
    "SIGHUP": Fault(129, partial(send, signal.SIGHUP)),
    "SIGINT twice": Fault(130, send_twice),
    "disk full": Fault(
        2,
        act=lambda at: None,  # it fills by itself
        prepare=lambda home: mount("-t", "tmpfs", "-o", "size=64k", "none", home),
        mend=lambda home: mount("-o", "remount,size=64m", home),
    ),
    "disk turns read-only": Fault(
        2,
        make_read_only,
        prepare=lambda home: mount("--bind", home, home),
        mend=lambda home: mount("-o", "remount,rw,bind", home),
    ),
    "file size limit": Fault(2, lambda at: None, bash='ulimit -f 24; exec "$@"'),
    "directory taken away": Fault(
        2, take_away, mend=lambda home: (home / "aside").rename(home / "run")
    ),
    "directory in use by another run": Fault(143, use_as_well),
    "stdout a closed pipe": Fault(bash='"$@" | true'),
    "stdout and stderr closed pipes": Fault(bash='"$@" 2>&1 | true'),
    "stdout closed": Fault(bash='exec "$@" >&-'),
    "stdin, stdout and stderr closed": Fault(bash='exec "$@" <&- >&- 2>&-'),
    "stdout on a full disk": Fault(bash='exec "$@" >/dev/full'),
    "no terminal": Fault(bash='exec setsid -w "$@" </dev/null'),
    "NO_COLOR": Fault(environment={"NO_COLOR": "1"}),
    "ASCII locale": Fault(environment=ASCII),
    "spaces and other letters in names": Fault(where="a run é漢", checkout="a check out é漢"),
    "home can't be written": Fault(
        environment={"HOME": "/dev/null/home", "XDG_CACHE_HOME": "", "XDG_CONFIG_HOME": ""}
    ),
    "results/ of the checkout can't be made": Fault(checkout="checkout", prepare=no_results),
}


def try_kernels() -> dict[str, Outcome]:
    """All kernel faults in one run, each in a cell of its own, beside an honest kernel."""
    names = [trouble.__name__ for trouble in runpy.run_path(str(TROUBLES))["TROUBLES"]]
    batches = {1 + names.index(name): name for name in KERNEL_FAULTS}
    with tempfile.TemporaryDirectory() as folder:
        out, sweep = Path(folder) / "run", Path(folder) / "sweep.toml"
        sweep.write_text(
            f"widths = [16]\nbatches = {list(batches)}\nbudget_s = 40\ntarget = 0.9\n"
            f"launch_limit_s = 0.03\nkernels = ['{TROUBLES}', 'numpy_dot']\n"
        )
        done = subprocess.run(
            command("run", "--sweep", str(sweep), "--out", str(out)),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        cells = {(cell.kernel, cell.batch): cell for cell in store.load(out, CellRow)}
    outcomes = {}
    for batch, name in batches.items():
        label, *statuses = KERNEL_FAULTS[name]
        cell = cells["troubles", batch]
        wrong = [] if cell.status in statuses else [f"{cell.status}: {cell.reason}"]
        if cell.status != "ok" and not cell.reason:
            wrong.append("no reason")
        if done.returncode != 1 or "Traceback" in done.stderr:
            wrong.append(f"exit code {done.returncode}: {done.stderr[-200:]}")
        lost = 0 if cells["numpy_dot", batch].status == "ok" else 1
        outcomes[label] = Outcome(not wrong and not lost, lost, "; ".join(wrong))
    return outcomes


def main(times: int) -> None:
    """Try everything, write results/studies/faults.csv, print the table."""
    outcomes: dict[str, list[Outcome]] = defaultdict(list)
    with ThreadPoolExecutor(3) as pool:  # two cores, and somebody always waits
        kernels = [pool.submit(try_kernels) for _ in range(times)]
        tries = {
            name: [pool.submit(try_fault, fault) for _ in range(times)]
            for name, fault in SURROUNDINGS.items()
        }
        for name, its in tries.items():
            outcomes[name] = [one.result() for one in its]
        for one in kernels:
            for name, outcome in one.result().items():
                outcomes[name].append(outcome)
    rows = [
        {
            "fault": name,
            "tried": len(its),
            "survived": sum(outcome.survived for outcome in its),
            "rows_lost": sum(outcome.rows_lost for outcome in its),
        }
        for name, its in outcomes.items()
    ]
    write("faults", rows)
    print(f"{'fault':44} tried  survived  rows lost")
    for row in rows:
        print(f"{row['fault']:44} {row['tried']:5} {row['survived']:9} {row['rows_lost']:10}")
        for why in {outcome.why_not for outcome in outcomes[str(row["fault"])]} - {""}:
            print(f"    {why}")


if __name__ == "__main__":
    if "OWN_MOUNTS" in os.environ:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
    else:
        again = ["unshare", "-rm", sys.executable, "-m", "bench.studies.faults", *sys.argv[1:]]
        subprocess.run(again, env={**os.environ, "OWN_MOUNTS": "1"}, check=True)
