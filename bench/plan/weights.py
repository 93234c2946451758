"""A layer's own numbers, from a file that somebody else made: read safely, or refused in one line.

A layer is an array W (or weight, or kernel) with two axes and, beside it, b (or bias), which is
zeros where the file has none (`bench.plan.tensors` says which files). Frameworks differ in the
order of W: Keras, Flax and this project keep (n_in, n_units), PyTorch (n_units, n_in). The length
of b tells which, unless W is square or has no b: then nothing tells, so the order is said, and
`transposed` is the other one.
"""

import difflib
import hashlib
import math
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.plan import tensors
from bench.plan.case import LARGEST, Case, Weights
from bench.plan.sweep import LONGEST_NAME, Named
from bench.plan.tensors import File, Tensor, open_file, reason
from bench.terminal.errors import BadInput
from bench.terminal.text import plain

NAMES_SHOWN = 8
"""Of the names that a file has, this many are listed: a language model has hundreds."""

W_NAME = re.compile(
    r"(?P<head>|.*[./_])(?P<word>[Ww]|weights?|kernel)"
    r"(?P<tail>_?\d*|_(?:ih|hh)(?:_l\d+)?(?:_reverse)?)(?P<output>:\d+)?"
)
"""How frameworks call it: fc1.weight, dense/kernel:0, W, W1, layer_1_w, weight_ih_l0."""

W_WORD = re.compile(r"(?:^|(?<=[./_]))(?:[Ww]|weights?|kernel)(?=$|[./_:\d])")
"""What stands for the weights in such a name, and in its place what stands for the bias."""

B_WORDS = ("b", "bias", "biases")

ROWS = 16
"""Rows that are turned into columns at a time: a cache line of float32."""

GIVE = "give FILE.npz, FILE.safetensors or its .index.json, with :NAME where it has several"


@dataclass(frozen=True, slots=True)
class Numbers:
    """W (n_in, n_units) and b (1, n_units), in the type that was asked for."""

    W: NDArray[Any]
    b: NDArray[Any]


@dataclass(frozen=True, slots=True)
class Found:
    """A layer in a file, and how it was read, to be told to its owner."""

    layer: Named
    said: str


@dataclass(frozen=True, slots=True)
class _Facts:
    """What all of a layer's numbers tell."""

    digest: str  # of both arrays as the file has them
    largest_weight: float
    largest_bias: float


@dataclass(frozen=True, slots=True)
class _Picked:
    """The arrays of a file that are a layer by their headers."""

    given: str  # the label that its owner gave; empty where none was
    path: Path
    W_name: str
    W: Tensor
    b_name: str  # empty where there is none
    b: Tensor | None
    n_in: int
    n_units: int


def find_all(asked: Sequence[str], *, transposed: bool = False) -> list[Found]:
    """Layers, each from [LABEL=]FILE[:NAME], under labels that differ. Raises BadInput."""
    picked = [_pick(each, transposed=transposed) for each in asked]
    return [
        _found(layer, label, transposed=transposed)
        for layer, label in zip(picked, _labels(picked), strict=True)
    ]


def find(asked: str, *, transposed: bool = False) -> Found:
    """A layer from [LABEL=]FILE[:NAME]. Raises BadInput, naming the file and the remedy."""
    return find_all([asked], transposed=transposed)[0]


def _pick(asked: str, *, transposed: bool) -> _Picked:
    given, path, name = _split(asked)
    file = open_file(path)
    W_name = _choose(file, path, name)
    b_name = _bias_of(W_name, file.names)
    W, b = file.tensor(W_name), file.tensor(b_name) if b_name else None
    _refuse_types(W)
    if len(W.shape) != 2:
        axes = "1 axis" if len(W.shape) == 1 else f"{len(W.shape)} axes"
        raise BadInput(f"{W.where} has {axes}, must have 2: (n_in, n_units)")
    if b is not None:
        _refuse_types(b)
    n_in, n_units = _shape(W, b_name, b, transposed=transposed)
    return _Picked(given, path, W_name, W, b_name, b, n_in, n_units)


def _found(picked: _Picked, label: str, *, transposed: bool) -> Found:
    facts = _facts(picked.W, picked.b)
    weights = Weights(
        file=str(picked.path.absolute()),
        W=picked.W_name,
        b=picked.b_name,
        transposed=transposed,
        digest=facts.digest,
    )
    layer = Named(name=label, n_in=picked.n_in, n_units=picked.n_units, weights=weights)
    return Found(layer, _said(picked, layer))


def load(
    own: Weights,
    layer: Named | Case,
    dtype: type[np.floating[Any]] = np.float64,
    into: Numbers | None = None,
) -> Numbers:
    """The numbers of a layer that was found, in the type that is needed. Raises BadInput where they
    are others now, don't have the layer's shape, or where there is one that is not finite.

    They are put `into` arrays of zeros that are there already, or into new ones.
    """
    W, b = _known(own, layer)
    _facts(W, b, own)
    numbers = into or Numbers(
        np.empty((layer.n_in, layer.n_units), dtype), np.zeros((1, layer.n_units), dtype)
    )
    placed = numbers.W.T if own.transposed else numbers.W
    start = 0
    for block in W.blocks():
        exact = block.astype(dtype)
        for row in range(0, len(block), ROWS):
            some = exact[row : row + ROWS]
            placed[start + row : start + row + len(some)] = some
        start += len(block)
    if b is not None:
        numbers.b[0] = np.concatenate([block.ravel() for block in b.blocks()])
    return numbers


def refuse_unfit(own: Weights, layer: Named, precision: str) -> None:
    """Raise BadInput where a layer's numbers leave the range of a precision: with infinities, or
    with nothing but zeros, there is nothing to measure. And wherever `load` does.
    """
    facts = _facts(*_known(own, layer), own)
    most, least = RANGES[precision]
    largest = max(facts.largest_weight, facts.largest_bias)
    if largest > most:
        said = f"holds {largest:.3g}, too much for {precision}"
        raise BadInput(f"layer {layer.name!r} {said}: take another --precision")
    if least > facts.largest_weight:
        said = f"holds at most {facts.largest_weight:.3g}, too little for {precision}"
        raise BadInput(f"layer {layer.name!r} {said}: take another --precision")


_SINGLE = (float(np.finfo(np.float32).max), float(np.finfo(np.float32).smallest_subnormal))
RANGES: dict[str, tuple[float, float]] = {
    "float64": (2.0**500, 2.0**-500),
    "float32": _SINGLE,
    "tf32": _SINGLE,
    "float16": (65504.0, 2.0**-24),
    "bfloat16": (float(np.uint32(0x7F7F0000).view(np.float32)), _SINGLE[1]),
    "int8": (2.0**127, 2.0**-118),
}
"""The largest number of each precision, and the smallest that is not 0; of float64, those whose
squares, which the check takes in float64, are neither infinite nor 0; of int8, those that 127 times
a normal scale reaches."""


def _known(own: Weights, layer: Named | Case) -> tuple[Tensor, Tensor | None]:
    """The arrays of a layer that was found. Raises BadInput where they don't have its shape."""
    path = Path(own.file)
    file = open_file(path)
    for name in filter(None, (own.W, own.b)):
        if name not in file.names:
            raise BadInput(f"{path}:{name} has changed since this run began: start a new run")
    W, b = file.tensor(own.W), file.tensor(own.b) if own.b else None
    shape = W.shape[::-1] if own.transposed else W.shape
    b_shape = (layer.n_units,) if b is None else b.shape
    if shape != (layer.n_in, layer.n_units) or math.prod(b_shape) != layer.n_units:
        said = f"{shape} and {b_shape} in the file, ({layer.n_in}, {layer.n_units}) in the sweep"
        raise BadInput(f"{path}:{own.W} is {said}: give --layer anew")
    return W, b


def _facts(W: Tensor, b: Tensor | None, own: Weights | None = None) -> _Facts:
    """What all numbers tell, in one pass. Raises BadInput where one is not finite, where W holds
    nothing but zeros, and where they are not those of a layer that was found before.
    """
    hashed = hashlib.sha256()
    largest = [0.0, 0.0]
    problems = []
    for number, tensor in enumerate((W,) if b is None else (W, b)):
        bad, first, start = 0, "", 0
        for block in tensor.blocks():
            if not start:
                hashed.update(f"{block.dtype.str} {tensor.shape} ".encode())
            hashed.update(block.data)
            # processors compare float32, and float16 only through it
            single = block.astype(np.float32) if block.dtype == np.float16 else block
            top, bottom = float(single.max()), float(single.min())
            largest[number] = max(largest[number], top, -bottom)
            if not math.isfinite(top - bottom):
                odd = ~np.isfinite(block)
                bad += int(np.count_nonzero(odd))
                if bad and not first:
                    place = np.argwhere(odd)[0]
                    place[0] += start
                    first = ", ".join(map(str, place))
            start += len(block)
        if bad:
            many = "a number that is" if bad == 1 else f"{bad} numbers that are"
            said = f"not finite (NaN or infinite), the first at [{first}]"
            problems.append(f"{tensor.where} has {many} {said}")
    digest = hashed.hexdigest()[:16]
    if own is not None and digest != own.digest:
        raise BadInput(f"{W.where} has changed since this run began: start a new run")
    if problems:
        raise BadInput(problems[0])
    if not largest[0]:
        raise BadInput(f"{W.where} holds nothing but zeros: no answer could be checked")
    return _Facts(digest, *largest)


# --- which file, and which arrays in it


def _split(asked: str) -> tuple[str, Path, str]:
    """[LABEL=]FILE[:NAME] -> its parts; a colon or = that is the file's own is left alone."""
    label, equals, rest = asked.partition("=")
    for given, spec in (("", asked), *([(label, rest)] if equals else [])):
        ends = [len(spec), *(found.start() for found in re.finditer(":", spec))]
        for end in sorted(ends, reverse=True):  # the longest that is a file
            path = Path(spec[:end])
            if spec[:end] and _is_file(path):
                return given.strip(), path, spec[end + 1 :]
    # none is: which one was meant is told by the suffix
    spec = rest if equals and "." in rest else asked
    colon = re.search(r"(?<=\.npz|json)(?=:)|(?<=\.safetensors)(?=:)", spec)
    path = Path(spec[: colon.start()] if colon else spec)
    if not colon and not path.exists() and ":" in spec:
        path = Path(spec.rpartition(":")[0])
    if "://" in asked:
        raise BadInput(f"--layer {asked}: is an address: download the file, and {GIVE}")
    what = "is no regular file" if os.path.lexists(path) else "no such file"
    what = "is a directory" if path.is_dir() else what
    raise BadInput(f"--layer {asked}: {what}: {path}; {GIVE}")


def _is_file(path: Path) -> bool:
    """Whether it is one. Raises BadInput where that can't be told."""
    try:
        return path.is_file()
    except OSError as error:
        if isinstance(error, PermissionError):
            raise BadInput(f"{path} can't be read: {reason(error)}") from error
        return False  # such as a name that is too long for one
    except ValueError:
        return False


def _short(W_name: str) -> str:
    """What a layer is called for short: fc1 for fc1.weight, W1 for W1, nothing for weight."""
    found = W_NAME.fullmatch(W_name)
    if found is None:
        return W_name
    head = found["head"].rstrip("./_")
    if found["tail"].startswith(("_ih", "_hh")):
        return W_name
    whole = found[0].removesuffix(found["output"] or "")
    return head + found["tail"] if head else (whole if found["tail"] else "")


def _choose(file: File, path: Path, name: str) -> str:
    """The name of W: the one that was asked for, or the only one that it can be."""
    if name in file.names:
        return name
    weights = [one for one in file.names if W_NAME.fullmatch(one)]
    if name:
        if mine := [one for one in weights if _short(one) == name]:
            return mine[0]
        known = [_short(one) or one for one in weights] or file.names
        raise BadInput(f"{path} has no {name!r}; it has {_listed(known, name)}")
    if len(weights) == 1:
        return weights[0]
    layers = [one for one in weights if len(file.tensor(one).shape) == 2] or weights
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
    """The name of the bias that belongs to it: the same, with another word where W's stands. Empty
    where there is none.
    """
    candidates = (
        W_name[: place.start()] + word + W_name[place.end() :]
        for place in reversed(list(W_WORD.finditer(W_name)))
        for word in B_WORDS
    )
    return next((name for name in candidates if name in names), "")


# --- labels


def _labels(picked: Sequence[_Picked]) -> list[str]:
    """The layers' names in tables and charts: those that were given, else the file's and the
    layer's own in it; the folder's too where others are called the same, and cut where they are
    alike. Raises BadInput where two are the same all the same.
    """
    labels = [layer.given or _cut(_whole(layer)) for layer in picked]
    for folder in (False, True):
        twins = [i for i, label in enumerate(labels) if labels.count(label) > 1]
        texts = [_whole(picked[i], folder=folder) for i in twins]
        for i, label in zip(twins, _cut_alike(texts), strict=True):
            labels[i] = picked[i].given or label
    if alike := [label for label, count in Counter(labels).items() if count > 1]:
        said = f"two layers are called {alike[0]!r}, rows go by that name"
        raise BadInput(f"{said}: name them, as --layer NAME=FILE:...")
    return labels


def _whole(layer: _Picked, *, folder: bool = False) -> str:
    label = plain(f"{tensors.stem(layer.path)} {_short(layer.W_name)}").strip()
    parent = plain(layer.path.absolute().parent.name)
    return f"{parent}/{label}" if folder and parent else label


def _cut(text: str) -> str:
    half = LONGEST_NAME // 2
    return text if len(text) <= LONGEST_NAME else f"{text[: half - 1]}…{text[-half:]}"


def _cut_alike(texts: Sequence[str]) -> list[str]:
    """Texts cut to a label's length where they are alike, at the front first."""
    if max(map(len, texts), default=0) <= LONGEST_NAME:
        return list(texts)
    front = _alike(texts)
    back = _alike([text[front:][::-1] for text in texts])
    labels = []
    for text in texts:
        middle = text[front : len(text) - back]
        room = LONGEST_NAME - len(middle) - 2
        if room < 0:
            labels.append(_cut(text))
            continue
        ahead, behind = text[:front], text[len(text) - back :]
        kept = min(len(behind), max(room // 2, room - len(ahead)))
        behind = behind if kept == len(behind) else f"{behind[:kept]}…"
        kept = min(len(ahead), room - kept)
        ahead = ahead if kept == len(ahead) else f"…{ahead[len(ahead) - kept :]}"
        labels.append(ahead + middle + behind)
    return [label.strip() for label in labels]


def _alike(texts: Sequence[str]) -> int:
    """How many letters all of them begin with."""
    columns = enumerate(zip(*texts, strict=False))
    return next((i for i, column in columns if len(set(column)) > 1), min(map(len, texts)))


# --- whether they are a layer


def _refuse_types(tensor: Tensor) -> None:
    if not tensor.kind.startswith(("float", "bfloat16", "<f", ">f")):
        said = "must be floating-point numbers; unpack quantised ones first"
        if tensor.kind.startswith("void"):
            said = "a type that the file doesn't tell (8-bit floating-point numbers?):"
            said += " save float32 or float16"
        raise BadInput(f"{tensor.where} is {tensor.kind}, {said}")
    if not math.prod(tensor.shape):
        raise BadInput(f"{tensor.where} is empty: {tensor.shape}")


def _shape(W: Tensor, b_name: str, b: Tensor | None, *, transposed: bool) -> tuple[int, int]:
    """(n_in, n_units). Raises BadInput where W and b don't fit, and says how they would."""
    n_in, n_units = W.shape[::-1] if transposed else W.shape
    if b is not None:
        size = math.prod(b.shape)
        if len(b.shape) > 2 or (len(b.shape) == 2 and b.shape[0] != 1) or not b.shape:
            raise BadInput(f"{W.where}: {b_name} is {b.shape}, must be (n_units,) or (1, n_units)")
        if size != n_units:
            read = "(n_units, n_in)" if transposed else "(n_in, n_units)"
            said = f"is {W.shape}, read as {read}, so {b_name} must have {n_units} numbers"
            remedy = f"{b_name} fits neither axis"
            if size == n_in:
                remedy = "leave out --transposed"
                if not transposed:
                    remedy = "it looks transposed, as PyTorch keeps it: add --transposed"
            raise BadInput(f"{W.where} {said} and has {size}: {remedy}")
    if max(n_in, n_units) > LARGEST:
        raise BadInput(
            f"{W.where} is {W.shape}: at most {LARGEST} inputs and units can be measured"
        )
    return int(n_in), int(n_units)


def _said(picked: _Picked, layer: Named) -> str:
    """How the file was read: what was found, and what was decided where it doesn't tell."""
    own, W = layer.weights, picked.W
    assert own is not None
    order = "(n_units, n_in)" if own.transposed else "(n_in, n_units)"
    other = "without --transposed" if own.transposed else "with --transposed"
    read = f"read as {order}: {layer.n_in} inputs, {layer.n_units} units"
    parts = [f"layer {layer.name}: {own.W} is {W.kind} {W.shape}, {read}"]
    if picked.b is None or W.shape[0] == W.shape[1]:
        why = "it is square" if W.shape[0] == W.shape[1] else "there is no bias"
        parts.append(
            f"nothing tells whether that is right ({why}): {other} it is read the other way"
        )
    if picked.b is not None:
        parts.append(f"bias {own.b}")
    else:
        elsewhere = "" if not tensors.is_shard(picked.path) else " (another shard may: give the"
        elsewhere += " .index.json)" if elsewhere else ""
        parts.append(f"{picked.path.name} has no bias for it{elsewhere}: zeros are added")
    return plain("; ".join(parts))
