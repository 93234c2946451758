"""What other programs are given: read by their own readers where one is here, else by the rules
that they publish.
"""

import csv
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from math import nan
from pathlib import Path
from typing import Any

import pytest
from campaign import campaign
from histories import run, series

from bench.data.series import Series
from bench.history import export
from bench.terminal.errors import BadInput

ODD = run(2, commit="", clean=False, host="")
RUNS = [run(0), run(1), ODD]


@pytest.fixture
def every() -> list[Series]:
    """Two kernels' times and a count, over three runs; the last of no known commit."""
    times = series([1e-3, 1.1e-3, 1.2e-3], RUNS)
    times = replace(times, lows=[0.9e-3, 1e-3, nan], highs=[1.2e-3, 1.3e-3, nan])
    others = series([2e-6, 2e-6, 2e-6], RUNS, kernel='odd "naïve" kernel, v2')
    counts = series([5e6, 5e6, 5e6], RUNS, quantity="instructions")
    return [times, others, counts]


def contents(files: export.Files) -> list[Any]:
    return [json.loads(text) for text in files.values()]


def test_bencher_gets_nanoseconds_and_their_interval(every: list[Series]) -> None:
    files = contents(export.bencher(every))
    assert len(files) == 3
    first = files[0][every[0].subject.label]["latency"]
    assert first == pytest.approx({"value": 1e6, "lower_value": 0.9e6, "upper_value": 1.2e6})
    assert files[2][every[0].subject.label]["latency"] == {"value": pytest.approx(1.2e6)}
    assert files[0][every[2].subject.label] == {"instructions": {"value": 5e6}}
    names = [len(name) for content in files for name in content]
    assert max(names) <= 1024  # Bencher's longest name


def test_github_action_benchmark_gets_its_list(every: list[Series]) -> None:
    first, *_, last = contents(export.github_action_benchmark(every))
    assert first[0] == {
        "name": every[0].subject.label,
        "unit": "ns",
        "value": pytest.approx(1e6),
        "range": "± 1.5e+05",
        "extra": "run run-0 on box_012345, commit 000000000",
    }
    assert "range" not in last[0]
    assert last[0]["extra"] == "run run-2 on 012345, commit no commit"
    assert first[2]["unit"] == "instructions"


def test_otavas_files_have_what_its_configuration_names(every: list[Series]) -> None:
    files = export.otava(every)
    tests = json.loads(files["otava.yaml"])["tests"]
    assert len(tests) == len(every)
    for test, each in zip(tests.values(), every, strict=True):
        header, *rows = csv.reader(files[test["file"]].splitlines())
        assert test["time_column"] in header
        assert set(test["attributes"]) < set(header)
        (metric,) = test["metrics"]
        assert metric != test["time_column"]
        assert [float(row[header.index(metric)]) for row in rows] == list(each.values)


def test_pytest_benchmark_compares_them(every: list[Series], tmp_path: Path) -> None:
    export.write(every, "pytest-benchmark", tmp_path / "out")
    tool = Path(sys.executable).with_name("pytest-benchmark")
    command = [
        str(tool),
        "--storage",
        (tmp_path / "out").as_uri(),
        "compare",
        "--columns=mean,stddev",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "benchmark: 6 tests" in done.stdout
    lines = [line for line in done.stdout.splitlines() if line.startswith("odd")]
    assert len(lines) == 3
    assert "2.0000" in lines[0]


def test_asv_gets_the_runs_that_have_a_commit(every: list[Series]) -> None:
    again = replace(run(0, key="another", at_s=ODD.at_s + 1))
    later = replace(every[0], runs=[*RUNS, again], values=[*every[0].values, 7e-3])
    later = replace(later, lows=[*later.lows, nan], highs=[*later.highs, nan])
    files = export.asv([later, *every[1:]])
    results = {name: json.loads(text) for name, text in files.items() if "-lock" in name}
    assert len(results) == 2
    first = results["results/box_012345/00000000-lock-lock.json"]
    name = "numpy_matmul_64x64_batch_1_float32_relu_2_threads.time"
    assert first["results"][name][0] == [7e-3]  # the latest of that commit
    with pytest.raises(BadInput, match="no run has one"):
        export.asv([series([1.0], [ODD])])


@pytest.mark.parametrize("tool", export.TOOLS)
def test_files_lie_in_their_folder_and_no_number_is_none(tool: str, every: list[Series]) -> None:
    files = export.TOOLS[tool](every)
    for name, text in files.items():
        assert ".." not in name
        assert not name.startswith("/")
        assert name.isascii()
        assert "NaN" not in text
        assert "nan" not in text.replace("nanoseconds", "")


def test_a_folder_that_is_there_is_left_alone(every: list[Series], tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    for folder in (tmp_path, tmp_path / "mine"):
        with pytest.raises(BadInput, match="exists: take another --out"):
            export.write(every, "bencher", folder)
    with pytest.raises(BadInput, match="can't be written"):
        export.write(every, "bencher", tmp_path / "mine" / "out")
    with pytest.raises(BadInput, match="--to is 'csv', should be one of otava, bencher"):
        export.write(every, "csv", tmp_path / "out")


OTAVA = """
import sys
from pathlib import Path
from otava.config import load_config_from_file
from otava.importer import CsvImporter
config = load_config_from_file("otava.yaml", [])
for test in config.tests.values():
    print(len(CsvImporter().fetch_data(test).time), *test.metrics)
"""

ASV = """
from asv import benchmarks, config, results
for each in results.iter_results("results"):
    for name in each.get_all_result_keys():
        (value,), (stats,) = each.get_result_value(name, []), each.get_result_stats(name, [])
        print(each.commit_hash[:8], name, value, stats and stats["ci_99_a"])
conf = config.Config.from_json({"project": "p", "repo": ".", "results_dir": "results"})
print(len(benchmarks.Benchmarks.load(conf)))
"""


def read_by(package: str, reader: str, folder: Path, environment: Path) -> list[str]:
    """What a program's own reader, in an environment of its own, prints of a folder."""
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    python = str(environment / "bin" / "python")
    install = [python, "-m", "pip", "install", "--quiet", package]
    if subprocess.run(install, capture_output=True, check=False).returncode:
        pytest.skip(f"needs {package}, which can't be installed here")
    done = subprocess.run(
        [python, "-c", reader], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def written(every: Sequence[Series], tool: str, folder: Path) -> Path:
    export.write(every, tool, folder)
    return folder


@campaign
def test_otavas_own_reader(every: list[Series], tmp_path: Path) -> None:
    folder = written(every, "otava", tmp_path / "out")
    lines = read_by("apache-otava==0.8.0", OTAVA, folder, tmp_path / "venv")
    assert lines == ["3 seconds", "3 seconds", "3 instructions"]


@campaign
def test_asvs_own_reader(every: list[Series], tmp_path: Path) -> None:
    folder = written(every, "asv", tmp_path / "out")
    *lines, count = read_by("asv==0.6.6", ASV, folder, tmp_path / "venv")
    assert count == "2"
    assert len(lines) == 4
    name = "numpy_matmul_64x64_batch_1_float32_relu_2_threads.time"
    (first,) = (line.split() for line in lines if line.startswith(f"00000000 {name}"))
    assert float(first[2]) == 1e-3
    assert float(first[3]) < 0.9e-3
