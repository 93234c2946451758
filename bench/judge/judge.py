"""The judge: it alone knows the inputs' seed, the answers, and where it will look."""

import os
import secrets
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import kernels
from bench.ipc import arrays, memory, outputs
from bench.ipc.arrays import INPUTS, Floating, Input, Shared
from bench.ipc.outputs import INPUT_OF, Label, Wrong
from bench.judge import answers, inputs
from bench.judge.answers import Answer
from bench.judge.check import activate, check
from bench.plan.case import Case, Weights
from bench.terminal.errors import BadInput

KEEP_BYTES = 2**29
KEEP_SHARE = 0.25
"""Layers, inputs and answers are kept for the next visit up to this much, and up to this share of
what is free."""

RESERVE_BYTES = 2**28
"""Free memory that is left to the rest of the machine."""

TRIES = 8
"""Inputs of a small case are drawn so often until their right outputs are not all alike."""

ALIKE = 0.1
"""Right outputs that are closer to each other than this tell nothing."""

SMALL = 2**20
"""Products up to which that may happen by chance."""


@dataclass(frozen=True, slots=True)
class Layer:
    """W and b in a file of their own."""

    file: int
    W: NDArray[Any]
    b: NDArray[Any]
    columns: inputs.Columns

    @property
    def bytes(self) -> int:
        """What it takes to keep it."""
        return self.W.nbytes + self.b.nbytes


@dataclass(frozen=True, slots=True)
class Lent:
    """A case's inputs in a file of their own, and the answers to them."""

    file: int
    inputs: NDArray[Any]
    answers: dict[Input, Answer]
    alike: bool  # all right outputs are the same number

    @property
    def bytes(self) -> int:
        """What it takes to keep it."""
        known = (sums.nbytes for answer in self.answers.values() for _, sums in answer.known)
        return self.inputs.nbytes + sum(known)


class Judge:
    """Draws, keeps and compares. Raises BadInput for a layer's file, and MemoryError."""

    def __init__(self, seed: int) -> None:
        self._seed = seed  # of the layers: the same W and b on every machine
        self._secret = secrets.randbits(128)  # of the inputs
        self._generator = np.random.default_rng()  # of where it looks
        self._kept: OrderedDict[Any, Layer | Lent] = OrderedDict()  # the oldest one first

    def draw(self, case: Case, own: Weights | None = None) -> tuple[int, int]:
        """The files of a case's layer and of its inputs, which stay the judge's.

        They are made once and kept while there is room. Raises BadInput where no input tells a
        right answer from zeros.
        """
        layer, lent = self._both(case, own)
        if lent.alike:
            raise BadInput(
                f"no input makes a difference to this layer: its {case.activation} is flat for"
                " sums far larger than its bias, so that no answer can be checked"
            )
        return layer.file, lent.file

    def shared(self, case: Case, own: Weights | None = None) -> Shared:
        """A case's arrays, as a kernel's process sees them."""
        return arrays.shared(*self.draw(case, own), case, kernels.DTYPES[case.precision])

    def check(
        self, case: Case, own: Weights | None, labels: Sequence[Label], file: int
    ) -> float | None:
        """The largest RMS error of a visit's outputs; None where there is none. Raises Wrong."""
        _, lent = self._both(case, own)
        errors = []
        for label in labels:
            shape = (case.batch, case.n_units)
            output = outputs.read(file, label, shape, kernels.DTYPES[case.precision])
            try:
                errors.append(self._compare(output, case, lent.answers[INPUT_OF[label]]))
            except Wrong as wrong:
                raise Wrong(self._words(output, case, lent, label, str(wrong))) from wrong
        return max(errors, default=None)

    def _compare(self, output: NDArray[Any], case: Case, answer: Answer) -> float:
        return check(output, case, output.dtype.type, answer.parts(self._generator))

    def _words(self, output: NDArray[Any], case: Case, lent: Lent, label: Label, wrong: str) -> str:
        """What is said of a wrong output: above all, whether it is right for another input."""
        for answer in lent.answers.values() if label in ("last", "other") else ():
            try:
                self._compare(output, case, answer)
            except Wrong:
                continue
            return "it answered another input as it had answered the first"
        return f"for another input, {wrong}" if label == "other" else wrong

    def _both(self, case: Case, own: Weights | None) -> tuple[Layer, Lent]:
        """A case's layer, inputs and answers: those that are kept, or new ones."""
        dtype = kernels.DTYPES[case.precision]
        layer_key = (case.n_in, case.n_units, case.precision, own)
        keys = (layer_key, (case, own))
        for key in keys:
            if key in self._kept:
                self._kept.move_to_end(key)
        self._make_room(case, dtype, *keys)
        if layer_key not in self._kept:
            self._kept[layer_key] = self._layer(case, own, dtype)
        layer = self._kept[layer_key]
        assert isinstance(layer, Layer)
        if (case, own) not in self._kept:
            self._kept[case, own] = self._lent(case, own, layer, dtype)
        lent = self._kept[case, own]
        assert isinstance(lent, Lent)
        return layer, lent

    def _layer(self, case: Case, own: Weights | None, dtype: Floating) -> Layer:
        shapes = arrays.layer_shapes(case)
        with _filled("layer", dtype, *shapes) as (file, (W, b)):
            if own is None:
                inputs.draw_layer(W, b, case, self._seed)
            else:
                inputs.load_layer(W, b, case, own)
            return Layer(file, W, b, inputs.columns(W, b))

    def _lent(self, case: Case, own: Weights | None, layer: Layer, dtype: Floating) -> Lent:
        scale = 1.0 if own is None else inputs.fitting(layer.columns, dtype)
        scales = inputs.scales(layer.columns, scale, case.precision, dtype)
        tries = TRIES if case.batch * case.n_in * case.n_units <= SMALL else 1
        with _filled("inputs", dtype, arrays.input_shape(case)) as (file, (drawn,)):
            for turn in range(tries):
                for number, name in enumerate(INPUTS):
                    seed = (self._secret, case.n_in, case.batch, number, turn)
                    inputs.draw_input(drawn[number], case, scales[name], seed)
                worked_out = answers.work_out(
                    drawn, layer.W, layer.columns, tuple(scales.values()), self._generator
                )
                if not (alike := self._alike(case, worked_out)):
                    break
            return Lent(file, drawn, dict(zip(INPUTS, worked_out, strict=True)), alike)

    def _alike(self, case: Case, worked_out: Sequence[Answer]) -> bool:
        """Whether all right outputs are the same number, about: zeros, or ones, would pass."""
        values = [
            activate(part.z, case.activation)[0]
            for answer in worked_out
            for part in answer.parts(self._generator)
        ]
        return bool(max(map(np.max, values)) - min(map(np.min, values)) < ALIKE)

    def _make_room(self, case: Case, dtype: Floating, layer_key: Any, case_key: Any) -> None:
        """Raise MemoryError where a case has no room, before anything of it is there.

        Its arrays and answers here, and with them the kernel's copies and what it makes of them.
        """
        needed = 2 * case.bytes + RESERVE_BYTES
        if layer_key not in self._kept:
            needed += arrays.bytes_of(dtype, *arrays.layer_shapes(case))
        if case_key not in self._kept:
            needed += arrays.bytes_of(dtype, arrays.input_shape(case))
            needed += 8 * len(INPUTS) * min(case.batch * case.n_units, answers.MOST_KEPT)
        free = kernels.HOST.free_bytes()
        for key in [key for key in self._kept if key not in (layer_key, case_key)]:
            kept = sum(entry.bytes for entry in self._kept.values())
            if free >= needed and kept <= min(KEEP_BYTES, KEEP_SHARE * (free + kept)):
                break
            free += self._kept[key].bytes
            os.close(self._kept.pop(key).file)
        if free < needed:
            gigabytes = f"{needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free"
            raise MemoryError(f"needs about {gigabytes} on {kernels.HOST.name}")

    def close(self) -> None:
        """Let go of all files."""
        while self._kept:
            os.close(self._kept.popitem()[1].file)


@contextmanager
def _filled(
    name: str, dtype: Floating, *shapes: tuple[int, ...]
) -> Iterator[tuple[int, tuple[NDArray[Any], ...]]]:
    """A new file and its arrays, to be filled in the block; nobody can change them afterwards."""
    file = memory.anonymous(name)
    try:
        memory.reserve(file, arrays.bytes_of(dtype, *shapes))
        yield file, arrays.mapped(file, dtype, *shapes, writable=True)
    except BaseException:
        os.close(file)
        raise
    memory.seal(file)
