"""One layer shape, batch, precision and activation, and the one formula for its work."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import msgspec

from bench.plan.activations import ACTIVATIONS

Precision = Literal["float64", "float32", "tf32", "float16", "bfloat16"]

if TYPE_CHECKING:
    Activation = str
else:
    Activation = Literal[tuple(ACTIVATIONS)]  # as if written out: msgspec refuses others

Cache = Literal["warm", "cold"]


ITEMSIZE: dict[str, int] = {"float64": 8, "float32": 4, "tf32": 4, "float16": 2, "bfloat16": 2}


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
        numbers = self.batch * (self.n_in + self.n_units) + self.n_units * (self.n_in + 1)
        return numbers * ITEMSIZE[self.precision]


class Weights(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """Where a layer's own numbers are, and what they were when found (bench.plan.weights)."""

    file: str  # its absolute path: .npz or .safetensors
    W: str  # names of arrays in the file
    b: str = ""  # none: zeros
    transposed: bool = False  # the file's W is (n_units, n_in)
    digest: str  # of both arrays as the file has them
