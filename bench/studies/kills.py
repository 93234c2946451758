"""Is anything lost when a run, or one of its workers, is killed at a random moment?

A small run is started, killed with SIGKILL (the run itself, or a worker of it), looked at, and
resumed, again and again until it ends by itself; then the next run begins. After each kill every
finished visit that was there before must still be there, once; at the end every cell must be
measured as in a run that nobody disturbed.

    python -m bench.studies.kills [KILLS]
"""

import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench import ROOT
from bench.data import store
from bench.data.records import Visit
from bench.stats.adjust import ENOUGH
from bench.stats.cell_visits import cell_of
from bench.studies import write
from bench.worker import environment, limits

NEW = [
    *("--kernel", "python_loop", "--kernel", "numpy_dot", "--kernel", "numpy_matmul"),
    *("--widths", "16,64", "--batches", "1,16", "--budget", "60s", "--target", "0.6"),
]
CELLS = 12
LONGEST_S = 4.0
"""A run of these cells takes about as long; kills come at any moment of it."""


@dataclass(slots=True)
class Tally:
    """What came of killing one kind of process."""

    kills: int = 0
    half_lines: int = 0  # found after a kill; the resumed run drops them
    visits_lost: int = 0
    rows_doubled: int = 0
    failed: int = 0  # resumed runs that didn't end as an undisturbed one does


def start(folder: Path) -> subprocess.Popen[bytes]:
    """The command, as a user gives it: a new run, or going on with what is there."""
    where = ["--resume", str(folder)] if folder.exists() else ["--out", str(folder), *NEW]
    return subprocess.Popen(
        [sys.executable, "-m", "bench", "run", *where],
        cwd=ROOT,
        env=environment.environment(limits.usable_cores()),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def finished(folder: Path) -> list[Visit]:
    """The visits whose row is whole."""
    known = (folder / store.FILES[Visit]).is_file()
    return store.load(folder, Visit) if known else []


def half_lines(folder: Path) -> int:
    """How many of the files end in the middle of a line."""
    files = (folder / "visits.csv", folder / "blocks.csv")
    return sum(f.is_file() and not f.read_bytes().endswith(b"\n") for f in files)


def kill(run: subprocess.Popen[bytes], victim: str, after_s: float) -> bool:
    """Kill the run or one of its workers after a while; False where there was nothing to kill."""
    ends = time.monotonic() + after_s
    while time.monotonic() < ends and run.poll() is None:
        time.sleep(0.002)
    if run.poll() is not None:
        return False
    if victim == "run":
        run.kill()
        return True
    try:
        workers = psutil.Process(run.pid).children(recursive=True)  # and their keepers
        random.choice(workers).send_signal(signal.SIGKILL)
    except (IndexError, psutil.Error):
        return False
    return True


def one_run(folder: Path, victim: str, tally: Tally, most: int) -> None:
    """One run, killed until there are `most` kills or it has ended, and resumed each time."""
    before: list[Visit] = []
    while True:
        run = start(folder)
        killed = tally.kills < most and kill(run, victim, random.uniform(0.0, LONGEST_S))
        code = run.wait()
        tally.kills += killed
        tally.half_lines += half_lines(folder) if killed else 0
        after = finished(folder)
        tally.visits_lost += sum(row not in after for row in before)
        tally.rows_doubled += len(after) - len({row.visit for row in after})
        before = after
        if not killed:
            break
    # a run whose worker died ends with 1; resumed, it gives that cell another chance
    if code not in (0, 1) or start(folder).wait() != 0 or not whole(folder):
        tally.failed += 1


def whole(folder: Path) -> bool:
    """Every cell is measured as often as in a run that nobody disturbed, and each visit is there
    once.
    """
    visits = store.load(folder, Visit)
    good = [row for row in visits if row.status == "ok"]
    passes = {(cell_of(row), row.pass_number) for row in good}
    cells = {cell_of(row) for row in good}
    standing = {cell_of(row): row.status for row in visits}
    return (
        len(cells) == CELLS
        and len(passes) == len(good)
        and all(status == "ok" for status in standing.values())
        and all(sum(cell_of(r) == cell for r in good) >= ENOUGH for cell in cells)
    )


def main(kills: int) -> None:
    """Write results/studies/kills.csv, print the table."""
    rows = []
    for victim in ("run", "worker"):
        tally = Tally()
        with tempfile.TemporaryDirectory() as parent:
            number = 0
            while tally.kills < kills:
                number += 1
                one_run(Path(parent) / f"run-{number}", victim, tally, kills)
                print(f"{victim}: {tally}", file=sys.stderr)
        rows.append(
            {
                "victim": victim,
                "kills": tally.kills,
                "runs": number,
                "half_lines_dropped": tally.half_lines,
                "visits_lost": tally.visits_lost,
                "rows_doubled": tally.rows_doubled,
                "runs_that_did_not_end_well": tally.failed,
            }
        )
    write("kills", rows)
    for row in rows:
        print(", ".join(f"{name} {value}" for name, value in row.items()))


if __name__ == "__main__":
    random.seed(1)
    main(int(sys.argv[1]) if len(sys.argv) == 2 else 100)
