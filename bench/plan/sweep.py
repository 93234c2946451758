"""Which cells: a sweep file -> cases, and the one formula for the work of a case."""

import math
import re
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import msgspec
import tomli_w
from msgspec import Meta

from bench import ROOT
from bench.plan.case import LARGEST, Activation, Cache, Case, Precision, Weights
from bench.terminal import text
from bench.terminal.errors import BadInput

SWEEPS = ROOT / "bench" / "sweeps"


LONGEST_NAME = 60
"""Characters of a layer's name: it stands beside a row of a table and of a chart."""

ALL = "all"
"""Among a sweep's kernels: every one in kernels/, whether it can run here or not."""

Size = Annotated[int, Meta(ge=1, le=LARGEST)]
Sizes = tuple[Size, ...]
Index = Annotated[int, Meta(ge=0, le=LARGEST)]
Seconds = Annotated[float, Meta(gt=0)]

Fields = TypeVar("Fields", bound=msgspec.Struct)


class Named(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """A layer of a known network, or of one's own: a table `[[layers]]` in a sweep file."""

    name: Annotated[str, Meta(min_length=1, max_length=LONGEST_NAME)]
    n_in: Size
    n_units: Size
    batches: Sizes = ()  # none: the sweep's
    activation: Activation | None = None  # none: the sweep's
    source: str = ""  # where its shape, batches and activation are from
    weights: Weights | None = None  # none: drawn, as for any other case


class Sweep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to measure, and how far to go. A sweep file has these fields, in TOML.

    It has widths, layers or both; and batches, unless each layer has its own.
    """

    widths: Sizes = ()  # square layers: n_in = n_units = width
    batches: Sizes = ()
    layers: tuple[Named, ...] = ()
    kernels: tuple[str, ...] = ()  # names or paths; none, or "all": every kernel in kernels/
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
        """Every width with every batch, every layer with its batches, the least work first."""
        cases = {
            Case(width, width, batch, self.precision, self.activation)
            for width in self.widths
            for batch in self.batches
        }
        cases |= {
            Case(n.n_in, n.n_units, batch, self.precision, n.activation or self.activation, n.name)
            for n in self.layers
            for batch in n.batches or self.batches
        }
        return sorted(cases, key=lambda case: (case.flops, case.n_units, case.layer))

    @property
    def weights(self) -> dict[str, Weights]:
        """By name, the layers whose numbers come from a file."""
        return {layer.name: layer.weights for layer in self.layers if layer.weights}


def which(asked: Iterable[str], known: Sequence[str]) -> tuple[str, ...]:
    """The kernels that are meant by `asked`: all that are known for `all`, or for nothing."""
    meant = tuple(asked) or (ALL,)
    return tuple(dict.fromkeys(k for one in meant for k in (known if one == ALL else (one,))))


def named() -> tuple[str, ...]:
    """The sweeps that come with the project."""
    return tuple(sorted(path.stem for path in SWEEPS.glob("[!.]*.toml")))


def read(name_or_file: str) -> Sweep:
    """A sweep by name, or from a TOML file. Raises BadInput, naming file and field."""
    path = SWEEPS / f"{name_or_file}.toml" if name_or_file in named() else Path(name_or_file)
    try:
        content = path.read_bytes()
    except (FileNotFoundError, IsADirectoryError) as error:
        known = ", ".join(named())
        raise BadInput(f"no sweep {name_or_file!r}: known are {known}, or a TOML file") from error
    except OSError as error:
        raise BadInput(f"{path} can't be read: {error.strerror}") from error
    try:
        return make(tomllib.loads(text_of(content)))
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, [[[[[
        raise BadInput(f"{path}: not TOML: {error}") from error


def text_of(content: bytes) -> str:
    """A file's text: UTF-8, with the mark in front that Windows' editors put there, or without."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        looks = content.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in content[:4]
        like = " (it looks like UTF-16)" if looks else ""
        raise BadInput(f"not in UTF-8{like}: save it as UTF-8") from error


def make(fields: dict[str, Any]) -> Sweep:
    """A sweep from its fields, each checked. Raises BadInput, naming the field."""
    layers = fields.get("layers")
    for number, layer in enumerate(layers if isinstance(layers, list | tuple) else (), 1):
        _make_layer(number, layer)  # by itself first: msgspec would not say which one is wrong
    sweep = _convert(fields, Sweep)
    for name in ("budget_s", "launch_limit_s"):
        if math.isinf(getattr(sweep, name)):
            raise BadInput(f"Expected a finite `float` - at `{name}`")
    for kernel in sweep.kernels:
        if not kernel or text.UNSEEN.search(kernel):
            raise BadInput(f"Expected a name or a path, got {kernel!r} - at `kernels`")
    if not sweep.widths and not sweep.layers:
        raise BadInput("Expected at least one - at `widths`, or a table `[[layers]]`")
    bare = [layer.name for layer in sweep.layers if not layer.batches]
    if not sweep.batches and (sweep.widths or bare):
        whose = "" if sweep.widths else f", for layer {bare[0]!r} has none of its own"
        raise BadInput(f"Expected at least one - at `batches`{whose}")
    names = [layer.name for layer in sweep.layers]
    if twins := [name for name in names if names.count(name) > 1]:
        said = f"two are called {twins[0]!r}, rows go by that name"
        raise BadInput(f"Expected a name for each layer - at `name`: {said}")
    return sweep


OPTIONS = {"kernels": "kernel", "layers": "layer", "name": "layer", "budget_s": "budget"}
"""Fields that the option of `run` which sets them calls otherwise."""


def settled(fields: dict[str, Any]) -> Sweep:
    """A sweep from fields that were right until options changed them: an error names the option."""
    try:
        return make(fields)
    except BadInput as error:
        what, _, place = str(error).partition(" - at `")
        field = re.match(r"\w*", place)
        assert field is not None
        name = OPTIONS.get(field[0], field[0])
        hint = place.partition("`")[2]
        raise BadInput(f"--{name}: {what}{hint}" if name else str(error)) from error


def changed(sweep: Sweep, changes: dict[str, Any]) -> dict[str, Any]:
    """A sweep's fields, those that are asked for otherwise (not None) in their place.

    Widths or layers that are asked for are all the layers there are; batches and an activation hold
    for every layer, whatever its own are.
    """
    asked = {name: value for name, value in changes.items() if value is not None}
    fields: dict[str, Any] = msgspec.to_builtins(sweep)
    if asked.keys() & {"widths", "layers"}:
        fields |= {"widths": [], "layers": []}
    fields |= asked
    for_all = asked.keys() & {"batches", "activation"}
    fields["layers"] = [
        {name: value for name, value in layer.items() if name not in for_all}
        for layer in fields["layers"]
    ]
    return fields


def extended(sweep: Sweep, added: dict[str, list[Any]]) -> dict[str, Any]:
    """A sweep's fields with more kernels, widths or batches, also for layers with their own."""
    fields: dict[str, Any] = msgspec.to_builtins(sweep)
    own = [layer for layer in fields["layers"] if "batches" in layer]
    for name, more in added.items():
        for holder in (fields, *(own if name == "batches" else ())):
            holder[name] = list(dict.fromkeys([*holder[name], *more]))
    return fields


def _make_layer(number: int, fields: Any) -> None:
    """Raise BadInput where it is no layer, naming it and the field."""
    name = fields.get("name") if isinstance(fields, dict) else None
    said = f" ({text.plain(name)[:LONGEST_NAME]})" if isinstance(name, str) and name else ""
    try:
        layer = _convert(fields, Named)
    except BadInput as error:
        raise BadInput(f"layer {number}{said}: {error}") from error
    if layer.name != text.plain(layer.name).strip():
        expected = "Expected a name on one line, without blanks at its ends"
        raise BadInput(f"layer {number}{said}: {expected} - at `name`")


def _convert(fields: Any, kind: type[Fields]) -> Fields:
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        said = str(error).replace("$.", "")
        raise BadInput(said + _hint(str(error), kind.__struct_fields__)) from error


def _hint(error: str, known: tuple[str, ...]) -> str:
    """The words that would have been right, where the wrong one was a word."""
    if "unknown field" in error and " - at " not in error:
        return f"; known are {', '.join(known)}"
    for name, kind in (("precision", Precision), ("activation", Activation), ("cache", Cache)):
        if f".{name}`" in error:
            return f"; one of {', '.join(get_args(kind))}"
    return ""


def dumps(sweep: Sweep) -> str:
    """The sweep as TOML that `read` takes back."""
    return tomli_w.dumps(msgspec.to_builtins(sweep))
