"""Which cells: a sweep file -> cases, and the one formula for the work of a case."""

import math
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args

import msgspec
import tomli_w
from msgspec import Meta

from bench import text

Precision = Literal["float64", "float32", "tf32", "float16", "bfloat16"]
Activation = Literal["linear", "relu", "sigmoid", "tanh"]
Cache = Literal["warm", "cold"]

ITEMSIZE: dict[str, int] = {"float64": 8, "float32": 4, "tf32": 4, "float16": 2, "bfloat16": 2}

SWEEPS = Path(__file__).parent / "sweeps"

LARGEST = 2**20
"""Units, inputs or examples at most: the operations of such a case still fit into 64 bits."""

Size = Annotated[int, Meta(ge=1, le=LARGEST)]
Index = Annotated[int, Meta(ge=0, le=LARGEST)]
Seconds = Annotated[float, Meta(gt=0)]


class BadInput(Exception):
    """Something that the user gave can't be used: one line that names it and the remedy."""


@dataclass(frozen=True, slots=True)
class Case:
    """One layer shape, batch, precision and activation."""

    n_in: int
    n_units: int
    batch: int
    precision: str
    activation: str

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


class Sweep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to measure, and how far to go. A sweep file has these fields, in TOML."""

    widths: Annotated[tuple[Size, ...], Meta(min_length=1)]  # square layers: n_in = n_units = width
    batches: Annotated[tuple[Size, ...], Meta(min_length=1)]
    kernels: tuple[str, ...] = ()  # names or paths; none: every kernel in kernels/
    precision: Precision = "float32"
    activation: Activation = "relu"
    cache: Cache = "warm"
    device: Index | Annotated[tuple[Index, ...], Meta(min_length=1)] = 0  # which GPU, or several
    threads: Annotated[int, Meta(ge=0, le=LARGEST)] = 0  # 0: one a usable core
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    budget_s: Seconds = 120.0  # the whole run stops after this
    target: Annotated[float, Meta(gt=0, lt=1)] = 0.02  # a cell is done at this relative half-width
    launch_limit_s: Seconds = 0.3  # cells predicted to need longer for one launch are skipped

    @property
    def devices(self) -> tuple[int, ...]:
        """The devices asked for, each once."""
        asked = (self.device,) if isinstance(self.device, int) else self.device
        return tuple(dict.fromkeys(asked))

    def cases(self) -> list[Case]:
        """Every width with every batch, the least work first."""
        cases = {
            Case(width, width, batch, self.precision, self.activation)
            for width in self.widths
            for batch in self.batches
        }
        return sorted(cases, key=lambda case: (case.flops, case.n_units))


def named() -> tuple[str, ...]:
    """The sweeps that come with the project."""
    return tuple(sorted(path.stem for path in SWEEPS.glob("*.toml")))


def read(name_or_file: str) -> Sweep:
    """A sweep by name, or from a TOML file. Raises BadInput, naming file and field."""
    path = SWEEPS / f"{name_or_file}.toml" if name_or_file in named() else Path(name_or_file)
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        known = ", ".join(named())
        raise BadInput(f"no sweep {name_or_file!r}: known are {known}, or a TOML file") from error
    try:
        return make(tomllib.loads(content))
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, [[[[[
        raise BadInput(f"{path}: not TOML: {error}") from error
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from error


def make(fields: dict[str, object]) -> Sweep:
    """A sweep from its fields, each checked. Raises BadInput, naming the field."""
    try:
        sweep = msgspec.convert(fields, Sweep)
    except msgspec.ValidationError as error:
        raise BadInput(str(error).replace("$.", "") + _hint(str(error))) from error
    for name in ("budget_s", "launch_limit_s"):
        if math.isinf(getattr(sweep, name)):
            raise BadInput(f"Expected a finite `float` - at `{name}`")
    for kernel in sweep.kernels:
        if not kernel or text.UNSEEN.search(kernel):
            raise BadInput(f"Expected a name or a path, got {kernel!r} - at `kernels`")
    return sweep


def _hint(error: str) -> str:
    """The words that would have been right, where the wrong one was a word."""
    if "unknown field" in error:
        return f"; known are {', '.join(Sweep.__struct_fields__)}"
    for name, kind in (("precision", Precision), ("activation", Activation), ("cache", Cache)):
        if f".{name}`" in error:
            return f"; one of {', '.join(get_args(kind))}"
    return ""


def dumps(sweep: Sweep) -> str:
    """The sweep as TOML that `read` takes back."""
    return tomli_w.dumps(msgspec.to_builtins(sweep))
