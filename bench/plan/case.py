"""One layer shape, batch, precision and activation, and the one formula for its work."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import msgspec

from bench.plan.activations import ACTIVATIONS

Precision = Literal["float64", "float32", "tf32", "float16", "bfloat16", "int8"]

if TYPE_CHECKING:
    Activation = str
else:
    Activation = Literal[tuple(ACTIVATIONS)]  # as if written out: msgspec refuses others

Cache = Literal["warm", "cold"]


ITEMSIZE = {"float64": 8, "float32": 4, "tf32": 4, "float16": 2, "bfloat16": 2, "int8": 4}
"""Bytes of a number, of W's where WEIGHT has no other."""

WEIGHT = {"int8": 1}
"""Bytes of a number of W, where that is not as large as the others; it has a scale a unit then."""


LARGEST = 2**20
"""Units, inputs or examples at most: the operations of such a case still fit into 64 bits."""


@dataclass(frozen=True, slots=True)
class Case:
    """One layer shape, batch, precision and activation."""

    n_in: int
    n_units: int
    batch: int
    precision: str
    activation: str
    layer: str = ""  # the layer's name; a square of a sweep's widths has none

    @property
    def flops(self) -> int:
        """Floating-point operations of one launch: a multiplication and an addition for each
        weight and example, one addition for each bias. The activation is not counted.
        """
        return 2 * self.batch * self.n_in * self.n_units + self.batch * self.n_units

    @property
    def bytes(self) -> int:
        """Bytes that have to move at least: A_in, W and b read once, A_out written once."""
        size = ITEMSIZE[self.precision]
        others = self.batch * (self.n_in + self.n_units) + self.n_units
        scales = self.n_units if self.precision in WEIGHT else 0
        return (others + scales) * size + self.weight_bytes

    @property
    def weight_bytes(self) -> int:
        """Bytes of W's numbers: all that matters to a large layer with one example."""
        size = WEIGHT.get(self.precision, ITEMSIZE[self.precision])
        return self.n_in * self.n_units * size


class Weights(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """Where a layer's own numbers are, and what they were when found (bench.plan.weights)."""

    file: str  # its absolute path: .npz or .safetensors
    W: str  # names of arrays in the file
    b: str = ""  # none: zeros
    transposed: bool = False  # the file's W is (n_units, n_in)
    digest: str  # of both arrays as the file has them
