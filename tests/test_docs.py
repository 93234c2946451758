"""The documentation and the code say the same: links, commands, columns, figures."""

import os
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import typer.main
from commands import bench

from bench import ROOT, __main__
from bench.data import meanings, records
from bench.gate import witnesses
from bench.terminal import units

DOCS = sorted(
    [
        *ROOT.glob("*.md"),
        *(path for top in ("bench", "kernels") for path in (ROOT / top).rglob("*.md")),
        *(ROOT / "results" / name for name in ("README.md", "studies/README.md")),
    ]
)
COMMANDS = typer.main.get_command(__main__.app).commands  # type: ignore[attr-defined]

of_each = pytest.mark.parametrize(
    "doc", [pytest.param(path, id=str(path.relative_to(ROOT))) for path in DOCS]
)


def text_of(name: str) -> str:
    """A document with each paragraph and each row of a table on one line."""
    return " ".join((ROOT / name).read_text(encoding="utf-8").split())


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 130


# Links


@of_each
def test_what_is_linked_is_there(doc: Path) -> None:
    text = doc.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    links += re.findall(r'(?:src|srcset)="([^"]+)"', text)
    assert [link for link in links if not leads_somewhere(doc, link)] == []


def leads_somewhere(doc: Path, link: str) -> bool:
    """Whether the file is there, and has the heading that the link names, as GitHub writes it."""
    name, _, anchor = link.partition("#")
    target = doc.parent / name if name else doc
    if not target.exists():
        return False
    headings = re.findall(r"^#+ (.*)$", target.read_text() if anchor else "", re.MULTILINE)
    anchors = [re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings]
    return not anchor or anchor in anchors


@pytest.mark.parametrize("link", ["nowhere.md", "README.md#nowhere", "#nowhere"])
def test_a_link_to_nowhere_is_seen(link: str) -> None:
    assert not leads_somewhere(ROOT / "README.md", link)


# Commands


@of_each
def test_commands_are_understood(doc: Path) -> None:
    for code in codes(doc):
        for module in re.findall(r"-m (bench\.[\w.]+)", code):
            path = ROOT / (module.replace(".", "/") + ".py")
            assert path.is_file(), code
        if "-m bench " in code:
            understood(code.partition("-m bench ")[2])
        for words in re.findall(r"^make (.*)", code):
            made(shlex.split(words, comments=True))


@of_each
def test_options_that_are_named_are_there(doc: Path) -> None:
    inner = [
        its for command in COMMANDS.values() for its in getattr(command, "commands", {}).values()
    ]
    every = [*COMMANDS.values(), *inner]
    known = {option for command in every for p in command.params for option in p.opts}
    known |= {"--help", "--theme dark"}
    named = {
        option
        for code in codes(doc)
        if code.startswith("--")
        for option in re.findall(r"--[a-z-]+", code)
    }
    assert named <= known


def codes(doc: Path) -> Iterator[str]:
    """A document's code: each line of its blocks, and what stands between backticks in a line."""
    parts = doc.read_text(encoding="utf-8").split("```")
    for number, part in enumerate(parts):
        if number % 2:
            yield from part.splitlines()[1:]
        else:
            yield from re.findall(r"`([^`]+)`", part)


def understood(words: str) -> None:
    """Parse a command of the program, without running it."""
    name, *arguments = shlex.split(words, comments=True)
    command = COMMANDS[name]
    if hasattr(command, "commands"):  # such as history
        name, *arguments = arguments
        command = command.commands[name]
    if "--help" not in arguments:
        command.make_context(name, arguments)


def made(words: list[str]) -> None:
    """Fail unless each word is one of the Makefile's targets, or sets one of its variables."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for word in words:
        name, sets, _ = word.partition("=")
        there = rf"^{name} \?=|\$\({name}[):]|\$\(or \$\({name}\)" if sets else rf"^{name}:.*##"
        assert re.search(there, makefile, re.MULTILINE), word


@pytest.mark.parametrize(
    "words", ["run --no-such-option", "run --budget", "walk", "history walk", "history add"]
)
def test_a_command_that_is_not_there_is_seen(words: str) -> None:
    with pytest.raises((KeyError, typer.TyperException)):
        understood(words)


# Columns and statuses


def test_the_tables_of_columns_are_the_records_comments() -> None:
    path = ROOT / "results" / "README.md"
    text = path.read_text(encoding="utf-8")

    def filled(place: re.Match[str]) -> str:
        return f"<!-- table: {place[1]} -->\n\n{meanings.table(place[1])}\n<!-- end -->"

    place = re.compile(r"<!-- table: (\w+) -->\n(?:(?!<!--).*\n)*<!-- end -->")
    assert set(place.findall(text)) == meanings.RECORDS.keys()
    renewed = place.sub(filled, text)
    if os.environ.get("RENEW"):
        path.write_text(renewed, encoding="utf-8")
        return
    assert text == renewed, "renew it: CONTRIBUTING.md, Add a column to cells.csv"


def test_the_table_of_witnesses_is_the_rules() -> None:
    path = ROOT / "bench" / "gate" / "README.md"
    text = path.read_text(encoding="utf-8")
    start, end = "<!-- table: witnesses -->\n", "<!-- end -->"
    before, rest = text.split(start)
    renewed = f"{before}{start}\n{witnesses.table()}\n{end}{rest.partition(end)[2]}"
    if os.environ.get("RENEW"):
        path.write_text(renewed, encoding="utf-8")
        return
    assert text == renewed, "renew it: RENEW=1 pytest tests/test_docs.py -k witnesses"


def test_every_verdict_is_explained() -> None:
    gate = text_of("bench/gate/README.md")
    assert [says for says in records.WORDS["says"] if f"| {says} |" not in gate] == []


# Figures


def test_the_headline_is_the_reference_runs(tmp_path: Path) -> None:
    folder = shutil.copytree(ROOT / "results" / "reference", tmp_path / "reference")
    headline = bench("report", str(folder), "--markdown").out.splitlines()[0]
    assert re.fullmatch(r"\*\*1000 units, .*\.\*\*", headline)
    assert headline in text_of("README.md")


def test_the_rates_are_the_reference_runs() -> None:
    cells = pd.read_csv(ROOT / "results" / "reference" / "cells.csv")
    matmul = cells[(cells.kernel == "numpy_matmul") & (cells.n_units == 1000)].set_index("batch")
    rates = [matmul[name] for name in ("flop_per_s", "flop_per_s_low", "flop_per_s_high")]
    many, one = ([units.number(rate[batch] / 1e9) for rate in rates] for batch in (1024, 1))
    said = f"({many[0]} GFLOP/s, {many[1]} to {many[2]}, against {one[0]}, {one[1]} to {one[2]})"
    assert said in text_of("README.md")


def test_what_is_said_of_the_gate_is_what_was_counted() -> None:
    readme, studies = text_of("README.md"), text_of("results/studies/README.md")
    rows = study("gate_trials")
    rows = rows[rows.code == rows.code.mode()[0]]  # of the code with the longest tally, as it says
    identical = rows[rows.kind == "identical"]
    alarms = identical[identical.slower > 0].run.nunique()
    runs = f"{identical.run.nunique()} whole runs on identical code"
    assert f"{runs}: {alarms or 'no'} false alarm" in studies
    assert f"{alarms or 'no'} false alarm in {runs.replace(' whole', '')}" in readme
    planted = rows[rows.kind == "planted"].groupby("slowdown_percent")
    missed = planted.not_slower.sum()
    for percent, what in ((5, "slowdowns of 5 %"), (7, "of 7 %"), (10, "of 10 %"), (3, "of 3 %")):
        counted = planted.get_group(percent)
        found = f"{counted.slower.sum()} of {counted.cells.sum()} {what}"
        assert found in studies
        assert percent != 5 or found in readme
    (five, _), (seven, _), (three, cells) = ((missed[p], planted.cells.sum()[p]) for p in (5, 7, 3))
    assert f"{five} of the 450 cells that were slowed by 5 %, {seven} of 261 by 7 %" in studies
    assert f"{three} of {cells} by 3 %" in studies


def test_what_is_said_of_counts_is_what_was_counted() -> None:
    studies = text_of("results/studies/README.md")
    rows = study("count_trials")
    rows = rows[rows.code == rows.code.iloc[-1]]
    identical = rows[rows.kind == "identical"]
    alarms = identical[identical.slower > 0].run.nunique()
    same = rows[rows.planted_percent == 0]
    apart = max(same.most_change_percent.max(), -same.least_change_percent.min())
    assert f"In {identical.run.nunique()} whole runs by counts alone on identical code" in studies
    assert f"{alarms or 'no'} false alarm in them" in studies
    told = f"of {same.cells.sum()} cells that were the same, {same.not_slower.sum()} were"
    assert f"{told} called not slower, and counts differed by {apart:.2f} % at most" in studies
    for percent in (2, 5):
        planted = rows[rows.planted_percent == percent]
        found = f"{planted.slower.sum()} of {planted.cells.sum()} cells with {percent} % more work"
        assert found in studies


def study(name: str) -> pd.DataFrame:
    return pd.read_csv(ROOT / "results" / "studies" / f"{name}.csv")


def measured() -> Iterator[str]:
    """What each study's result says, in the words of the documentation."""
    runs = study("repeatability")
    spread = runs.set_index(["estimate", "series"]).rms_log_ratio * 100
    ours = spread["median of quiet visits' least block"]
    yield "{:.1f}, {:.1f} and {:.1f} % (root mean square of the log ratio".format(*ours)
    theirs = (
        runs[runs.estimate.str.startswith("pytest")].groupby("series").rms_log_ratio.min() * 100
    )
    yield "differed by {:.1f}, {:.1f} and {:.1f} % in the same time".format(*theirs)
    yield "we would have had {:.1f}, {:.1f} and {:.1f} %".format(
        *spread["median of all visits' least block"]
    )
    today = study("repeatability_busy").set_index(["estimate", "series"]).rms_log_ratio * 100
    yield "neighbouring runs differed by {:.1f} and {:.1f} %".format(*today["ours"])
    yield "adjusted, by {:.1f} and {:.1f} %".format(*today["ours as found"])
    yield "minimum differed by {:.1f} and {:.1f} %".format(*today["pytest-benchmark's min"])
    yield "its median by {:.1f} and {:.1f} %".format(*today["pytest-benchmark's median"])
    cells = study("answer_time")
    yield f"all {sum(cells.visits >= 6)} cells had a 95 % interval"
    half = cells.half_width * 100
    yield f"is {half.median():.1f} % of the time in the median cell, and {half.quantile(0.9):.1f} %"
    turns = study("overhead")
    less = -1e9 * (turns.harness_s - turns.timeit_median_s)
    yield f"reports {round(less.median())} ns less than `timeit` does"
    yield f"from {less.max():.0f} ns less to {-less.min():.0f} ns more"
    bias = study("truth").assign(off=lambda rows: rows.bias_percent.abs()).groupby("tool").off
    low, high, middle = (getattr(bias, name)()["bench"] for name in ("min", "max", "median"))
    yield f"off by {low:.1f} to {high:.1f} %, in the median of ten settings by {middle:.1f} %"
    held = study("busy_coverage")
    together = held[held.kernel == "all"]
    busy = together[together.recording == "busy"]
    yield f"used {busy.busy.min() * 100:.0f} to {busy.busy.max() * 100:.0f} % of the time"
    yield f"in {100 * together.held.min():.1f} % of cells or more"
    yield f"kernel by kernel in {100 * held.held.min():.1f} % or more"
    widths = [100 * width for width in busy.half_width]
    yield "Half an interval is {:.0f}, {:.0f}, {:.0f} and {:.0f} % of the time".format(*widths)
    runs = study("loaded")
    yield f"{runs.ok.sum()} cells were measured and {runs.false_alarms.sum() or 'none'} was refused"
    tried = study("cheats")
    with_number = tried.groupby(["kind", "kernel"]).numbers.sum()
    mistakes, cheats = with_number["mistake"], with_number["cheat"]
    yield f"Of {len(mistakes)} mistakes of honest authors"
    runs_of = tried.kind.value_counts()
    yield f"({runs_of['mistake']} runs), {sum(mistakes == 0)} gave no number in any run"
    through = ", ".join(f"`{name}`" for name in cheats.index[cheats > 0])
    yield f"Of {len(cheats)} cheats {sum(cheats == 0)} gave none; the others are {through}."
    honest = tried[tried.kind == "honest"]
    yield f"The {honest.kernel.nunique()} honest kernels beside them were refused in no run"
    assert honest.refused.sum() == 0
    faults = study("faults")
    yield f"{len(faults)} faults"
    yield f"it survived {faults.survived.sum()} of {faults.tried.sum()}, and no row was lost"
    assert faults.rows_lost.sum() == 0
    kills = study("kills")
    yield f"{kills.kills.sum()} times, at random moments"
    assert kills[["visits_lost", "rows_doubled", "runs_that_did_not_end_well"]].sum().sum() == 0
    told = (
        study("change_points")
        .set_index(["what", "noise", "spread_percent"])
        .told_percent.sort_index()
    )
    calm = told["no change"].droplevel("spread_percent")
    noises = "normal", "t with 3 degrees", "5 % outliers"
    yield (
        "in {:g} % with normal noise, {:g} % with heavy tails, {:g} % with 5 % outliers".format(
            *(calm[noise] for noise in noises)
        )
    )
    alike = calm[calm.index.str.startswith("alike")]
    yield f"and {alike.min():g} to {alike.max():g} % where runs resemble the one before them"
    steps = {size: told[f"step {size}%", "normal"] for size in (2, 5, 10)}
    yield (
        "of 2 % in {:g} % of series whose runs scatter by 1 %, in {:g} % at 2 %, in {:g} % at 4 %;"
        " of 5 % in {:g}, {:g} and {:g} %; of 10 % in all".format(
            *(steps[size][spread] for size in (2, 5) for spread in (1, 2, 4))
        )
    )
    assert (steps[10] == 100).all()
    network = study("fleet_network")
    cut = network[network.cut_off == 1].iloc[0]
    assert (network.status == "back").sum() == 3
    assert (network.status_resumed == "back").all()
    yield f"told lost after {cut.told_after_s:.0f} s, with the reason"
    yield f"ended by itself after {cut.run_ended_after_s:.0f} s"
    broken = study("fuzz")
    yield f"each of {broken.inputs.sum():,} files that were broken at random"
    assert broken.failures.sum() == 0
    long = study("long_run")
    yield f"in {long.all_cpu_s.median():.0f} s of CPU time and with {long.peak_mb.max():.0f} MB"
    more = 100 * (long.pass_last_tenth_s / long.pass_first_tenth_s - 1)
    yield f"costs the harness {more.min():.0f} to {more.max():.0f} % more than at first"
    drawn = study("draw_time").seconds
    yield f"take {drawn.median():.1f} s in the median of five repeats"
    yield from of_the_limit()
    far = study("predicting").set_index(["run", "kernel"])
    off, most = far.middle_percent, far.large_percent
    loop, dot, matmul = (("reference", k) for k in ("python_loop", "numpy_dot", "numpy_matmul"))
    yield f"{off[loop]:.1f} % (`python_loop`), {off[matmul]:.1f} % (`numpy_matmul`) and"
    yield f"{off[dot]:.1f} % (`numpy_dot`) in the middle cell of the reference run"
    yield f"by up to {most[loop]:.1f}, {most[matmul]:.1f} and {most[dot]:.1f} %"
    gpu_box = off["h100"]
    yield f"`cupy_matmul` {gpu_box.cupy_matmul:.1f} and `cupy_fused` {gpu_box.cupy_fused:.1f} %"
    yield f"`numpy_matmul` {gpu_box.numpy_matmul:.1f} %"
    named = off["predicting_layers"]
    yield f"{named.cupy_fused:.1f} % (`cupy_fused`) and {named.numpy_matmul:.1f} % (`numpy_matmul`)"
    right, predicted = far.held.sum(), far.told.sum()
    yield f"held {right} of {predicted} cells ({100 * right / predicted:.1f} %)"
    first = far.first_pass_percent
    yield f"the middle error is {first.min():.1f} to {first.max():.1f} %"
    accused = study("accusations")
    flushed = (accused.kernel == "jax_dense") & (accused.weights == "subnormal")
    honest = accused[~flushed & (accused.kernel != "(not measured)")]
    yield f"{honest.accused.sum()} of {honest.answers.sum():,} answers"
    yield f"the largest error was {honest.largest_error_over_limit.max():.2f} of its limit"
    yield f"{accused[flushed].accused.sum()} of {accused[flushed].answers.sum()}"
    cost = study("judge_cost").sum()
    yield f"it took {cost.judge_s:.1f} s, {cost.first_judge_s:.1f} s of which"
    scaling = study("scaling").set_index(["kernel", "kind", "devices"])
    seconds, share = scaling.seconds, 100 * scaling.efficiency
    sharded, dask = "jax_sharded", "dask_matmul"
    for kernel in (sharded, dask):
        one, two = (1e3 * seconds[kernel, "strong", count] for count in (1, 2))
        yield f"`{kernel}` {one:.0f} ms on one device and {two:.0f} ms on two"
    same, grown = ([share[k, kind, 2] for k in (sharded, dask)] for kind in ("strong", "weak"))
    yield "(efficiency {:.0f} and {:.0f} %)".format(*same)
    yield "as many units for each it is {:.0f} and {:.0f} %".format(*grown)
    eight = [1e3 * seconds[kernel, "strong", 8] for kernel in (sharded, dask)]
    yield "on eight {:.0f} and {:.0f} ms".format(*eight)
    stride = study("column_stride").query("batch == 1").set_index("width").strided_over_contiguous
    yield f"{stride[64]:.2f} times as long at 64 units"
    yield f"{stride[2048]:.1f} times at 2048"


def test_what_is_said_of_a_later_gpu_is_what_was_measured() -> None:
    cells = study("h200")
    on_gpu = cells[cells.device != "cpu"]
    readme = text_of("kernels/README.md")
    assert f"Each of the {len(cells)} cells that ran had" in readme
    assert f"an interval, the {len(on_gpu)} on the GPU too" in readme
    assert f"from {cells.visits.min()} visits or more" in readme
    assert cells.time_low_s.notna().all()
    assert f"in each of {on_gpu.visits.sum()} visits" in readme


def of_the_limit() -> Iterator[str]:
    """What is said of numba_packed beside others, and of the ceilings."""
    rivals = study("limit_rivals")
    yield f"in any of the {rivals.high.count()} comparisons"
    yield f"over theirs is {rivals.high.max():.2f} at most"
    assert rivals.high.max() <= 1.03
    yield f"faster by the whole interval in {(rivals.high < 1).sum()} of them"
    large = rivals[(rivals.width >= 1000) & (rivals.batch >= 128)].share_of_ceiling * 100
    yield f"{large.min():.0f} to {large.max():.0f} % of the multiply-adds"
    onednn = study("limit_onednn")
    even = onednn[onednn.high <= 1.03]
    yield f"In {len(even)} of the {len(onednn)} cells not slower"
    yield f"at most {even.high.max():.2f} times oneDNN's time"
    every = study("ceilings")
    tops = [100 * every[f"of_{roof}"].max() for roof in ("arithmetic", "nearest", "memory")]
    assert max(tops) <= 100
    yield "{:.0f} % of it, to the nearest cache's bandwidth {:.0f} %, to memory's {:.0f} %".format(
        *tops
    )
    assert len(every) == 10
    assert every.registers_gflop_per_s.max() / every.registers_gflop_per_s.min() < 1.0001
    blocks = study("limit_blocks").set_index(["width", "batch"])
    gained = blocks.packed_over_other
    yield f"{gained[4096, 1024]:.2f} of the time without them"
    rest = blocks.drop((4096, 1024))
    yield f"{rest.packed_over_other.min():.2f} to {rest.packed_over_other.max():.2f} of it"
    assert ((rest.low < 1) & (rest.high > 1)).all()
    yield from of_caches()
    copied = study("limit_copying").query("batch >= 128").packed_over_other
    yield f"{copied.min():.2f} to {copied.max():.2f} of the time without a copy"
    reading = study("one_example_reading").set_index("width")
    share = reading.weights_over_read * 100
    yield f"at {share[4096]:.0f} % of its rate at 4096 units and at {share[8192]:.0f} % at 8192"
    yield f"{reading.turns[4096]:,} and {reading.turns[8192]} turns"
    apart = study("one_example_places").set_index(["pages", "width"]).four_over_one
    yield "{:.2f}, {:.2f} and {:.2f} of the time".format(*apart["small"])
    yield "in large pages {:.2f}, {:.2f} and {:.2f} of it".format(*apart["large"])
    narrow = study("limit_narrow")
    left = narrow.query("n_units <= 4 and batch >= 16 and batch * n_in >= 2**14")
    over = left.groupby("n_units").packed_over_numpy
    for least, most in zip(over.min(), over.max(), strict=True):
        yield f"{least:.1f} to {most:.1f}"
    yield f"In {(left.packed_over_numpy > 1).sum()} of those {len(left)} cells that is right"
    others = narrow.drop(left.index).packed_over_numpy
    yield f"of the {len(others)} others the tiles take longer in {(others > 1).sum()}"
    halves = study("bytes_a_weight").query("precision == 'float16' and width >= 4096")
    for ratio, low, high in halves[["faster", "faster_low", "faster_high"]].to_numpy():
        yield f"{ratio:.2f} times"
        yield f"{low:.2f} to {high:.2f})"


def of_caches() -> Iterator[str]:
    """What is said of the simulated caches; those of a layer with one example aside."""
    rows = study("cache_traffic").query("batch > 1")
    into: Any = {
        (machine, kind): of.set_index(["width", "batch"])
        for (machine, kind), of in rows.groupby(["machine", "kind"])
    }

    def span(machine: str, kind: str, level: str = "l2_from_l3") -> str:
        values = into[machine, kind][level]
        if kind == "none":  # nor are there where none are chosen
            values = values.reindex(into[machine, "chosen"].index)
            values = values.fillna(into[machine, "chosen"][level])
        return f"{values.min():.1f} to {values.max():.1f}"

    for machine, words in (
        ("Xeon", "{} on a Xeon (48 KiB, 1.25 MiB, 48 MiB) where no blocks bring {}"),
        ("Zen 4", "{} instead of {} on Zen 4"),
        ("Zen 2", "{} instead of {} on Zen 2 (512 KiB)"),
        ("client Intel", "{} instead of {} on a client Intel (2 MiB)"),
    ):
        yield words.format(span(machine, "chosen"), span(machine, "none"))
    for machine in ("Zen 4", "Zen 2", "client Intel"):
        far = [into[machine, kind].l3_from_memory[4096, 1024] for kind in ("chosen", "none")]
        yield f"{far[0]:.1f} instead of {far[1]:.1f} on {'the ' * machine.startswith('c')}{machine}"
    far = [into["Xeon", kind].l3_from_memory[4096, 1024] for kind in ("chosen", "none")]
    yield f"{far[0]:.1f} and {far[1]:.1f}, on the Xeon"
    saved = max(
        (into[machine, "chosen"].l2_from_l3 - into[machine, "half as deep"].l2_from_l3).max()
        for machine in ("Zen 4", "Xeon")
    )
    yield f"save up to {saved:.1f} bytes more on the machines with AVX-512"
    nearest = [span("Xeon", kind, "l1_from_l2") for kind in ("W in L1", "chosen")]
    yield "gets {} instead of {}".format(*nearest)
    on_zen_2 = [into["Zen 2", kind].l2_from_l3[4096] for kind in ("chosen, A_in copied", "chosen")]
    share = 100 * on_zen_2[0] / on_zen_2[1]
    yield f"bring {share.min():.0f} to {share.max():.0f} % of what it brings"


def test_what_is_said_of_the_harness_is_what_was_measured() -> None:
    studies = text_of("results/studies/README.md")
    assert [said for said in measured() if said not in studies] == []
