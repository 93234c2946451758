"""Sweep files: the shipped ones are good, a bad one is refused in one line, and work is counted."""

import itertools
import tempfile
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import sweep
from bench.sweep import BadInput, Case, Sweep

ENOUGH = "widths = [16]\nbatches = [1]\n"
ITEMSIZE = {"float64": 8, "float32": 4, "tf32": 4, "float16": 2, "bfloat16": 2}

exact = settings(deadline=None, derandomize=True, database=None, max_examples=50)
small = st.integers(1, 5)
awkward_text = st.text("az09 ./-_'\"\\#=[],é漢😀", min_size=1, max_size=8)
sizes = st.lists(st.integers(1, sweep.LARGEST), min_size=1, max_size=5).map(tuple)
seconds = st.floats(min_value=0, exclude_min=True, allow_infinity=False, allow_nan=False)

sweeps = st.builds(
    Sweep,
    widths=sizes,
    batches=sizes,
    kernels=st.lists(awkward_text, max_size=3).map(tuple),
    precision=st.sampled_from(get_args(sweep.Precision)),
    activation=st.sampled_from(get_args(sweep.Activation)),
    cache=st.sampled_from(get_args(sweep.Cache)),
    device=st.integers(0, 64),
    threads=st.integers(0, 1024),
    seed=st.integers(0, 2**63 - 1),
    budget_s=seconds,
    target=st.floats(0, 1, exclude_min=True, exclude_max=True),
    launch_limit_s=seconds,
)


def refused(folder: Path, text: str) -> str:
    """What is said of a sweep file with this text; it names the file, on one line."""
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput) as caught:
        sweep.read(str(path))
    said = str(caught.value)
    assert said.startswith(f"{path}: ")
    assert "\n" not in said
    return said.removeprefix(f"{path}: ")


@pytest.mark.parametrize("name", sweep.named())
def test_a_shipped_sweep_is_valid_and_goes_from_16_past_1000(name: str) -> None:
    shipped = sweep.read(name)
    assert min(shipped.widths) == 16
    assert 1000 in shipped.widths
    assert 1 in shipped.batches


@pytest.mark.parametrize("name", ["default", "full"])
def test_the_large_sweeps_reach_wide_layers_and_large_batches(name: str) -> None:
    large = sweep.read(name)
    assert max(large.widths) >= 4096
    assert max(large.batches) >= 1024


def test_the_documented_sweeps_are_there() -> None:
    assert {"quick", "default", "full"} <= set(sweep.named())


@exact
@given(sizes, sizes)
def test_cases_are_every_width_with_every_batch_once_by_work(
    widths: tuple[int, ...], batches: tuple[int, ...]
) -> None:
    cases = Sweep(widths=widths, batches=batches).cases()
    pairs = [(case.n_units, case.batch) for case in cases]
    assert sorted(pairs) == sorted(itertools.product(set(widths), set(batches)))
    assert all(case.n_in == case.n_units for case in cases)
    assert [case.flops for case in cases] == sorted(case.flops for case in cases)


@exact
@given(n_in=small, n_units=small, batch=small)
def test_flops_are_the_multiplications_and_additions_of_the_definition(
    n_in: int, n_units: int, batch: int
) -> None:
    operations = 0
    for _example in range(batch):
        for _unit in range(n_units):
            for _input in range(n_in):
                operations += 2  # a weight times an input, added to the sum
            operations += 1  # the bias
    assert Case(n_in, n_units, batch, "float32", "relu").flops == operations


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ([], ["a", "b", "c"]),
        (["all"], ["a", "b", "c"]),
        (["b"], ["b"]),
        (["b", "mine.py", "all"], ["b", "mine.py", "a", "c"]),
        (["nosuch"], ["nosuch"]),
    ],
)
def test_all_means_every_kernel_once(asked: list[str], meant: list[str]) -> None:
    assert list(sweep.which(asked, ["a", "b", "c"])) == meant


def test_the_sweeps_that_come_with_the_project_run_without_optional_libraries() -> None:
    for name in sweep.named():
        kernels = sweep.read(name).kernels
        assert {"python_loop", "numpy_dot", "numpy_matmul", "cupy_matmul"} <= set(kernels)
        assert {kernel.partition("_")[0] for kernel in kernels} == {"python", "numpy", "cupy"}


@exact
@given(precision=st.sampled_from(sorted(ITEMSIZE)), n_in=small, n_units=small, batch=small)
def test_bytes_are_those_of_each_array_once(
    precision: str, n_in: int, n_units: int, batch: int
) -> None:
    A_in, W, b, A_out = (batch, n_in), (n_in, n_units), (1, n_units), (batch, n_units)
    numbers = sum(len(list(np.ndindex(shape))) for shape in (A_in, W, b, A_out))
    assert Case(n_in, n_units, batch, precision, "relu").bytes == numbers * ITEMSIZE[precision]


def test_what_a_sweep_leaves_open_is_the_first_device_every_core_and_every_kernel() -> None:
    asked = sweep.make({"widths": [16], "batches": [1]})
    assert (asked.device, asked.threads, asked.seed, asked.kernels) == (0, 0, 0, ())
    assert (asked.precision, asked.activation, asked.cache) == ("float32", "relu", "warm")


@exact
@given(sweeps)
def test_a_written_sweep_is_read_back_as_it_was(asked: Sweep) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sweep.toml"
        path.write_text(sweep.dumps(asked), encoding="utf-8")
        assert sweep.read(str(path)) == asked


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("batches = [1]", "widths"),
        ("widths = [16]", "batches"),
        ("widths = []\nbatches = [1]", "widths"),
        ("widths = [0]\nbatches = [1]", "widths"),
        ("widths = [16, -3]\nbatches = [1]", "widths"),
        ("widths = [16.5]\nbatches = [1]", "widths"),
        ("widths = 16\nbatches = [1]", "widths"),
        ("widths = ['16']\nbatches = [1]", "widths"),
        ("widths = [100_000_000]\nbatches = [1]", "widths"),
        ("widths = [16]\nbatches = [0]", "batches"),
        (ENOUGH + "kernels = 'numpy_dot'", "kernels"),
        (ENOUGH + "device = -1", "device"),
        (ENOUGH + "device = true", "device"),
        (ENOUGH + "threads = -1", "threads"),
        (ENOUGH + "seed = -1", "seed"),
        (ENOUGH + "budget_s = 0", "budget_s"),
        (ENOUGH + "budget_s = nan", "budget_s"),
        (ENOUGH + "target = 1.0", "target"),
        (ENOUGH + "target = 'low'", "target"),
        (ENOUGH + "launch_limit_s = -0.1", "launch_limit_s"),
    ],
)
def test_a_bad_value_is_refused_by_field(text: str, field: str, tmp_path: Path) -> None:
    assert f"`{field}" in refused(tmp_path, text)


@pytest.mark.parametrize("field", ["budget_s", "launch_limit_s"])
def test_a_limit_without_end_is_refused(field: str, tmp_path: Path) -> None:
    # it becomes a timeout and a progress line, and neither can hold infinity
    assert f"`{field}" in refused(tmp_path, ENOUGH + f"{field} = inf")


@pytest.mark.parametrize(
    ("field", "known"),
    [
        ("precision", "float64, float32, tf32, float16, bfloat16"),
        ("activation", "linear, relu, sigmoid, tanh"),
        ("cache", "warm, cold"),
    ],
)
def test_a_word_that_is_not_one_is_refused_with_the_ones_that_are(
    field: str, known: str, tmp_path: Path
) -> None:
    said = refused(tmp_path, ENOUGH + f"{field} = 'flaot23'")
    assert f"`{field}`" in said
    assert "'flaot23'" in said
    assert [word for word in known.split(", ") if word not in said] == []


def test_an_unknown_field_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    said = refused(tmp_path, ENOUGH + "widht = [16]")
    assert "`widht`" in said
    assert all(field in said for field in Sweep.__struct_fields__)


@pytest.mark.parametrize("text", ["widths = [16", "widths: [16]", ENOUGH + "widths = [32]", "\0"])
def test_what_is_not_toml_is_called_so(text: str, tmp_path: Path) -> None:
    assert "not TOML" in refused(tmp_path, text)


def test_a_sweep_that_is_nowhere_is_refused_with_the_shipped_ones(tmp_path: Path) -> None:
    for absent in ("nonesuch", str(tmp_path / "nonesuch.toml"), str(tmp_path)):
        with pytest.raises(BadInput) as caught:
            sweep.read(absent)
        said = str(caught.value)
        assert repr(absent) in said
        assert "\n" not in said
        assert all(name in said for name in sweep.named())


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"widths = [16]\xff")
    with pytest.raises(BadInput, match=r"mine\.toml"):
        sweep.read(str(path))


def test_a_folder_of_the_same_name_does_not_hide_a_shipped_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "quick").mkdir()
    monkeypatch.chdir(tmp_path)
    assert 1000 in sweep.read("quick").widths
