"""Sweep files: the shipped ones are good, a bad one is refused in one line, and work is counted."""

import itertools
import tempfile
import tomllib
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from campaign import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.plan import case, sweep
from bench.plan.case import Case, Weights
from bench.plan.sweep import Named, Sweep
from bench.terminal.errors import BadInput

ENOUGH = "widths = [16]\nbatches = [1]\n"
ITEMSIZE = {"float64": 8, "float32": 4, "tf32": 4, "float16": 2, "bfloat16": 2, "int8": 4}

exact = settings(deadline=None, derandomize=True, database=None, max_examples=50)
small = st.integers(1, 5)
awkward_text = st.text("az09 ./-_'\"\\#=[],é漢😀", min_size=1, max_size=8)
sizes = st.lists(st.integers(1, case.LARGEST), min_size=1, max_size=5).map(tuple)
seconds = st.floats(min_value=0, exclude_min=True, allow_infinity=False, allow_nan=False)

layer_names = awkward_text.map(str.strip).filter(bool)
weights = st.builds(
    Weights,
    file=awkward_text,
    W=awkward_text,
    b=st.just("") | awkward_text,
    transposed=st.booleans(),
    digest=awkward_text,
)
layers = st.builds(
    Named,
    name=layer_names,
    n_in=st.integers(1, case.LARGEST),
    n_units=st.integers(1, case.LARGEST),
    batches=st.just(()) | sizes,
    activation=st.none() | st.sampled_from(get_args(case.Activation)),
    source=st.just("") | awkward_text,
    weights=st.none() | weights,
)
many_layers = st.lists(layers, max_size=4, unique_by=lambda layer: layer.name).map(tuple)

sweeps = st.builds(
    Sweep,
    layers=many_layers,
    widths=sizes,
    batches=sizes,
    kernels=st.lists(awkward_text, max_size=3).map(tuple),
    precision=st.sampled_from(get_args(case.Precision)),
    activation=st.sampled_from(get_args(case.Activation)),
    cache=st.sampled_from(get_args(case.Cache)),
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


@pytest.mark.parametrize("name", [name for name in sweep.named() if name != "layers"])
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
    others, weights = (
        sum(len(list(np.ndindex(shape))) for shape in shapes) * ITEMSIZE[precision]
        for shapes in ((A_in, b, A_out), (W,))
    )
    if precision == "int8":  # a byte a weight, and a scale a unit
        others, weights = others + 4 * n_units, weights // 4
    case = Case(n_in, n_units, batch, precision, "relu")
    assert (case.bytes, case.weight_bytes) == (others + weights, weights)


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
        ("precision", "float64, float32, tf32, float16, bfloat16, int8"),
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


LAYER = "[[layers]]\nname = 'fc'\nn_in = 3\nn_units = 2\n"


@exact
@given(many_layers, sizes, sizes)
def test_a_layer_has_its_own_batches_and_activation_or_the_sweeps(
    asked: tuple[Named, ...], widths: tuple[int, ...], batches: tuple[int, ...]
) -> None:
    cases = Sweep(widths=widths, batches=batches, layers=asked, activation="tanh").cases()
    expected = {Case(w, w, b, "float32", "tanh") for w in widths for b in batches}
    for layer in asked:
        g = layer.activation or "tanh"
        for batch in layer.batches or batches:
            expected.add(Case(layer.n_in, layer.n_units, batch, "float32", g, layer.name))
    assert set(cases) == expected
    assert len(cases) == len(expected)
    assert [case.flops for case in cases] == sorted(case.flops for case in cases)


def test_layers_of_one_shape_are_two_cases_and_a_square_is_a_third() -> None:
    alike = [{"name": name, "n_in": 16, "n_units": 16} for name in ("query", "key")]
    asked = sweep.make({"widths": [16], "batches": [1], "layers": alike})
    assert [case.layer for case in asked.cases()] == ["", "key", "query"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LAYER, "`batches`, for layer 'fc' has none of its own"),
        (LAYER + "batches = [0]", "layer 1 (fc): Expected `int` >= 1 - at `batches["),
        (LAYER + "batches = [1]\n" + LAYER + "batches = [1]", "two are called 'fc'"),
        (LAYER + "batches = [1]\nactivation = 'gelu'", "layer 1 (fc): Invalid enum value 'gelu'"),
        (LAYER + "batches = [1]\nactivation = 'gelu'", "one of linear, relu, sigmoid, tanh"),
        (
            LAYER + "units = 2",
            "layer 1 (fc): Object contains unknown field `units`; known are name",
        ),
        (LAYER.replace("3", "0"), "layer 1 (fc): Expected `int` >= 1 - at `n_in`"),
        (LAYER.replace("2", "1.5"), "layer 1 (fc): Expected `int`, got `float` - at `n_units`"),
        (LAYER.replace("n_in = 3\n", ""), "layer 1 (fc): Object missing required field `n_in`"),
        (LAYER.replace("'fc'", "''"), "layer 1: Expected `str` of length >= 1 - at `name`"),
        (LAYER.replace("fc", "f" * 61), "of length <= 60 - at `name`"),
        (LAYER.replace("fc", " fc"), "without blanks at its ends - at `name`"),
        (LAYER.replace("'fc'", '"f\\nc"'), "a name on one line"),
        (LAYER.replace("'fc'", '"f\\u001bc"'), "a name on one line"),
        (LAYER.replace("'fc'", "3"), "layer 1: Expected `str`, got `int` - at `name`"),
        (LAYER + "weights = 'a.npz'", "got `str` - at `weights`"),
        (
            LAYER + "weights = {W = 'W', digest = ''}",
            "missing required field `file` - at `weights`",
        ),
        ("layers = 3", "Expected `array`, got `int` - at `layers`"),
        ("layers = [3]", "layer 1: Expected `object`, got `int`"),
        ("layers = []", "at `widths`, or a table `[[layers]]`"),
        (LAYER + "batches = [1]\n" + LAYER.replace("2", "0"), "layer 2 (fc): Expected `int`"),
    ],
)
def test_a_bad_layer_is_refused_by_its_name_and_field(text: str, said: str, tmp_path: Path) -> None:
    assert said in refused(tmp_path, text)


def test_the_layers_that_come_with_the_project_have_sources_and_are_as_they_are_used() -> None:
    shipped = sweep.read("layers")
    assert not shipped.widths
    assert all(layer.source and layer.batches and layer.activation for layer in shipped.layers)
    assert sum(layer.n_in != layer.n_units for layer in shipped.layers) > len(shipped.layers) / 2
    shapes = {(layer.n_in, layer.n_units) for layer in shipped.layers}
    assert shapes >= {(2, 3), (3, 1), (784, 512), (2048, 1000), (512, 2048), (4096, 11008)}
    largest = max(shipped.cases(), key=lambda case: case.bytes)
    assert largest.bytes < 2**28  # it is drawn in float64 and copied: a laptop has room for that


def test_what_the_command_asks_for_takes_the_place_of_what_the_sweep_has() -> None:
    layer = {"name": "fc", "n_in": 3, "n_units": 2, "batches": [7], "activation": "tanh"}
    had = sweep.make({"widths": [16], "batches": [1], "layers": [layer]})
    mine = {"name": "mine", "n_in": 5, "n_units": 4}

    def cases(**changes: object) -> list[tuple[str, int, int, str]]:
        asked = sweep.make(sweep.changed(had, changes))
        return [(c.layer, c.n_units, c.batch, c.activation) for c in asked.cases()]

    assert cases(widths=None) == [("fc", 2, 7, "tanh"), ("", 16, 1, "relu")]
    assert cases(widths=[8]) == [("", 8, 1, "relu")]
    assert cases(layers=[mine]) == [("mine", 4, 1, "relu")]
    assert cases(layers=[mine], widths=[8]) == [("mine", 4, 1, "relu"), ("", 8, 1, "relu")]
    assert cases(batches=[2]) == [("fc", 2, 2, "tanh"), ("", 16, 2, "relu")]
    assert cases(activation="linear") == [("fc", 2, 7, "linear"), ("", 16, 1, "linear")]
    assert had == sweep.make(sweep.changed(had, {}))


def test_what_is_added_to_a_run_is_added_to_its_layers() -> None:
    layer = {"name": "fc", "n_in": 3, "n_units": 2, "batches": [7]}
    bare = {"name": "bare", "n_in": 3, "n_units": 2}
    had = sweep.make({"batches": [1], "layers": [layer, bare]})
    more: dict[str, list[Any]] = {"kernels": ["numpy_dot"], "widths": [16], "batches": [7, 9]}
    asked = sweep.make(sweep.extended(had, more))
    found = {(case.layer, case.batch) for case in asked.cases()}
    assert found == {("fc", 7), ("fc", 9), *((n, b) for n in ("bare", "") for b in (1, 7, 9))}
    assert asked.kernels == ("numpy_dot",)


toml_values = st.recursive(
    st.integers(-(2**63), 2**63 - 1) | st.floats() | st.booleans() | awkward_text | st.just(""),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(awkward_text, inner, max_size=2),
    max_leaves=4,
)
fields_of_layers = st.fixed_dictionaries(
    {},
    optional={
        "name": layer_names | toml_values,
        "n_in": st.integers(1, 9) | toml_values,
        "n_units": st.integers(1, 9) | toml_values,
        "batches": st.just([1, 2]) | toml_values,
        "activation": st.just("relu") | toml_values,
        "source": toml_values,
        "weights": toml_values,
        "more": toml_values,
    },
)


@settings(exact, max_examples=examples(60, 300))
@given(st.lists(fields_of_layers | toml_values, max_size=3) | toml_values)
def test_any_table_of_layers_is_read_and_written_again_or_refused_in_one_line(asked: Any) -> None:
    try:
        read = sweep.make({"batches": [1], "layers": asked})
    except BadInput as error:
        said = str(error)
    else:
        said = ""
        assert sweep.make(tomllib.loads(sweep.dumps(read))) == read
    assert said.isprintable() or not said
    assert len(said) < 500


def test_what_windows_editors_write_is_read_or_named(tmp_path: Path) -> None:
    text = 'widths = [16]\nbatches = [1]\nkernels = ["numpy_dot"]\n'
    path = tmp_path / "a.toml"
    path.write_text(text, encoding="utf-8-sig")
    assert sweep.read(str(path)).widths == (16,)
    for encoding in ("utf-16", "utf-16-le", "utf-16-be"):
        path.write_text(f"# é\n{text}", encoding=encoding)
        with pytest.raises(BadInput, match=r"a.toml: not in UTF-8 \(it looks like UTF-16\): save"):
            sweep.read(str(path))
    path.write_text(f"# é\n{text}", encoding="latin-1")
    with pytest.raises(BadInput, match=r"a.toml: not in UTF-8: save it as UTF-8"):
        sweep.read(str(path))
