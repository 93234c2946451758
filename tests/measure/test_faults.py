"""A run whose surroundings fail: signals, full disks, closed pipes, poor locales, odd paths."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Done, bench
from troublemakers import FILE, TROUBLES

from bench import ROOT
from bench.data import records, store
from bench.machine import peak_rates
from bench.show import charts

# a signal may leave a file that a library has just opened to the garbage collector, at any time
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
ENDLESS = ["--budget", "60s", "--target", "0.00001"]


@pytest.fixture(autouse=True)
def no_ceilings(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take a second, and are not what these tests are about."""
    monkeypatch.setattr(peak_rates, "of_cpu", lambda *_: None)


@pytest.fixture
def no_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second a time."""
    monkeypatch.setattr(charts, "draw_all", lambda *_: [])


def run(out: Path, *more: str, kernel: str = "numpy_dot") -> Done:
    tiny = ["--sweep", "quick", "--widths", "16", "--batches", "1", "--kernel", kernel]
    return bench("run", *tiny, "--out", str(out), *more)


def meanwhile(out: Path, act: Callable[[], object], visits: int = 2) -> None:
    """Act as soon as the run has so many rows of good visits."""

    def watch() -> None:
        path, ends = out / "visits.csv", time.monotonic() + 30
        while time.monotonic() < ends:
            if path.exists() and path.read_text().count(",ok,") >= visits:
                act()
                return
            time.sleep(0.01)

    threading.Thread(target=watch, daemon=True).start()


@pytest.fixture
def when_measured(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Act when a run asks for the ceilings once more: all is measured, and nothing made of it."""

    def install(act: Callable[[], object]) -> None:
        asked = itertools.count()

        def of_cpu(*_: object) -> None:
            if next(asked) == 1:
                act()

        monkeypatch.setattr(peak_rates, "of_cpu", of_cpu)

    return install


def good(out: Path) -> list[records.Visit]:
    return [visit for visit in store.load(out, records.Visit) if visit.status == "ok"]


def one_line(done: Done) -> str:
    """The error that ended a run, after what it had noted."""
    assert done.code == 2, done
    assert "Traceback" not in done.err
    (line,) = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert line == done.err.splitlines()[-1]
    return line


@pytest.mark.parametrize(
    ("number", "code", "word", "said"),
    [
        (signal.SIGINT, 130, "interrupted", "stopped: Ctrl-C (--resume"),
        (signal.SIGTERM, 143, "terminated", "stopped: SIGTERM (--resume"),
        (signal.SIGHUP, 129, "hung up", "stopped: SIGHUP, the terminal is gone (--resume"),
    ],
)
@pytest.mark.usefixtures("no_charts")
def test_a_signal_ends_a_run_that_is_complete(
    number: signal.Signals, code: int, word: str, said: str, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    meanwhile(out, lambda: os.kill(os.getpid(), number))
    done = run(out, *ENDLESS)
    assert (done.code, said in done.out) == (code, True), done
    assert store.machine(out).stopped == word
    (cell,) = store.load(out, records.CellRow)
    assert cell.status == "ok"
    assert cell.visits + cell.disturbed == len(good(out)) >= 2
    resumed = bench("run", "--resume", str(out), "--budget", "0.5s")
    assert resumed.code == 0
    assert len(good(out)) > cell.visits + cell.disturbed


@pytest.mark.usefixtures("no_charts")
def test_a_signal_in_the_middle_of_an_endless_launch_ends_the_run(tmp_path: Path) -> None:
    out = tmp_path / "run"
    meanwhile(out, lambda: os.kill(os.getpid(), signal.SIGTERM), visits=1)
    both = f"{TROUBLES.index('nothing') + 1},{TROUBLES.index('loop') + 1}"
    done = run(out, "--batches", both, *ENDLESS, kernel=str(FILE))
    assert done.code == 143, done
    assert [cell.status for cell in store.load(out, records.CellRow)] == ["ok", "pending"]


def test_a_signal_before_the_first_visit_leaves_a_run_that_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(peak_rates, "of_cpu", lambda *_: os.kill(os.getpid(), signal.SIGINT))
        done = run(out)
    assert done.code == 130, done
    assert "nothing was measured" in done.out
    assert store.load(out, records.CellRow) == []
    assert not (out / "plots").exists()
    monkeypatch.setattr(charts, "draw_all", lambda *_: [])
    assert bench("run", "--resume", str(out), "--budget", "0.5s").code == 0
    assert good(out)


def test_a_second_signal_spares_the_charts_and_leaves_no_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    meanwhile(out, lambda: os.kill(os.getpid(), signal.SIGINT))
    rename, halves = Path.replace, itertools.count()

    def interrupted(half: Path, whole: Path) -> Path:
        if half.suffix == ".half" and whole.suffix == ".svg" and next(halves) == 0:
            os.kill(os.getpid(), signal.SIGINT)
        return rename(half, whole)

    monkeypatch.setattr(Path, "replace", interrupted)
    done = run(out, *ENDLESS)
    assert (done.code, done.err.splitlines()[-1]) == (130, "stopped: Ctrl-C"), done
    assert f"charts are missing: python -m bench plot {out} draws them" in done.err
    assert store.machine(out).stopped == "interrupted"
    assert len(store.load(out, records.CellRow)) == 1
    assert [path.name for path in (out / "plots").iterdir()] == ["batching.png"]


@pytest.mark.usefixtures("no_charts")
def test_a_full_disk_ends_a_run_in_one_line_and_it_can_go_on(tmp_path: Path) -> None:
    out = tmp_path / "run"
    blocks, aside = out / "blocks.csv", out / "aside"

    def fill() -> None:
        full = out / "full"
        full.symlink_to("/dev/full")
        shutil.copy(blocks, aside)
        full.replace(blocks)

    meanwhile(out, fill)
    line = one_line(run(out, *ENDLESS))
    assert line == (
        f"error: {blocks} can't be written (No space left on device): free some space, then go on"
        f" with --resume {out}"
    )
    before = good(out)
    assert len(before) >= 2
    aside.replace(blocks)
    assert bench("run", "--resume", str(out), "--budget", "0.5s").code == 0
    after = good(out)
    assert after[: len(before)] == before
    assert len(after) > len(before)


@pytest.mark.usefixtures("no_charts")
def test_what_cannot_be_derived_is_shown_all_the_same(
    tmp_path: Path, when_measured: Callable[[Callable[[], object]], None]
) -> None:
    out = tmp_path / "run"
    when_measured((out / "cells.csv.half").mkdir)
    done = run(out, "--budget", "0.7s")
    assert "numpy_dot" in done.out
    assert "stopped: " in done.out
    assert f"{out}/cells.csv can't be written (Is a directory)" in one_line(done)
    assert good(out)


def test_charts_that_cannot_be_written_cost_no_number(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    when_measured: Callable[[Callable[[], object]], None],
) -> None:
    out = tmp_path / "run"
    when_measured(lambda: (out / "plots").write_text("in the way"))
    done = run(out, "--budget", "0.5s")
    line = one_line(done)
    assert f"{out}/plots is a file, and charts need a directory: move it away" in line
    assert f"then python -m bench plot {out}" in line
    assert store.load(out, records.CellRow)
    (out / "plots").unlink()
    assert bench("plot", str(out), "--only", "speedup").code == 0
    monkeypatch.setattr(charts, "draw_all", lambda *_: os.close(-1))  # some OSError without a name
    assert f"{out}/plots can't be written (Bad file descriptor)" in one_line(
        bench("plot", str(out))
    )


NO_CEILINGS = (
    "import runpy; from bench.machine import peak_rates; peak_rates.of_cpu = lambda *_: None;"
    " runpy.run_module('bench', run_name='__main__')"
)


NUMBERS_ALONE = f"from bench import session; session._draw = lambda *_, **__: None; {NO_CEILINGS}"
"""Likewise the charts: one is enough to see that they can be drawn."""


def program(command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a line of shell with the program in it, as `bench`."""
    define = 'set -o pipefail; bench() { "$PYTHON" -c "$PROGRAM" "$@"; }'
    return subprocess.run(
        ["bash", "-c", f"{define}; {command}"],
        cwd=ROOT,
        env={**os.environ, "PYTHON": sys.executable, "PROGRAM": NO_CEILINGS, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_run_goes_on_when_nobody_reads_in_a_plain_locale_without_a_home(tmp_path: Path) -> None:
    out = tmp_path / "run"
    options = (
        f"--sweep quick --widths 16 --batches 1 --kernel numpy_dot --budget 0.5s --out '{out}'"
    )
    cache = str(Path.home() / ".cache")  # Matplotlib's list of fonts takes seconds to make
    home = {"HOME": "/dev/null/home", "MPLCONFIGDIR": "", "XDG_CONFIG_HOME": ""}
    poor = {**ASCII, **home, "NO_COLOR": "1", "XDG_CACHE_HOME": cache}
    done = program(f"bench run {options} <&- | head -1", **poor, PROGRAM=NUMBERS_ALONE)
    assert done.returncode == 0, done
    assert len(done.stdout.splitlines()) == 1
    assert "Error" not in done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert store.load(out, records.CellRow)
    drawn = program(f"bench plot '{out}' --only throughput --format svg <&- | true", **poor)
    assert (drawn.returncode, drawn.stderr) == (0, "")
    assert (out / "plots" / "throughput.svg").exists()


def test_a_name_that_the_locale_cannot_say_is_refused_in_one_line(tmp_path: Path) -> None:
    done = program(f"bench run --out '{tmp_path}/漢'", **ASCII)
    assert (done.returncode, done.stdout) == (2, "")
    said = f"{tmp_path}/\\u6f22 can't be read in this locale (ASCII): set PYTHONUTF8=1"
    assert done.stderr == f"error: {said}\n"


def test_a_checkout_may_lie_anywhere(tmp_path: Path) -> None:
    checkout = tmp_path / "a check out 漢"
    for package in ("bench", "kernels"):
        shutil.copytree(ROOT / package, checkout / package)
    done = program(f"cd '{checkout}' && bench kernels --kernel numpy_dot")
    assert (done.returncode, done.stderr) == (0, "")
    assert "numpy_dot  yes" in done.stdout
    assert json.dumps(str(ROOT)) not in done.stdout
