"""All that only a GPU can show, in order of worth, in under 25 minutes, with a page to paste.

    python -m bench.studies.gpu_day FOLDER [SCALE [SWEEP]]

Each step is a command of its own with a limit; what it prints goes into FOLDER, and the page there
(page.md) is written anew after each, so that a machine that is taken away leaves what was found by
then. A step that fails, hangs or leaves nothing to read is a row that says so, and the next begins.
SCALE, such as 0.1, shortens the budgets, to rehearse it; SWEEP is what the gate compares then, in
its own budget (without it: the gate's own sweep, as a user has it).
"""

import csv
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bench import ROOT

BUDGET_S = 1500.0
"""All steps together: a machine that is lent for half an hour needs the rest to be set up."""

PLANTED = ("cupy_matmul.py", "        g(out)\n", "        g(out)\n        g(out)\n")
"""The slowdown that the gate has to find: a kernel, and its activation computed twice."""

COPIED = ("bench", "kernels")
"""What the gate needs of the checkout; in a repository of its own there is always a commit."""


@dataclass(frozen=True, slots=True)
class Step:
    """One question to the card."""

    name: str
    arguments: tuple[str, ...]  # of Python, run in `where`
    limit_s: float  # it is ended after this
    figures: Callable[[Path, str], str]  # the day's folder and what was printed -> what to paste
    codes: tuple[int, ...] = (0,)  # what it may exit with
    where: str = ""  # a folder of the day's; the checkout where empty


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a step."""

    name: str
    state: str  # "ok", or why not
    took_s: float
    figures: str = ""


def last_line(_: Path, said: str) -> str:
    """The last line that was printed."""
    return said.strip().splitlines()[-1]


def all_lines(_: Path, said: str) -> str:
    """Everything that was printed: a table, or a few findings."""
    if not said.strip():
        raise ValueError("it printed nothing")
    return "\n\n" + said.strip() + "\n"


def gpu_check(folder: Path, _: str) -> str:
    """Counts, and each test that didn't pass."""
    title, *lines = (folder / "gpu-check.md").read_text(encoding="utf-8").splitlines()
    failed = [line for line in lines if re.search(r"\| (failed|error) \|", line)]
    return "; ".join([title.removeprefix("# "), *(line.replace("|", "/") for line in failed)])


def run(name: str) -> Callable[[Path, str], str]:
    """Of a run: its cells, its first answer, and how much of a visit measures."""

    def figures(folder: Path, _: str) -> str:
        cells, visits = (rows(folder / name / file) for file in ("cells.csv", "visits.csv"))
        measured = [cell for cell in cells if cell["status"] == "ok"]
        intervals = sum(bool(cell["time_low_s"]) for cell in measured)
        other = Counter(cell["status"] for cell in cells if cell["status"] != "ok")
        good = [visit for visit in visits if visit["status"] == "ok"]
        first = [float(visit["at_s"]) for visit in good if int(visit["pass_number"]) == 1]
        gpu = [visit for visit in good if visit["device_mhz"]]
        share = sum(float(visit["measured_s"]) for visit in gpu) / max(
            sum(float(visit["wall_s"]) for visit in gpu), 1e-9
        )
        wrong = {cell["reason"] for cell in cells if cell["status"] in ("wrong", "error")}
        return "; ".join(
            [
                f"{intervals} of {len(measured)} measured cells have an interval",
                f"first answer after {max(first) - min(first):.0f} s",
                f"{100 * share:.0f} % of a GPU visit measures ({len(gpu)} visits)",
                *(f"{count} {status}" for status, count in other.items()),
                *sorted(wrong),
            ]
        )

    return figures


def verdicts(name: str) -> Callable[[Path, str], str]:
    """Of a comparison: what it said of each kernel's cells, and how far apart its rounds were."""

    def figures(folder: Path, _: str) -> str:
        counts = Counter(
            (row["kernel"], row["says"]) for row in rows(folder / "gate" / name / "verdicts.csv")
        )
        return "; ".join(f"{kernel}: {n} {says}" for (kernel, says), n in sorted(counts.items()))

    return figures


def rows(path: Path) -> list[dict[str, str]]:
    """A CSV file's rows."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def steps(folder: Path, scale: float, sweep: str = "gate") -> list[Step]:
    """The day, in order of worth."""

    def budget(seconds: float) -> str:
        return f"--budget={max(seconds * scale, 2):g}s"

    def a_run(name: str, seconds: float, *more: str) -> Step:
        command = ("-m", "bench", "run", budget(seconds), f"--out={folder / name}", *more)
        return Step(name, command, seconds + 60, run(name))

    def a_gate(name: str, *codes: int) -> Step:
        more = ("--base", "HEAD", f"--out={folder / 'gate' / name}", f"--sweep={sweep}")
        ours = ("--kernel=cupy_matmul", "--kernel=cupy_fused", "--kernel=numpy_matmul")
        command = ("-m", "bench", "gate", *more, *ours)
        return Step(f"gate, {name}", command, 220, verdicts(name), codes, where="gate")

    kernels = [f"--kernel={name}" for name in ("cupy_matmul", "cupy_fused", "nvmath_fused")]
    ladder = [*kernels, "--kernel=nvmath_graph", "--kernel=numpy_matmul"]
    checks = ("-m", "pytest", "tests/gpu", "-m", "gpu", "--gpu-check", "-W", "default", "-q")
    page = (f"--gpu-page={folder / 'gpu-check.md'}", "-p", "no:cacheprovider")
    cells = (("cupy_fused", "4096", "1024"), ("nvmath_graph", "1000", "1"))
    fed = ("-m", "bench.studies.energy", str(folder / "energy"), "cupy_fused,nvmath_graph", "4096")
    return [
        Step("doctor", ("-m", "bench", "doctor"), 60, last_line, codes=(0, 1)),
        Step(
            "gpu-check", (*checks, *page, f"--gpu-budget={max(20 * scale, 30):g}s"), 300, gpu_check
        ),
        a_run("default", 160),
        a_run("ladder", 45, "--widths=64,1000,4096", "--batches=1,128,1024", *ladder),
        a_gate("identical", 0, 3),
        a_gate("planted", 1),
        *(
            Step(
                f"clocks, {kernel} {width} batch {batch}",
                ("-m", "bench.studies.clocks", kernel, width, width, batch),
                100,
                all_lines,
            )
            for kernel, width, batch in cells
        ),
        Step("energy", fed, 120, all_lines),
        *(
            a_run(precision, 30, "--widths=1000,4096", "--batches=1,1024", *kernels, *asked)
            for precision in ("tf32", "float16", "bfloat16")
            for asked in [("--precision", precision)]
        ),
        a_run("cold", 25, "--widths=64,1000,4096", "--batches=1,128", "--cache=cold", *kernels),
    ]


def prepare(folder: Path) -> None:
    """A repository of the checkout's files for the gate, whose only commit is what they are now."""
    place = folder / "gate"
    for name in COPIED:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, place / name, ignore=ignored)
    git = ["git", "-c", "user.name=gpu_day", "-c", "user.email=gpu_day@localhost", "-C", str(place)]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "as it is"]):
        subprocess.run([*git, *arguments], check=True, capture_output=True, timeout=60)


def plant(folder: Path) -> None:
    """Slow a kernel down in the gate's files."""
    name, old, new = PLANTED
    path = folder / "gate" / "kernels" / name
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{name} is another one than was planned for"
    path.write_text(text.replace(old, new), encoding="utf-8")


def attempt(step: Step, folder: Path, number: int, left_s: float) -> Result:
    """One step, whatever comes of it."""
    start = time.monotonic()

    def result(state: str, figures: str = "") -> Result:
        return Result(step.name, state, time.monotonic() - start, figures)

    path = folder / f"{number:02}-{re.sub('[^a-z0-9]+', '-', step.name)}.txt"
    try:
        with path.open("w", encoding="utf-8") as file:
            code = subprocess.run(
                [sys.executable, *step.arguments],
                cwd=folder / step.where if step.where else ROOT,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                check=False,
                timeout=min(step.limit_s, left_s),
            ).returncode
        said = path.read_text(encoding="utf-8", errors="replace")
        if code in step.codes:
            return result("ok", step.figures(folder, said))
        figures = last_line(folder, said or "it said nothing")
        with suppress(Exception):  # what went wrong may stand in its files
            figures = step.figures(folder, said)
        return result(f"failed with {code}", figures)
    except subprocess.TimeoutExpired as late:
        return result(f"ended after {late.timeout:.0f} s")
    except Exception as error:  # noqa: BLE001 - whatever it was, the next step begins
        return result(f"{type(error).__name__}: {error}".splitlines()[0])


def page(results: Sequence[Result], left: Sequence[str]) -> str:
    """The page to paste."""
    good = sum(result.state == "ok" for result in results)
    lines = [f"# A day on a GPU: {good} of {len(results) + len(left)} steps ok", ""]
    lines += [f"- **{r.name}** ({r.took_s:.0f} s, {r.state}) {r.figures}" for r in results]
    lines += [f"- **{name}**: not begun" for name in left]
    return "\n".join(lines) + "\n"


def main(into: str, scale: str = "1", sweep: str = "gate") -> int:
    """Run all steps -> 0 where each of them was ok, else 1."""
    folder = Path(into).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    results: list[Result] = []
    todo = steps(folder, float(scale), sweep)
    for number, step in enumerate(todo, start=1):
        left_s = BUDGET_S - (time.monotonic() - start)
        if left_s < 1:
            break
        try:
            if step.where and not (folder / step.where).exists():
                prepare(folder)
            if step.name == "gate, planted":
                plant(folder)
        except Exception as error:  # noqa: BLE001 - as in a step
            results.append(Result(step.name, f"not prepared: {type(error).__name__}: {error}", 0.0))
        else:
            results.append(attempt(step, folder, number, left_s))
        names = [other.name for other in todo[number:]]
        (folder / "page.md").write_text(page(results, names), encoding="utf-8")
        print(f"{results[-1].name}: {results[-1].state}", flush=True)
    print(page(results, [other.name for other in todo[len(results) :]]))
    return int(any(result.state != "ok" for result in results) or len(results) < len(todo))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
