"""A layer's own numbers, from a file that somebody else made: read safely, or refused in one line.

    model.npz           arrays by name, as numpy.savez writes them
    model.safetensors   the same, as PyTorch's models are passed on

Neither runs code when it is read: an .npz file may hold pickled objects, which could, and those
are refused. A layer is an array W (or weight, or kernel) with two axes and, beside it, b (or bias),
which is zeros where the file has none. Frameworks differ in the order of W: Keras, Flax and this
project keep (n_in, n_units), PyTorch (n_units, n_in). The length of b tells which, unless W is
square or has no b: then nothing tells, so the order is said, and `transposed` is the other one.
"""

import difflib
import hashlib
import json
import re
import struct
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bench.plan.case import LARGEST, Case, Weights
from bench.plan.sweep import LONGEST_NAME, Named
from bench.terminal.errors import BadInput
from bench.terminal.text import plain

NAMES_SHOWN = 8
"""Of the names that a file has, this many are listed: a language model has hundreds."""

W_NAME = re.compile(r"(?P<head>|.*[./_])(?P<word>[Ww]|weights?|kernel)(?P<tail>_?\d*)")
"""How frameworks and courses call it: fc1.weight, dense/kernel, W, W1, layer_1_w."""

B_WORDS = ("b", "bias", "biases")

PICKLES = (".pt", ".pth", ".bin", ".pkl", ".pickle", ".ckpt")

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Numbers:
    """W (n_in, n_units) and b (1, n_units), as exact as the file has them, in float64."""

    W: NDArray[np.float64]
    b: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Found:
    """A layer in a file, and how it was read, to be told to its owner."""

    layer: Named
    said: str


def find(asked: str, *, transposed: bool = False) -> Found:
    """A layer from FILE or FILE:NAME. Raises BadInput, naming the file and the remedy."""
    path, name = _split(asked)
    file = _open(path)
    W_name = _choose(file, path, name)
    W, b_name = file.read(W_name), _bias_of(W_name, file.names)
    b = file.read(b_name) if b_name else None
    where = f"{path}:{W_name}"
    _refuse_types(where, W)
    if W.ndim != 2:
        axes = "1 axis" if W.ndim == 1 else f"{W.ndim} axes"
        raise BadInput(f"{where} has {axes}, must have 2: (n_in, n_units)")
    if b is not None:
        _refuse_types(f"{path}:{b_name}", b)
    n_in, n_units = _shape(where, W, b_name, b, transposed=transposed)
    weights = Weights(
        file=str(path.absolute()),
        W=W_name,
        b=b_name,
        transposed=transposed,
        digest=_digest(W, b),
    )
    layer = Named(name=_label(path, W_name), n_in=n_in, n_units=n_units, weights=weights)
    load(weights, layer)
    return Found(layer, _said(path, layer, W, b))


def load(own: Weights, layer: Named | Case) -> Numbers:
    """The numbers of a layer that was found. Raises BadInput where they are others now, don't have
    the layer's shape, or where there is one that is not finite.
    """
    path = Path(own.file)
    file = _open(path)
    W, b = file.read(own.W), file.read(own.b) if own.b else None
    if _digest(W, b) != own.digest:
        raise BadInput(f"{path}:{own.W} has changed since this run began: start a new run")
    W = W.T if own.transposed else W
    b = np.zeros(layer.n_units) if b is None else b
    if W.shape != (layer.n_in, layer.n_units) or b.size != layer.n_units:
        said = f"{W.shape} and {b.shape} in the file, ({layer.n_in}, {layer.n_units}) in the sweep"
        raise BadInput(f"{path}:{own.W} is {said}: give --layer anew")
    for name, array in ((own.W, W), (own.b, b)):
        _refuse_not_finite(f"{path}:{name}", array)
    if not W.any():
        raise BadInput(f"{path}:{own.W} holds nothing but zeros: no answer could be checked")
    exact = np.ascontiguousarray(W, np.float64)
    return Numbers(exact, b.astype(np.float64).reshape(1, -1))


def refuse_unfit(own: Weights, layer: Named, precision: str) -> None:
    """Raise BadInput where a layer's numbers leave the range of a precision: with infinities, or
    with nothing but zeros, there is nothing to measure. And wherever `load` does.
    """
    numbers = load(own, layer)
    most, least = RANGES[precision]
    W, b = np.abs(numbers.W).max(), np.abs(numbers.b).max()
    if max(W, b) > most:
        said = f"holds {max(W, b):.3g}, too much for {precision}"
        raise BadInput(f"layer {layer.name!r} {said}: take another --precision")
    if least > W:
        said = f"holds at most {W:.3g}, too little for {precision}"
        raise BadInput(f"layer {layer.name!r} {said}: take another --precision")


_SINGLE = (float(np.finfo(np.float32).max), float(np.finfo(np.float32).smallest_subnormal))
RANGES: dict[str, tuple[float, float]] = {
    "float64": (2.0**500, 2.0**-500),
    "float32": _SINGLE,
    "tf32": _SINGLE,
    "float16": (65504.0, 2.0**-24),
    "bfloat16": (float(np.uint32(0x7F7F0000).view(np.float32)), _SINGLE[1]),
}
"""The largest number of each precision, and the smallest that is not 0; of float64, those whose
squares, which the check takes in float64, are neither infinite nor 0."""


# --- files


class _File(Protocol):
    """A file of arrays with names."""

    @property
    def names(self) -> Sequence[str]: ...

    def ndim(self, name: str) -> int: ...

    def read(self, name: str) -> Array: ...


def _split(asked: str) -> tuple[Path, str]:
    """FILE or FILE:NAME; a colon that is the file's own is left alone."""
    path, name = Path(asked), ""
    if not path.is_file() and ":" in asked:
        front, _, name = asked.rpartition(":")
        path = Path(front)
    if not path.is_file():
        what = "is a directory" if path.is_dir() else "no such file"
        raise BadInput(f"--layer {asked}: {what}: {path}; give FILE.npz or FILE.safetensors[:NAME]")
    return path, name


def _open(path: Path) -> _File:
    suffix = path.suffix.lower()
    try:
        if suffix == ".npz":
            return _Npz(path)
        if suffix == ".safetensors":
            return _Safetensors(path)
    except OSError as error:
        raise BadInput(f"{path} can't be read: {_line(error)}") from error
    if suffix in PICKLES:
        said = "is a pickle by its name, which can run code when it is read"
        raise BadInput(f"{path} {said}: save it with safetensors, where you trust it")
    raise BadInput(f"{path} should be an .npz or a .safetensors file")


class _Npz:
    """What numpy.savez wrote: a ZIP archive of arrays."""

    def __init__(self, path: Path) -> None:
        self._path = path
        if not zipfile.is_zipfile(path):
            raise BadInput(f"{path} is no .npz file, or is cut short: numpy.savez writes one")
        try:
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
        except Exception as error:  # of as many kinds as there are ways to break a ZIP file
            raise BadInput(f"{path} can't be read: {_line(error)}") from error
        self.names: Sequence[str] = [name.removesuffix(".npy") for name in names]

    def ndim(self, name: str) -> int:
        return self.read(name).ndim

    def read(self, name: str) -> Array:
        try:
            with np.load(self._path, allow_pickle=False) as arrays:
                array = arrays[name]
        except Exception as error:  # likewise, or its compression, a header, the array
            if "allow_pickle" in str(error):
                said = "holds pickled objects, which can run code when they are read"
                raise BadInput(f"{self._path}:{name} {said}: save plain arrays") from error
            raise BadInput(f"{self._path}:{name} can't be read: {_line(error)}") from error
        if not isinstance(array, np.ndarray):  # another file in the archive: its bytes
            raise BadInput(f"{self._path}:{name} is no array")
        return array


class _Safetensors:
    """What the safetensors library wrote: a header in JSON, and the arrays' bytes."""

    def __init__(self, path: Path) -> None:
        import safetensors

        self._path = path
        self._file: Any  # the library has no types
        try:
            self._file = safetensors.safe_open(str(path), framework="np")
        except safetensors.SafetensorError as error:
            said = f"is no safetensors file, or is cut short: {_line(error)}"
            raise BadInput(f"{path} {said}") from error
        self.names: Sequence[str] = sorted(self._file.keys())

    def ndim(self, name: str) -> int:
        return len(self._file.get_slice(name).get_shape())

    def read(self, name: str) -> Array:
        kind = self._file.get_slice(name).get_dtype()
        if kind == "BF16":
            return self._bfloat16(name)
        if kind not in ("F64", "F32", "F16"):
            raise BadInput(f"{self._path}:{name} is {kind}, must be F64, F32, F16 or BF16")
        array: Array = self._file.get_tensor(name)
        return array

    def _bfloat16(self, name: str) -> Array:
        """A tensor that NumPy has no type for: the upper halves of float32 numbers.

        The library has checked the header by now. Its form: 8 bytes of length, JSON, then all
        tensors' bytes, little-endian (https://github.com/huggingface/safetensors, "Format").
        """
        with self._path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            tensor = json.loads(file.read(length))[name]
            begin, end = tensor["data_offsets"]
            file.seek(8 + length + begin)
            halves = np.frombuffer(file.read(end - begin), "<u2")
        bits = halves.astype(np.uint32) << np.uint32(16)
        return bits.view(np.float32).reshape(tensor["shape"])


def _line(error: BaseException) -> str:
    """What a library said, short and on one line."""
    said = plain(" ".join(str(error).split())) or type(error).__name__
    return said if len(said) <= 150 else f"{said[:150]}…"


# --- which arrays


def _short(W_name: str) -> str:
    """What a layer is called for short: fc1 for fc1.weight, W1 for W1, nothing for weight."""
    found = W_NAME.fullmatch(W_name)
    if found is None:
        return W_name
    head = found["head"].rstrip("./_")
    return head + found["tail"] if head else (found[0] if found["tail"] else "")


def _choose(file: _File, path: Path, name: str) -> str:
    """The name of W: the one that was asked for, or the only one that it can be."""
    if name in file.names:
        return name
    weights = [one for one in file.names if W_NAME.fullmatch(one)]
    if name:
        if mine := [one for one in weights if _short(one) == name]:
            return mine[0]
        known = [_short(one) or one for one in weights] or file.names
        raise BadInput(f"{path} has no {name!r}; it has {_listed(known, name)}")
    layers = [one for one in weights if file.ndim(one) == 2] or weights
    if len(layers) == 1:
        return layers[0]
    if layers:
        said = f"has {len(layers)} layers: {_listed([_short(one) or one for one in layers])}"
        raise BadInput(f"{path} {said}; say which, as --layer {path}:NAME")
    said = f"has no W, weight or kernel; it has {_listed(file.names) or 'no array at all'}"
    raise BadInput(f"{path} {said}; say which, as --layer {path}:NAME")


def _listed(names: Sequence[str], like: str = "") -> str:
    """Some names; of many, those most like the one that was asked for."""
    shown = list(names)
    if len(shown) > NAMES_SHOWN:
        shown = difflib.get_close_matches(like, shown, NAMES_SHOWN, 0) if like else shown
    listed = ", ".join(plain(name)[:LONGEST_NAME] for name in shown[:NAMES_SHOWN])
    left = len(names) - NAMES_SHOWN
    return f"{listed} and {left} more" if left > 0 else listed


def _bias_of(W_name: str, names: Sequence[str]) -> str:
    """The name of the bias that belongs to it; empty where there is none."""
    found = W_NAME.fullmatch(W_name)
    if found is None:
        return ""
    candidates = (found["head"] + word + found["tail"] for word in B_WORDS)
    return next((name for name in candidates if name in names), "")


def _label(path: Path, W_name: str) -> str:
    """The layer's name in tables and charts: the file's, and its own in it."""
    label = plain(f"{path.stem} {_short(W_name)}").strip()
    half = LONGEST_NAME // 2
    return label if len(label) <= LONGEST_NAME else f"{label[: half - 1]}…{label[-half:]}"


# --- whether they are a layer


def _refuse_types(where: str, array: Array) -> None:
    if array.dtype.kind != "f":
        said = "must be floating-point numbers; unpack quantised ones first"
        raise BadInput(f"{where} is {array.dtype}, {said}")
    if array.size == 0:
        raise BadInput(f"{where} is empty: {array.shape}")


def _refuse_not_finite(where: str, array: Array) -> None:
    bad = ~np.isfinite(array)
    if bad.any():
        first = ", ".join(map(str, np.argwhere(bad)[0]))
        count = np.count_nonzero(bad)
        many = "a number that is" if count == 1 else f"{count} numbers that are"
        raise BadInput(f"{where} has {many} not finite (NaN or infinite), the first at [{first}]")


def _shape(
    where: str, W: Array, b_name: str, b: Array | None, *, transposed: bool
) -> tuple[int, int]:
    """(n_in, n_units). Raises BadInput where W and b don't fit, and says how they would."""
    n_in, n_units = W.shape[::-1] if transposed else W.shape
    if b is not None:
        if b.ndim > 2 or (b.ndim == 2 and b.shape[0] != 1) or b.ndim == 0:
            raise BadInput(f"{where}: {b_name} is {b.shape}, must be (n_units,) or (1, n_units)")
        if b.size != n_units:
            read = "(n_units, n_in)" if transposed else "(n_in, n_units)"
            said = f"is {W.shape}, read as {read}, so {b_name} must have {n_units} numbers"
            remedy = f"{b_name} fits neither axis"
            if b.size == n_in:
                remedy = "leave out --transposed"
                if not transposed:
                    remedy = "it looks transposed, as PyTorch keeps it: add --transposed"
            raise BadInput(f"{where} {said} and has {b.size}: {remedy}")
    if max(n_in, n_units) > LARGEST:
        raise BadInput(f"{where} is {W.shape}: at most {LARGEST} inputs and units can be measured")
    return int(n_in), int(n_units)


def _digest(W: Array, b: Array | None) -> str:
    """Of both arrays as the file has them: another model under the same name is another layer."""
    found = hashlib.sha256()
    for array in (W,) if b is None else (W, b):
        found.update(f"{array.dtype.str} {array.shape} ".encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()[:16]


def _said(path: Path, layer: Named, W: Array, b: Array | None) -> str:
    """How the file was read: what was found, and what was decided where it doesn't tell."""
    own = layer.weights
    assert own is not None
    order = "(n_units, n_in)" if own.transposed else "(n_in, n_units)"
    other = "without --transposed" if own.transposed else "with --transposed"
    read = f"read as {order}: {layer.n_in} inputs, {layer.n_units} units"
    parts = [f"layer {layer.name}: {own.W} is {W.dtype} {W.shape}, {read}"]
    if b is None or W.shape[0] == W.shape[1]:
        why = "it is square" if W.shape[0] == W.shape[1] else "there is no bias"
        parts.append(
            f"nothing tells whether that is right ({why}): {other} it is read the other way"
        )
    parts.append(
        f"{path.name} has no bias for it: zeros are added" if b is None else f"bias {own.b}"
    )
    return plain("; ".join(parts))
