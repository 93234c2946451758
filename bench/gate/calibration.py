"""How far apart do runs of identical code end on this machine? The gate's margin rests on it.

A comparison of the checkout with itself is made again and again. What its cells' medians differ by
from one run to the next has two parts: too few rounds, which a run's own interval shows, and what
stays the same within a run and changes between runs (where the files lie, the mood of the machine),
which it can't show. The second is the spread, pooled over a kernel's cells. It is kept with the
machine's fingerprint, and used wherever that fits.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, median, variance
from typing import Annotated

import msgspec

from bench.data.records import Round
from bench.gate import decide
from bench.gate.compare import by_cell
from bench.terminal.errors import BadInput

LEAST_RUNS = 8
"""From fewer, a spread is worth less than the default."""

LEAST = 0.001
"""No machine is taken for quieter than this: from few runs a variance may come out as nothing."""


class Kept(msgspec.Struct, frozen=True):
    """A machine's spread, as the file has it."""

    runs: Annotated[int, msgspec.Meta(ge=1)]
    by_kernel: dict[str, Annotated[float, msgspec.Meta(gt=0, le=1)]]


def spread(runs: Sequence[Sequence[Round]]) -> dict[str, float]:
    """The standard deviation between runs, by kernel, from the rounds of runs of identical code.

    The variance of the runs' medians, less what their own rounds make them vary by. Half of a run's
    rounds against the other half shows that: if a half's median varies by v, the difference of two
    halves varies by 2v and the whole's median by v/2, a quarter of the difference's variance. With
    heavy tails it comes out too small, down to LEAST: it may widen the default (gate.Spread), and
    is no estimate to rely on by itself.
    """
    medians: dict[tuple[str, str], list[float]] = defaultdict(list)
    own: dict[str, list[float]] = defaultdict(list)
    for run in runs:
        kernel_of = {row.cell: row.kernel for row in run}
        for cell, d in by_cell(run, "screen").items():
            medians[kernel_of[cell], cell].append(median(d))
            own[kernel_of[cell]].append((median(d[::2]) - median(d[1::2])) ** 2 / 4)
    between: dict[str, list[float]] = defaultdict(list)
    for (kernel, _), found in medians.items():
        if len(found) > 1:  # else it was too slow for the sweep in all runs but one
            between[kernel].append(variance(found))
    return {
        kernel: max(fmean(its) - fmean(own[kernel]), LEAST**2) ** 0.5
        for kernel, its in between.items()
    }


def read(path: Path, fingerprint: str) -> decide.Spread:
    """What is kept of this machine, or the default. Raises BadInput for a file that isn't ours."""
    kept = _read(path).get(fingerprint)
    return decide.Spread(by_kernel=kept.by_kernel, runs=kept.runs) if kept else decide.Spread()


def write(path: Path, fingerprint: str, runs: int, by_kernel: Mapping[str, float]) -> None:
    """Keep a machine's spread beside those of others, and of its kernels that weren't asked about.
    Raises BadInput where that can't be.
    """
    known = _read(path)
    before = known[fingerprint].by_kernel if fingerprint in known else {}
    rounded = {kernel: round(its, 5) for kernel, its in by_kernel.items()}
    known[fingerprint] = Kept(runs, {**before, **rounded})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(msgspec.to_builtins(known), indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{path} can't be written ({error.strerror})") from error


def _read(path: Path) -> dict[str, Kept]:
    if not path.is_file():
        return {}
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Kept])
    except (OSError, msgspec.DecodeError) as error:
        raise BadInput(f"{path}: {error}: remove it, or gate --calibrate anew") from error
