"""A layer from a file: read as it is, or refused in one line that names the file and the remedy."""

import errno
import io
import json
import os
import random
import struct
import tracemalloc
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from commands import bench, refused
from numpy.typing import NDArray
from safetensors.numpy import save_file

from bench.ipc.arrays import Arrays as Drawn
from bench.ipc.outputs import Wrong
from bench.judge import answers, inputs
from bench.judge.check import check
from bench.plan import sweep, tensors, weights
from bench.plan.case import Case
from bench.plan.sweep import Named
from bench.plan.tensors import INDEX
from bench.terminal.errors import BadInput
from kernels import DTYPES, Layer, ShapeError

Arrays = Mapping[str, NDArray[Any]]

W = np.arange(1.0, 13.0, dtype=np.float32).reshape(4, 3) / 8  # 4 inputs, 3 units
B = np.array([0.5, -1.0, 2.0], np.float32)


def npz(path: Path, arrays: Arrays) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def safe(path: Path, arrays: Arrays) -> Path:
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, path)
    return path


def raw(path: Path, header: Any, data: bytes) -> Path:
    """A safetensors file of these very bytes."""
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def own(found: weights.Found) -> weights.Numbers:
    assert found.layer.weights is not None
    return weights.load(found.layer.weights, found.layer)


FORMATS = [(npz, "model.npz"), (safe, "model.safetensors")]


@pytest.mark.parametrize(("write", "file"), FORMATS)
@pytest.mark.parametrize(
    ("arrays", "asked", "W_name", "b_name", "label"),
    [
        ({"W": W, "b": B}, "", "W", "b", "model"),
        ({"weight": W, "bias": B}, "", "weight", "bias", "model"),
        ({"W": W, "b": B[None]}, "", "W", "b", "model"),
        ({"W1": W, "b1": B, "W2": W.T, "b2": W[:, 0]}, ":W2", "W2", "b2", "model W2"),
        ({"W1": W, "b1": B, "W2": W.T, "b2": W[:, 0]}, ":W1", "W1", "b1", "model W1"),
        (
            {"fc1.weight": W, "fc1.bias": B, "n.weight": B},
            "",
            "fc1.weight",
            "fc1.bias",
            "model fc1",
        ),
        ({"fc1.weight": W, "fc1.bias": B, "fc2.weight": W}, ":fc1", *(2 * ("fc1.",)), "model fc1"),
        ({"a/kernel": W, "a/bias": B}, ":a/kernel", "a/kernel", "a/bias", "model a"),
        ({"b.weight": W, "b.bias": B, "c": W}, ":c", "c", "", "model c"),
        ({"weight": W}, "", "weight", "", "model"),
        ({"d/kernel:0": W, "d/bias:0": B}, "", "d/kernel:0", "d/bias:0", "model d"),
        ({"d/kernel:0": W, "d/bias:0": B}, ":d/kernel:0", "d/kernel:0", "d/bias:0", "model d"),
        ({"d/kernel:0": W, "e/kernel:0": W.T}, ":e", "e/kernel:0", "", "model e"),
        ({"q:a=b/W": W, "q:a=b/b": B, "z": W}, ":q:a=b/W", "q:a=b/W", "q:a=b/b", "model q:a=b"),
        *(
            ({f"{w}{end}": W, f"{b}{end}": B}, f":{w}{end}", f"{w}{end}", f"{b}{end}", label)
            for w, b, end, label in (
                ("rnn.weight", "rnn.bias", "_ih_l0", "model rnn.weight_ih_l0"),
                ("rnn.weight", "rnn.bias", "_hh_l1_reverse", "model rnn.weight_hh_l1_reverse"),
                ("cell.weight", "cell.bias", "_ih", "model cell.weight_ih"),
                ("attn.in_proj_weight", "attn.in_proj_bias", "", "model attn.in_proj"),
                ("enc.W", "enc.b", "", "model enc"),
            )
        ),
    ],
)
def test_a_layer_is_found_by_its_name_or_by_being_the_only_one(
    write: Callable[[Path, Arrays], Path],
    file: str,
    arrays: Arrays,
    asked: str,
    W_name: str,
    b_name: str,
    label: str,
    tmp_path: Path,
) -> None:
    path = write(tmp_path / file, arrays)
    found = weights.find(f"{path}{asked}")
    layer = found.layer
    assert layer.weights is not None
    assert layer.weights.W.startswith(W_name)
    assert layer.weights.b.startswith(b_name)
    assert layer.name == label
    assert (layer.n_in, layer.n_units) == arrays[layer.weights.W].shape
    numbers = own(found)
    assert numbers.W.dtype == numbers.b.dtype == np.float64
    np.testing.assert_array_equal(numbers.W, arrays[layer.weights.W])
    expected = arrays[layer.weights.b].reshape(1, -1) if b_name else np.zeros((1, layer.n_units))
    np.testing.assert_array_equal(numbers.b, expected)
    assert ("zeros are added" in found.said) == (not b_name)


def test_a_transposed_weight_is_turned_and_said(tmp_path: Path) -> None:
    path = safe(tmp_path / "torch.safetensors", {"weight": W.T, "bias": B})
    found = weights.find(str(path), transposed=True)
    assert (found.layer.n_in, found.layer.n_units) == (4, 3)
    np.testing.assert_array_equal(own(found).W, W)
    assert "(3, 4), read as (n_units, n_in): 4 inputs, 3 units" in found.said
    assert "nothing tells" not in found.said  # the bias did


@pytest.mark.parametrize(
    ("arrays", "why"),
    [({"W": W[:3], "b": B}, "it is square"), ({"W": W}, "there is no bias")],
)
def test_where_nothing_tells_the_order_it_is_said(arrays: Arrays, why: str, tmp_path: Path) -> None:
    path = npz(tmp_path / "a.npz", arrays)
    said = weights.find(str(path)).said
    assert f"nothing tells whether that is right ({why}): with --transposed it is" in said
    turned = weights.find(str(path), transposed=True)
    assert "without --transposed it is" in turned.said
    np.testing.assert_array_equal(own(turned).W, arrays["W"].T)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4", np.longdouble])
def test_any_floating_type_is_read_exactly_and_named(dtype: Any, tmp_path: Path) -> None:
    found = weights.find(str(npz(tmp_path / "a.npz", {"W": W.astype(dtype), "b": B})))
    np.testing.assert_array_equal(own(found).W, W)
    assert f"W is {np.dtype(dtype)}" in found.said


def test_bfloat16_which_numpy_lacks_is_read_exactly(tmp_path: Path) -> None:
    bits = (W.view(np.uint32) >> 16).astype("<u2")
    np.testing.assert_array_equal((bits.astype(np.uint32) << 16).view(np.float32), W)
    header = {
        "pad": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
        "weight": {"dtype": "BF16", "shape": [4, 3], "data_offsets": [4, 28]},
    }
    path = raw(tmp_path / "a.safetensors", header, b"\0" * 4 + bits.tobytes())
    np.testing.assert_array_equal(own(weights.find(str(path))).W, W)


class Evil:
    """What unpickling would run."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return (exec, ("raise SystemExit('a pickle was read')",))


def pickled(path: Path) -> Path:
    np.savez(path, W=np.array([Evil()], dtype=object), allow_pickle=True)
    return path


def cut(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:-5])
    return path


def zipped(path: Path, name: str, content: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, content)
    return path


def npy(array: NDArray[Any]) -> bytes:
    held = io.BytesIO()
    np.save(held, array)
    return held.getvalue()


def rotten(path: Path) -> Path:
    """A byte of an array is another than its checksum says."""
    content = bytearray(npz(path, {"W": W}).read_bytes())
    content[content.index(W.tobytes()) + 3] ^= 1
    path.write_bytes(content)
    return path


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def loop(path: Path) -> Path:
    path.symlink_to(path.name)
    return path


def spoilt(**places: float) -> NDArray[Any]:
    bad = W.copy()
    for place, value in places.items():
        bad[int(place[1]), int(place[2])] = value
    return bad


def packed(path: Path, array: NDArray[Any]) -> Path:
    np.savez_compressed(path, W=array)
    return path


def shards(folder: Path, weight_map: Mapping[str, str]) -> Path:
    return written(folder / f"model{INDEX}", json.dumps({"weight_map": weight_map}).encode())


HUGE = npy(np.zeros((1, 1))).replace(b"(1, 1)", b"(9999999, 9999999)")

BAD: dict[str, tuple[Callable[[Path], Path | str], str]] = {
    "no file": (lambda p: p / "a.npz", "no such file: "),
    "a directory": (lambda p: p, "is a directory"),
    "an address": (lambda p: "https://x.org/a.npz", "is an address: download the file, and give"),
    "a pipe": (lambda p: pipe(p / "a.npz"), "is no regular file"),
    "a link to itself": (lambda p: loop(p / "a.npz"), "is no regular file"),
    "a later format": (
        lambda p: zipped(p / "a.npz", "W.npy", b"\x93NUMPY\x09\x00" + bytes(99)),
        "a.npz:W is of an unknown version of NumPy's format",
    ),
    "another suffix": (lambda p: written(p / "a.h5", b"x"), "should be an .npz or a .safetensors"),
    "PyTorch's pickle": (lambda p: written(p / "a.pt", b"x"), "can run code when it is read: save"),
    "not a ZIP": (lambda p: written(p / "a.npz", b"hello"), "is no .npz file, or is cut short"),
    "empty": (lambda p: written(p / "a.npz", b""), "is no .npz file, or is cut short"),
    "one array": (lambda p: written(p / "a.npz", npy(W)), "is no .npz file, or is cut short"),
    "cut ZIP": (lambda p: cut(npz(p / "a.npz", {"W": W})), "is no .npz file, or is cut short"),
    "rotten": (lambda p: rotten(p / "a.npz"), "a.npz:W can't be read: Bad CRC-32"),
    "pickle inside": (lambda p: pickled(p / "a.npz"), "a.npz:W holds pickled objects, which can"),
    "no array": (lambda p: zipped(p / "a.npz", "W", b"hello"), "a.npz:W is no array"),
    "cut array": (lambda p: zipped(p / "a.npz", "W.npy", npy(W)[:-9]), "a.npz:W can't be read: "),
    "vast": (lambda p: zipped(p / "a.npz", "W.npy", HUGE), "a.npz:W can't be read: "),
    "cut header": (lambda p: zipped(p / "a.npz", "W.npy", npy(W)[:20]), "W can't be read: "),
    "no weight": (
        lambda p: npz(p / "a.npz", {"x": W, "y": B}),
        "has no W, weight or kernel; it has x, y",
    ),
    "nothing": (lambda p: npz(p / "a.npz", {}), "it has no array at all"),
    "two layers": (
        lambda p: npz(p / "a.npz", {"fc1.weight": W, "fc2.weight": W}),
        "a.npz has 2 layers: fc1, fc2; say which, as --layer",
    ),
    "no such name": (
        lambda p: f"{npz(p / 'a.npz', {'fc1.weight': W, 'fc2.weight': W})}:fc3",
        "a.npz has no 'fc3'; it has fc1, fc2",
    ),
    "many names": (
        lambda p: f"{npz(p / 'a.npz', {f'h.{i}.weight': W for i in range(40)})}:h.399",
        "h.39, ",
    ),
    "one axis": (lambda p: npz(p / "a.npz", {"W": B}), "a.npz:W has 1 axis, must have 2: (n_in,"),
    "four axes": (lambda p: npz(p / "a.npz", {"W": W[None, None]}), "has 4 axes, must have 2"),
    "no inputs": (lambda p: npz(p / "a.npz", {"W": W[:0]}), "a.npz:W is empty: (0, 3)"),
    "integers": (
        lambda p: npz(p / "a.npz", {"W": W.astype(int)}),
        "a.npz:W is int64, must be float",
    ),
    "complex": (lambda p: npz(p / "a.npz", {"W": W + 1j}), "must be floating-point"),
    "text": (lambda p: npz(p / "a.npz", {"W": np.array([["a"]])}), "must be floating-point"),
    "integer bias": (lambda p: npz(p / "a.npz", {"W": W, "b": B.astype(int)}), "a.npz:b is int64"),
    "transposed": (
        lambda p: safe(p / "a.safetensors", {"weight": W.T, "bias": B}),
        "and has 3: it looks transposed, as PyTorch keeps it: add --transposed",
    ),
    "no axis fits": (lambda p: npz(p / "a.npz", {"W": W, "b": W[0, :2]}), "b fits neither axis"),
    "bias in rows": (lambda p: npz(p / "a.npz", {"W": W, "b": W[:2]}), "b is (2, 3), must be (n_"),
    "bias alone": (
        lambda p: npz(p / "a.npz", {"W": W, "b": B[0].reshape(())}),
        "b is (), must be (n_",
    ),
    "NaN": (
        lambda p: npz(p / "a.npz", {"W": spoilt(_12=np.nan)}),
        "a.npz:W has a number that is not finite (NaN or infinite), the first at [1, 2]",
    ),
    "infinities": (
        lambda p: npz(p / "a.npz", {"W": spoilt(_01=np.inf, _30=-np.inf)}),
        "a.npz:W has 2 numbers that are not finite (NaN or infinite), the first at [0, 1]",
    ),
    "NaN in b": (lambda p: npz(p / "a.npz", {"W": W, "b": B * np.nan}), "a.npz:b has 3 numbers"),
    "zeros": (lambda p: npz(p / "a.npz", {"W": W * 0}), "nothing but zeros: no answer could be"),
    "too wide": (lambda p: npz(p / "a.npz", {"W": np.ones((1, 2**20 + 1))}), "at most 1048576"),
    "empty safetensors": (lambda p: written(p / "a.safetensors", b""), "or is cut short: "),
    "junk safetensors": (lambda p: written(p / "a.safetensors", b"\xff" * 99), "or is cut short: "),
    "cut safetensors": (
        lambda p: cut(safe(p / "a.safetensors", {"W": W})),
        "a.safetensors is no safetensors file, or is cut short: ",
    ),
    "LFS pointer": (
        lambda p: written(p / "a.safetensors", b"version https://git-lfs.github.com/spec/v1\n"),
        "is a Git LFS pointer and not the file itself: git lfs pull",
    ),
    "LFS pointer of an npz": (
        lambda p: written(p / "a.npz", b"version https://git-lfs.github.com/spec/v1\n"),
        "is a Git LFS pointer and not the file itself: git lfs pull",
    ),
    "annex pointer": (lambda p: written(p / "a.npz", b"/annex/objects/MD5E-s1"), "git annex get"),
    "a web page": (
        lambda p: written(p / "a.safetensors", b"<!DOCTYPE html><html>"),
        "is an HTML page and not the file itself",
    ),
    "eight bits in npz": (
        lambda p: npz(p / "a.npz", {"W": np.zeros((4, 3), "V1")}),
        "a.npz:W is void8, a type that the file doesn't tell",
    ),
    "a bomb": (
        lambda p: packed(p / "a.npz", np.zeros((8192, 4096), np.float32)),
        "that unpack to 0.1 GB: no layer's numbers",
    ),
    "index of nothing": (
        lambda p: written(p / f"model{INDEX}", b"[]"),
        "is no index of shards",
    ),
    "index that leads away": (
        lambda p: shards(p, {"W": "../a.safetensors"}),
        "W is said to be in '../a.safetensors': no file beside it",
    ),
    "missing shard": (
        lambda p: shards(p, {"W": "b.safetensors"}),
        "b.safetensors can't be read: no such file",
    ),
    "eight bits": (
        lambda p: raw(
            p / "a.safetensors",
            {"weight": {"dtype": "F8_E4M3", "shape": [2, 2], "data_offsets": [0, 4]}},
            b"\1" * 4,
        ),
        "a.safetensors:weight is F8_E4M3, must be F64, F32, F16 or BF16",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_file_that_holds_no_layer_is_refused_in_one_line(case: str, tmp_path: Path) -> None:
    make, words = BAD[case]
    asked = make(tmp_path)
    with pytest.raises(BadInput) as caught:
        weights.find(str(asked))
    said = str(caught.value)
    assert words in said
    assert said.isprintable()
    assert len(said) < 2 * len(str(tmp_path)) + 300


@pytest.mark.parametrize("case", ["pickle inside", "NaN", "transposed", "no such name", "vast"])
def test_the_command_refuses_it_likewise(case: str, tmp_path: Path) -> None:
    make, words = BAD[case]
    out = tmp_path / "run"
    assert words in refused("run", "--layer", str(make(tmp_path)), "--out", str(out))
    assert not out.exists()


def mutated(data: bytes, draw: random.Random) -> bytes:
    """With a few bytes changed, taken out or put in."""
    changed = bytearray(data)
    for _ in range(draw.choice([1, 1, 2, 5])):
        place = draw.randrange(len(changed))
        match draw.randrange(3):
            case 0:
                changed[place] ^= 1 << draw.randrange(8)
            case 1:
                del changed[place : place + draw.randrange(1, 9)]
            case 2:
                changed[place:place] = draw.randbytes(draw.randrange(1, 9))
    return bytes(changed)


@pytest.mark.parametrize("kind", ["npz", "compressed.npz", "safetensors", "bf16.safetensors"])
def test_whatever_happened_to_a_file_it_is_read_or_refused_in_one_line(
    kind: str, tmp_path: Path
) -> None:
    path = tmp_path / f"a.{kind}"
    arrays: Arrays = {"W": W, "b": B}
    if kind.startswith("bf16"):
        header = {"W": {"dtype": "BF16", "shape": [4, 3], "data_offsets": [0, 24]}}
        raw(path, header, W.astype(">f4").tobytes()[:24])
    elif kind == "safetensors":
        safe(path, arrays)
    else:
        (np.savez_compressed if "comp" in kind else np.savez)(path, **arrays)  # type: ignore[arg-type]
    whole, draw = path.read_bytes(), random.Random(0)
    refusals: list[str] = []
    for _ in range(400):
        path.write_bytes(mutated(whole, draw))
        try:
            weights.find(str(path))
        except BadInput as error:
            refusals.append(str(error))
    assert len(refusals) > 100
    assert [said for said in refusals if not said.isprintable() or len(said) > 400] == []


def test_leaving_out_transposed_is_the_remedy_where_it_was_wrong(tmp_path: Path) -> None:
    path = npz(tmp_path / "a.npz", {"W": W, "b": B})
    with pytest.raises(BadInput, match=r"read as \(n_units, n_in\).*: leave out --transposed"):
        weights.find(str(path), transposed=True)


def test_a_pickle_is_never_run(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="a pickle was read"):  # what a careless reader does
        np.load(pickled(tmp_path / "a.npz"), allow_pickle=True)["W"]


def test_a_colon_that_is_the_files_own_is_left_alone(tmp_path: Path) -> None:
    path = npz(tmp_path / "a:b.npz", {"W": W, "b": B})
    assert weights.find(str(path)).layer.name == "a:b"
    assert weights.find(f"{path}:W").layer.name == "a:b"


def test_another_file_under_the_same_name_is_another_layer(tmp_path: Path) -> None:
    path = npz(tmp_path / "a.npz", {"W": W, "b": B})
    layer = weights.find(str(path)).layer
    assert layer.weights is not None
    wide = W.astype(np.float64)
    for other_W, other_b in ((W, -B), (W * 2, B), (wide, B)):
        npz(path, {"W": other_W, "b": other_b})
        with pytest.raises(BadInput, match="has changed since this run began: start a new run"):
            weights.load(layer.weights, layer)
    npz(path, {"W": W, "b": B, "more": B})  # what else is in the file doesn't matter
    weights.load(layer.weights, layer)


def test_a_sweep_that_says_another_shape_is_refused(tmp_path: Path) -> None:
    own = weights.find(str(npz(tmp_path / "a.npz", {"W": W, "b": B}))).layer.weights
    assert own is not None
    with pytest.raises(
        BadInput, match=r"is \(4, 3\) and \(3,\) in the file, \(4, 4\) in the sweep"
    ):
        weights.load(own, Named(name="a", n_in=4, n_units=4))


@pytest.mark.parametrize(
    ("scale", "precision", "words"),
    [
        (1e6, "float16", "holds 1.5e+06, too much for float16: take another --precision"),
        (1e-9, "float16", "too little for float16: take another --precision"),
        (1e200, "float32", "too much for float32"),
        (1e-60, "bfloat16", "too little for bfloat16"),
        (1e200, "float64", "too much for float64"),
        (1e100, "float64", ""),
        (1e-4, "float16", ""),
    ],
)
def test_numbers_outside_a_precision_are_refused(
    scale: float, precision: str, words: str, tmp_path: Path
) -> None:
    layer = weights.find(str(npz(tmp_path / "a.npz", {"W": W * np.float64(scale)}))).layer
    assert layer.weights is not None
    if not words:
        weights.refuse_unfit(layer.weights, layer, precision)
        return
    with pytest.raises(BadInput) as caught:
        weights.refuse_unfit(layer.weights, layer, precision)
    assert words in str(caught.value)


def forward(drawn: Drawn, activation: str) -> NDArray[Any]:
    """The step in float64, rounded to the arrays' own type."""
    A_in, W, b = (array.astype(np.float64) for array in (drawn.A_in, drawn.W, drawn.b))
    z = A_in @ W + b
    g = {"linear": z, "relu": np.maximum(z, 0), "tanh": np.tanh(z), "sigmoid": 1 / (1 + np.exp(-z))}
    return g[activation].astype(drawn.W.dtype)


@pytest.mark.parametrize(
    ("precision", "scale"),
    [
        *(("float64", scale) for scale in (1e-140, 1e-6, 1.0, 1e6, 1e140)),
        *(("float32", scale) for scale in (1e-30, 1e-6, 1.0, 1e6, 1e30)),
        *(("float16", scale) for scale in (1e-3, 1.0, 30.0, 4096.0)),
    ],
)
def test_the_check_sees_as_well_whatever_the_scale_of_the_weights(
    precision: str, scale: float
) -> None:
    generator = np.random.default_rng(0)
    dtype = DTYPES[precision]
    W = (generator.normal(size=(64, 48)) * scale).astype(dtype)
    numbers = weights.Numbers(W, np.zeros((1, 48), dtype))
    for activation in ("linear", "relu", "sigmoid", "tanh"):
        case = Case(64, 48, 32, precision, activation)
        drawn = inputs.draw(case, 0, dtype, numbers)
        parts = answers.expected(drawn)
        assert 0.3 < np.std(parts[0].sums) < 3
        assert check(forward(drawn, activation), case, dtype, parts) < 2
        careless = replace(drawn, W=np.roll(drawn.W, 1, axis=1))
        with pytest.raises(Wrong, match="should be"):
            check(forward(careless, activation), case, dtype, parts)


def test_an_unscaled_input_would_hide_a_kernel_that_leaves_out_the_weights() -> None:
    """Why A_in is scaled: with tiny weights the bias alone would pass for the answer."""
    case = Case(64, 48, 32, "float32", "linear")
    W, b = np.full((64, 48), 1e-10, np.float32), np.full((1, 48), 0.5, np.float32)
    tiny = weights.Numbers(W, b)
    drawn = inputs.draw(case, 0, np.float32, tiny)
    lazy = np.repeat(drawn.b, case.batch, axis=0)
    with pytest.raises(Wrong, match="should be"):
        check(lazy, case, np.float32, answers.expected(drawn))
    plain = replace(drawn, A_in=inputs.draw(case, 0, np.float32).A_in)
    check(lazy, case, np.float32, answers.expected(plain))


def test_the_contract_explains_a_transposed_weight() -> None:
    with pytest.raises(ShapeError, match=r"b axis 1 is 3, must be 4 .*W looks transposed.*W\.T"):
        Layer(W.T.copy(), B[None])
    with pytest.raises(ShapeError) as caught:
        Layer(W, np.zeros((1, 9), np.float32))
    assert "transposed" not in str(caught.value)


RUN = ["--kernel", "numpy_matmul", "--batches", "1,2", "--target", "0.9", "--budget", "9s"]


@pytest.mark.usefixtures("no_peaks")
def test_a_users_layer_is_measured_under_its_name_and_goes_on_unchanged_only(
    tmp_path: Path,
) -> None:
    arrays: Arrays = {"fc.weight": W.T.astype(np.float16), "fc.bias": B, "norm.weight": B}
    path, out = safe(tmp_path / "my model.safetensors", arrays), tmp_path / "run"
    asked = ["--layer", f"{path}:fc", "--transposed", "--activation", "tanh"]
    done = bench("run", *RUN, *asked, "--out", str(out))
    assert done.code == 0, done
    assert "my model fc " in done.out
    assert "4 x 3 tanh, batch 2 " in done.out
    assert "fc.weight is float16 (3, 4), read as (n_units, n_in): 4 inputs, 3 units" in done.err
    assert "measured in float32" in done.err
    cells = pd.read_csv(out / "cells.csv")
    assert set(cells["layer"]) == {"my model fc"}
    assert set(cells["status"]) == {"ok"}
    assert set(cells["activation"]) == {"tanh"}
    assert sorted(cells["batch"]) == [1, 2]
    assert {(row.n_in, row.n_units) for row in cells.itertuples()} == {(4, 3)}
    shown = ["layers.png", "layers.svg", "report.html"]
    assert sorted(p.name for p in (out / "plots").iterdir()) == shown
    (layer,) = sweep.read(str(out / "sweep.toml")).layers
    assert layer.weights is not None
    assert layer.weights.file == str(path)

    go_on = ["run", "--resume", str(out), "--budget", "1s"]
    assert "leave out --layer" in refused(*go_on, "--layer", str(path))
    safe(path, {**arrays, "fc.bias": -B})
    assert f"{path}:fc.weight has changed since this run began" in refused(*go_on)
    path.unlink()
    assert f"{path} can't be read: no such file" in refused(*go_on)


def test_transposed_without_a_layer_is_refused() -> None:
    assert "--transposed describes the file of --layer" in refused("run", "--transposed")


def test_bfloat16_that_an_npz_has_no_name_for_is_read_exactly_and_said(tmp_path: Path) -> None:
    bits = (W.view(np.uint32) >> 16).astype("<u2").view("V2")
    found = weights.find(str(npz(tmp_path / "a.npz", {"W": bits, "b": B})))
    assert "W is bfloat16 (4, 3)" in found.said
    np.testing.assert_array_equal(own(found).W, W)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_each_version_of_numpys_format_is_read(version: tuple[int, int], tmp_path: Path) -> None:
    array = io.BytesIO()
    np.lib.format.write_array(array, W, version=version)
    found = weights.find(str(zipped(tmp_path / "a.npz", "W.npy", array.getvalue())))
    assert found.layer.weights is not None
    assert np.array_equal(weights.load(found.layer.weights, found.layer).W, W)


def test_a_file_of_thousands_of_layers_is_opened_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = npz(tmp_path / "a.npz", {f"h.{i}.weight": W for i in range(30)})
    opened: list[Path] = []
    zip_file = zipfile.ZipFile
    monkeypatch.setattr(zipfile, "ZipFile", lambda p: opened.append(p) or zip_file(p))  # type: ignore[func-returns-value]
    with pytest.raises(BadInput, match="has 30 layers"):
        weights.find(str(path))
    assert opened == [path]


def test_shards_are_one_model(tmp_path: Path) -> None:
    safe(tmp_path / "model-00001-of-00002.safetensors", {"a.weight": W, "x": B})
    safe(tmp_path / "model-00002-of-00002.safetensors", {"a.bias": B})
    names = {"a.weight": 1, "x": 1, "a.bias": 2}
    index = shards(tmp_path, {k: f"model-0000{n}-of-00002.safetensors" for k, n in names.items()})
    for asked in (str(index), f"{index}:a", f"{index}:a.weight"):
        found = weights.find(asked)
        assert found.layer.name == "model a"
        np.testing.assert_array_equal(own(found).b[0], B)
    alone = weights.find(str(tmp_path / "model-00001-of-00002.safetensors"))
    assert "has no bias for it (another shard may: give the .index.json)" in alone.said


LONG = "model.layers.{}.block_sparse_moe.experts.{}.w1"


def test_layers_whose_names_differ_anywhere_are_told_apart(tmp_path: Path) -> None:
    names = [LONG.format(*pair) for pair in ((10, 3), (11, 3), (10, 4))]
    path = safe(tmp_path / "model-7.safetensors", {f"{name}.weight": W for name in names})
    for folder in ("bert-a", "bert-b"):
        (tmp_path / folder).mkdir()
        safe(tmp_path / folder / "model.safetensors", {"weight": W, "bias": B})
    asked = [*(f"{path}:{name}" for name in names)]
    asked += [f"{tmp_path}/bert-{which}/model.safetensors" for which in "ab"]
    labels = [found.layer.name for found in weights.find_all(asked)]
    assert len(set(labels)) == len(labels)
    assert max(map(len, labels)) <= sweep.LONGEST_NAME
    assert labels[3:] == ["bert-a/model", "bert-b/model"]
    for label, digit in zip(labels, ("10", "11", "10"), strict=False):
        assert f".{digit}." in label


def test_a_layer_has_the_name_that_it_is_given(tmp_path: Path) -> None:
    path = npz(tmp_path / "a.npz", {"W1": W, "b1": B, "W2": W.T})
    odd = npz(tmp_path / "k=v.npz", {"W": W, "b": B})
    asked = [f"first={path}:W1", f"second={path}:W1", str(odd), f"null={odd}:W"]
    labels = [found.layer.name for found in weights.find_all(asked)]
    assert labels == ["first", "second", "k=v", "null"]
    twice = ["--layer", f"{path}:W1"] * 2
    assert "name them, as --layer NAME=FILE:..." in refused("run", *twice)
    assert "--layer x=none.npz:W: no such file: none.npz;" in refused(
        "run", "--layer", "x=none.npz:W"
    )


def test_a_layer_called_null_is_a_name_like_any_other(tmp_path: Path, no_peaks: None) -> None:
    path, out = npz(tmp_path / "a.npz", {"W": W, "b": B}), tmp_path / "run"
    for name in ("null", "NaN"):
        done = bench(
            "run", *RUN, "--no-charts", "--layer", f"{name}={path}", "--out", str(out / name)
        )
        assert done.code == 0, done
        assert f"{name} " in done.out
        assert bench("plot", str(out / name)).code == 0


@pytest.mark.parametrize("write", [npz, safe])
@pytest.mark.parametrize("turned", [False, True])
def test_large_layers_are_read_in_blocks_into_the_type_that_is_needed(
    write: Callable[[Path, Arrays], Path],
    turned: bool,  # noqa: FBT001
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tensors, "BLOCK", 200)
    large = np.random.default_rng(0).normal(size=(70, 33)).astype(np.float16)
    suffix = "npz" if write is npz else "safetensors"
    path = write(tmp_path / f"a.{suffix}", {"W": np.asfortranarray(large), "b": large[0]})
    layer = weights.find(str(write(path, {"W": large})), transposed=turned).layer
    assert layer.weights is not None
    numbers = weights.load(layer.weights, layer, np.float32)
    assert numbers.W.dtype == np.float32
    assert numbers.W.flags["C_CONTIGUOUS"]
    np.testing.assert_array_equal(numbers.W, large.T if turned else large)
    bad = large.copy()
    bad[61, 5] = np.nan
    with pytest.raises(BadInput, match=r"has a number that is not finite .*the first at \[61, 5\]"):
        weights.find(str(write(path, {"W": bad})))


def test_what_the_parent_holds_of_a_large_layer_is_a_block_of_it(tmp_path: Path) -> None:
    large = np.full((2048, 8192), 0.5, np.float16)
    for path in (
        safe(tmp_path / "a.safetensors", {"W": large}),
        npz(tmp_path / "a.npz", {"W": large}),
    ):
        tracemalloc.start()
        weights.find(str(path))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert most < 6 * tensors.BLOCK * 4 < 4 * large.nbytes


def test_unreadable_missing_and_malformed_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(path: Path, *_: Any, **__: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    files = [npz(tmp_path / "a.npz", {"W": W}), safe(tmp_path / "a.safetensors", {"W": W})]
    plan = written(tmp_path / "mine.toml", b"widths = [16]\nbatches = [1]\n")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", locked)
        patch.setattr(Path, "read_bytes", locked)
        for path in files:
            with pytest.raises(BadInput, match="can't be read: Permission denied"):
                weights.find(str(path))
        with pytest.raises(BadInput, match=r"mine.toml can't be read: Permission denied"):
            sweep.read(str(plan))
    monkeypatch.setattr(Path, "is_file", locked)  # a folder that may not be entered
    with pytest.raises(BadInput, match="can't be read: Permission denied"):
        weights.find(str(files[0]))


def test_a_layer_that_memory_is_too_small_for_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: Any, **__: Any) -> Any:
        raise MemoryError

    path = npz(tmp_path / "a.npz", {"W": W, "b": B})
    monkeypatch.setattr(np, "memmap", none)
    assert "a.npz:W needs about" in refused("run", "--layer", str(path))
    monkeypatch.setattr("bench.session.start", none)
    assert "error: out of memory: end other programs" in refused("run", "--layer", str(path))
