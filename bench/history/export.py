"""A history for programs that keep one of their own: files as each of them reads them.

Otava (a CSV file a series and a configuration), Bencher (its metric format, a file a run),
github-action-benchmark (customSmallerIsBetter, a file a run), asv (a results folder) and
pytest-benchmark (a storage folder). Each gets the time and, as far as it has a place for it, its
interval; what it can't hold is left out, and nothing is made up.
"""

import csv
import io
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.data.series import Kept, Series
from bench.terminal.errors import BadInput

Files = Mapping[str, str]
"""Contents by path."""

TO_99 = 2.576 / 1.96
"""asv has 99 % intervals: how much wider than ours they are, of a normal distribution."""


@dataclass(frozen=True, slots=True)
class Number:
    """One run's number of one series."""

    name: str
    quantity: str
    value: float  # seconds, or a count
    low: float | None
    high: float | None

    @property
    def half(self) -> float | None:
        """Half the width of the interval."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2


def by_run(every: Sequence[Series]) -> list[tuple[Kept, list[Number]]]:
    """The numbers of each run, the earliest run first."""
    found: dict[str, tuple[Kept, list[Number]]] = {}
    for series in every:
        columns = series.runs, series.values, series.lows, series.highs
        for run, value, low, high in zip(*columns, strict=True):
            ends = (None, None) if math.isnan(low) else (low, high)
            number = Number(series.subject.label, series.subject.quantity, value, *ends)
            found.setdefault(run.key, (run, []))[1].append(number)
    return sorted(found.values(), key=lambda pair: (pair[0].at_s, pair[0].key))


def otava(every: Sequence[Series]) -> Files:
    """A CSV file a series with time and commit, and an otava.yaml that names them all."""
    files, tests = {}, {}
    for number, series in enumerate(every, 1):
        lines = io.StringIO()
        writer = csv.writer(lines, lineterminator="\n")
        metric = "seconds" if series.subject.quantity == "time" else series.subject.quantity
        writer.writerow(["time", "commit", "run", metric])
        for run, value in zip(series.runs, series.values, strict=True):
            writer.writerow([_time(run), run.commit, run.name, repr(float(value))])
        name = f"{number:04}-{_slug(series.subject.label)}"
        files[f"{name}.csv"] = lines.getvalue()
        tests[f"{_machine(series.runs[-1])}-{name}"] = {
            "type": "csv",
            "file": f"{name}.csv",
            "time_column": "time",
            "attributes": ["commit", "run"],
            "metrics": {metric: {"direction": -1}},  # less is better
        }
    return files | {"otava.yaml": _json({"tests": tests})}  # JSON is YAML


def bencher(every: Sequence[Series]) -> Files:
    """Bencher's metric format (v0), a file a run: latencies in nanoseconds, counts as they are."""
    return {
        f"{name}.json": _json(
            {
                number.name: {
                    "latency" if number.quantity == "time" else number.quantity: {
                        place: value * _ns(number)
                        for place, value in (
                            ("value", number.value),
                            ("lower_value", number.low),
                            ("upper_value", number.high),
                        )
                        if value is not None
                    }
                }
                for number in numbers
            }
        )
        for name, _, numbers in _named(every)
    }


def github_action_benchmark(every: Sequence[Series]) -> Files:
    """What its tool customSmallerIsBetter takes, a file a run."""
    return {
        f"{name}.json": _json(
            [
                {
                    "name": number.name,
                    "unit": "ns" if number.quantity == "time" else number.quantity,
                    "value": number.value * _ns(number),
                    **(
                        {}
                        if number.half is None
                        else {"range": f"± {number.half * _ns(number):.4g}"}
                    ),
                    "extra": f"run {run.name} on {_machine(run)}, commit {run.version}",
                }
                for number in numbers
            ]
        )
        for name, run, numbers in _named(every)
    }


def pytest_benchmark(every: Sequence[Series]) -> Files:
    """A storage folder, a file a run. Of the statistics only mean and deviation are known."""
    files = {}
    for place, (name, run, numbers) in enumerate(_named(every), 1):
        benchmarks = [
            {
                "group": None,
                "name": number.name,
                "fullname": number.name,
                "params": None,
                "param": None,
                "extra_info": {"from": "python -m bench history export"},
                "options": {},
                "stats": _stats(number),
            }
            for number in numbers
            if number.quantity == "time"
        ]
        content = {
            "machine_info": {
                "node": run.host or run.machine,
                "cpu": {"brand": run.facts.get("CPU", "")},
            },
            "commit_info": {"id": run.commit, "time": _time(run), "dirty": not run.clean},
            "benchmarks": benchmarks,
            "datetime": _time(run),
            "version": "5.0.0",
        }
        files[f"{_machine(run)}/{place:04}_{name}.json"] = _json(content)
    return files


def asv(every: Sequence[Series]) -> Files:
    """A results folder, of each machine and commit the latest run; runs without one are left out,
    for asv knows results by their commits alone.
    """
    results: dict[str, str] = {}
    names: dict[str, str] = {}
    for run, numbers in by_run(every):
        if not run.commit:
            continue
        times = {f"{_slug(n.name)}.time": n for n in numbers if n.quantity == "time"}
        names |= {name: number.name for name, number in times.items()}
        env = f"lock-{run.lock or 'unknown'}"
        machine = _machine(run)
        python, cpu, system = (run.facts.get(name, "") for name in ("Python", "CPU", "OS"))
        params = {
            "machine": machine,
            "arch": "",
            "cpu": cpu,
            "num_cpu": "",
            "os": system,
            "ram": "",
        }
        at_ms = round(1000 * run.at_s)
        content = {
            "commit_hash": run.commit,
            "env_name": env,
            "date": at_ms,
            "params": params | {"python": python},
            "python": python,
            "requirements": {},
            "env_vars": {},
            "result_columns": ["result", "params", "version", "started_at", "duration", *ASV_ENDS],
            "results": {
                name: [[n.value], [], "1", at_ms, None, *([end] for end in _ends_99(n))]
                for name, n in times.items()
            },
            "durations": {},
            "version": 2,
        }
        results[f"results/{machine}/{run.commit[:8]}-{env}.json"] = _json(content)
        results[f"results/{machine}/machine.json"] = _json(params | {"version": 1})
    if not results:
        raise BadInput("asv knows results by their commits, and no run has one")
    benchmarks = {
        name: {
            "name": name,
            "pretty_name": label,
            "code": label,
            "type": "time",
            "unit": "seconds",
            "params": [],
            "param_names": [],
            "version": "1",
            "timeout": 60.0,
        }
        for name, label in names.items()
    }
    return results | {"results/benchmarks.json": _json(benchmarks | {"version": 2})}


ASV_ENDS = ("stats_ci_99_a", "stats_ci_99_b")

TOOLS: Mapping[str, Callable[[Sequence[Series]], Files]] = {
    "otava": otava,
    "bencher": bencher,
    "asv": asv,
    "github-action-benchmark": github_action_benchmark,
    "pytest-benchmark": pytest_benchmark,
}


def write(every: Sequence[Series], tool: str, folder: Path) -> list[Path]:
    """Write the files that a program reads into a new folder. Raises BadInput."""
    if tool not in TOOLS:
        raise BadInput(f"--to is {tool!r}, should be one of {', '.join(TOOLS)}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput(f"{folder} exists: take another --out")
    files = TOOLS[tool](every)
    try:
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        why = f"{error.filename or folder} can't be written ({error.strerror})"
        raise BadInput(f"{why}: make room, or take another --out") from error
    return [folder / name for name in files]


def _named(every: Sequence[Series]) -> Iterator[tuple[str, Kept, list[Number]]]:
    """Each run with a name for its file, in the order of time."""
    for run, numbers in by_run(every):
        yield f"{_time(run)[:19].replace(':', '')}-{run.key[:6]}-{_slug(run.version)}", run, numbers


def _machine(run: Kept) -> str:
    """A name for its machine that is a folder's, too, and no other machine's."""
    return _slug(f"{run.host} {run.machine[:6]}")


def _stats(number: Number) -> dict[str, object]:
    value = number.value
    same = ("min", "max", "mean", "median", "q1", "q3", "ld15iqr", "hd15iqr", "total")
    return dict.fromkeys(same, value) | {
        "stddev": (number.half or 0.0) / 1.96,
        "iqr": 0.0,
        "rounds": 1,
        "iterations": 1,
        "ops": 1 / value,
        "outliers": "0;0",
        "stddev_outliers": 0,
        "iqr_outliers": 0,
    }


def _ends_99(number: Number) -> tuple[float | None, float | None]:
    if number.low is None or number.high is None:
        return None, None
    value = number.value
    return value - TO_99 * (value - number.low), value + TO_99 * (number.high - value)


def _ns(number: Number) -> float:
    """What a number is multiplied with: times are wanted in nanoseconds."""
    return 1e9 if number.quantity == "time" else 1.0


def _time(run: Kept) -> str:
    return datetime.fromtimestamp(run.at_s, UTC).isoformat(timespec="seconds")


def _slug(text: str) -> str:
    return re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_")


def _json(content: object) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"
