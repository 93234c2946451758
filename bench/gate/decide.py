"""Rounds of two sides -> a verdict a cell: slower, not slower, can't tell or faster.

Pure functions over records; nothing here measures. A round is a fresh pair of processes, and its
one datum for a cell is d = log(head / base), the median over blocks taken in turn. Rounds are
independent, so what is asked of them is asked of rounds:

    screen    a few rounds of every cell, only to choose those worth a second look
    confirm   many rounds of the chosen, on data that did not choose them

A cell is slower if its confirming rounds lie above a margin (Wilcoxon's signed-rank test, one-
sided, Holm's correction over the cells; it asks that d be symmetric about its centre, as a log
ratio of two like arms is). There are two looks, at half the error each: what is found at the first
leaves the time to the rest. The margin covers what two runs of identical code differ by, which no
number of rounds within one run can show; it is pooled over a kernel's cells. A cell is not slower
if the whole interval of its median, and what runs differ by, lies below the slowdown that is asked
about, and if, among all that are called so, at most one in twenty is expected to be as slow
(Benjamini and Hochberg's correction: with few cells that are clear, each needs more rounds). Else
it can't be told, and a word says why.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import NamedTuple

from scipy import stats

from bench.data.records import Says, Untold, Verdict
from bench.stats.interval import CONFIDENCE, left_out

ALPHA = 0.01
"""A false alarm in any cell of a run: at most this often, if the margin is right."""

WRONGLY_CLEARED = 0.05
"""Of the cells that are called not slower, so many are expected to be as slow as is asked about, at
most."""

LEAST_ROUNDS = 6
"""Fewer have no interval: the smallest and the largest of five may both lie above the median."""

FIRST_LOOK = 16
"""Confirming rounds after which cells are looked at; the other look is at the end."""

LOOKS = 2

SPREADS = 3.7
"""How many standard deviations of the difference between identical runs the margin covers."""

WORTH_A_LOOK = math.log(1.015)
"""The screen's median from which a cell is measured again."""

FAR = 3
"""How many times as far as fixed work a cell has to move before that can't be the reason."""


@dataclass(frozen=True, slots=True)
class Spread:
    """What identical code differs by from run to run: standard deviation of log(head / base).

    The default comes from one machine, two shared cores in the cloud, and is more than recorded
    runs differ by there (tests/gate/test_replay.py). A machine's own spread can only widen it: what
    few runs show is too uncertain to narrow it, and there is little to win.
    """

    default: float = 0.005
    by_kernel: Mapping[str, float] | None = None
    runs: int = 0  # of identical code, on this machine, that the spread comes from

    def of(self, kernel: str) -> float:
        """The spread of a kernel's cells; of one that was not calibrated, the widest that was."""
        return max(self.default, (self.by_kernel or {}).get(kernel, self.widest))

    @property
    def widest(self) -> float:
        """That of the kernel that differs most."""
        return max([self.default, *(self.by_kernel or {}).values()])

    def margin(self, kernel: str, slower_than: float) -> float:
        """What a cell's rounds have to exceed before it is slower, as a log ratio: a third of the
        slowdown that is asked about, so that one of that size is found, or what identical runs
        differ by, whichever is more. For 5 % and the default spread the second is, by a little.
        """
        return max(math.log1p(slower_than / 3), SPREADS * self.of(kernel))


def worth_a_look(
    screen: Mapping[str, Sequence[float]],
    kernel_of: Mapping[str, str],
    spread: Spread,
    slower_than: float,
) -> list[str]:
    """The cells to confirm: those that moved, and those that the screen can't clear; the slowest
    first.
    """
    clear = cleared(screen, kernel_of, spread, slower_than)
    chosen = [
        cell for cell, d in screen.items() if abs(median(d)) > WORTH_A_LOOK or cell not in clear
    ]
    return sorted(chosen, key=lambda cell: -median(screen[cell]))


def affordable(cells: int, cell_rounds: float) -> int:
    """How many of so many cells to confirm, where there is time for so many rounds of one cell.

    The smallest p of n rounds is 2**-n. With more cells than this, not one of them could ever be
    found slower.
    """
    for chosen in range(cells, 1, -1):
        if 2.0 ** -(cell_rounds // chosen) <= ALPHA / LOOKS / chosen:
            return chosen
    return 1


def cleared(
    rounds: Mapping[str, Sequence[float]],
    kernel_of: Mapping[str, str],
    spread: Spread,
    slower_than: float,
) -> set[str]:
    """The cells that are not slower, as far as their rounds say.

    All that a cell's interval holds, and what runs differ by, is less than is asked about; and of
    the cells of which that is so, no more than WRONGLY_CLEARED are expected to be there by chance.
    (Benjamini, Hochberg, Controlling the false discovery rate, 1995; the signed-rank test.)
    """
    clear = {c for c in rounds if below(rounds[c], spread.of(kernel_of[c]), slower_than)}
    if not clear:
        return set()
    limit = math.log1p(slower_than)
    p = [
        _p_above_zero([limit - spread.of(kernel_of[cell]) - x for x in d])
        for cell, d in rounds.items()
    ]
    adjusted = dict(zip(rounds, stats.false_discovery_control(p), strict=True))
    return {cell for cell in clear if adjusted[cell] <= WRONGLY_CLEARED}


def below(d: Sequence[float], spread: float, slower_than: float) -> bool:
    """Whether all that the interval of rounds holds, and what runs differ by, is less than is asked
    about.
    """
    return interval(d)[1] + spread < math.log1p(slower_than)


def verdicts(
    screen: Mapping[str, Sequence[float]],
    confirm: Mapping[str, Sequence[float]],
    kernel_of: Mapping[str, str],
    spread: Spread,
    slower_than: float,
    off: float = 0.0,
) -> list[Verdict]:
    """A verdict for each cell of the screen.

    `screen` and `confirm` hold d by cell and round; `slower_than` is the slowdown that is asked
    about, 0.05 for five percent; `off` is added to each margin.
    """
    margins = {cell: spread.margin(kernel_of[cell], slower_than) + off for cell in screen}
    slower, faster = (
        first | above({c: d for c, d in shifted.items() if c not in first}, ALPHA / LOOKS)
        for shifted, first in _at_first_look(confirm, margins)
    )
    # rounds that chose a cell would make it look worse than it is
    rounds = {cell: list(confirm.get(cell) or screen[cell]) for cell in screen}
    error = ALPHA / LOOKS / max(len(confirm), 1)
    clear = cleared(rounds, kernel_of, spread, slower_than)
    return [
        _verdict(
            cell,
            kernel_of[cell],
            d,
            margins[cell],
            slower_than,
            says="slower"
            if cell in slower
            else "faster"
            if cell in faster
            else "not slower"
            if cell in clear
            else "can't tell",
            why=_why(d, spread.of(kernel_of[cell]), slower_than, error),
            error=error,
        )
        for cell, d in rounds.items()
    ]


def _why(d: Sequence[float], spread: float, slower_than: float, error: float) -> Untold:
    """Why rounds that show neither can't be told. The smallest p of n rounds is 2**-n."""
    low, high = interval(d)
    if not math.isfinite(high - low):
        return "few rounds"
    if below(d, spread, slower_than):
        return "many cells"
    if 2.0 ** -len(d) > error:
        return "few rounds"
    return "unsteady" if high - low > math.log1p(slower_than) else "near the limit"


def decided(
    confirm: Mapping[str, Sequence[float]],
    kernel_of: Mapping[str, str],
    spread: Spread,
    slower_than: float,
) -> set[str]:
    """The cells that the first look finds slower or faster: they need no more rounds."""
    margins = {cell: spread.margin(kernel_of[cell], slower_than) for cell in confirm}
    return set[str]().union(*(first for _, first in _at_first_look(confirm, margins)))


def _at_first_look(
    confirm: Mapping[str, Sequence[float]], margins: Mapping[str, float]
) -> Iterator[tuple[dict[str, list[float]], set[str]]]:
    """For slower and for faster: each cell's rounds less the margin, and who is found already."""
    for sign in (1, -1):
        shifted = {cell: [sign * x - margins[cell] for x in d] for cell, d in confirm.items()}
        there = {cell: d[:FIRST_LOOK] for cell, d in shifted.items() if len(d) >= FIRST_LOOK}
        yield shifted, above(there, ALPHA / LOOKS)


def above(shifted: Mapping[str, Sequence[float]], alpha: float) -> set[str]:
    """The cells whose rounds, less their margin, are above zero, with Holm's correction over all.

    Holm, A simple sequentially rejective multiple test procedure (1979): the smallest p against
    alpha / m, the next against alpha / (m - 1), until one fails.
    """
    p = {cell: _p_above_zero(d) for cell, d in shifted.items()}
    found: set[str] = set()
    for rejected, cell in enumerate(sorted(p, key=p.__getitem__)):
        if p[cell] > alpha / (len(p) - rejected):
            break
        found.add(cell)
    return found


def _p_above_zero(d: Sequence[float]) -> float:
    if not any(d):
        return 1.0
    return float(stats.wilcoxon(d, alternative="greater").pvalue)


def interval(d: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The interval of the median of d; unbounded with too few rounds for the confidence."""
    rank = left_out(len(d), confidence)
    if rank is None:
        return -math.inf, math.inf
    ordered = sorted(d)
    return ordered[rank], ordered[-1 - rank]


def _visible(d: Sequence[float], margin: float, error: float) -> float | None:
    """The smallest slowdown that rounds as these would have shown; None: none at all.

    As much above the margin as half the interval at the confidence that the test asks for: of
    planted slowdowns as large as that, 19 in 20 are found (bench.studies.gate_trials).
    """
    low, high = interval(d, 1 - 2 * error)
    return math.expm1(margin + (high - low) / 2) if math.isfinite(high - low) else None


def _verdict(
    cell: str,
    kernel: str,
    d: list[float],
    margin: float,
    slower_than: float,
    *,
    says: Says,
    why: Untold,
    error: float,
) -> Verdict:
    low, high = interval(d)
    known = math.isfinite(high - low)
    visible = _visible(d, margin, error)
    if says == "not slower":  # it was asked about, and it is ruled out
        visible = min(visible or slower_than, slower_than)
    told = says != "can't tell"
    return Verdict(
        cell=cell,
        kernel=kernel,
        says=says,
        change=math.expm1(median(d)),
        change_low=math.expm1(low) if known else None,
        change_high=math.expm1(high) if known else None,
        visible=visible,
        rounds=len(d),
        by="time" if told else "",
        time_says=says,
        untold="" if told else why,
    )


def untold(verdict: Verdict, why: Untold) -> Verdict:
    """The verdict of a cell that can't be told after all."""
    return replace(verdict, says="can't tell", by="", time_says="can't tell", untold=why)


class Trouble(NamedTuple):
    """Why no cell can be judged by its time: the word for a file, and the words for people."""

    why: Untold
    words: str


def trouble(
    control: Sequence[float],
    spread: Spread,
    slower_than: float,
    *,
    alike: bool = True,
) -> Trouble | None:
    """Why the run can't be judged at all, if so; it sees no cell.

    `control`: d of fixed work that is the same on both sides, a number a round. `alike`: both
    sides run on the same packages. Else NumPy itself may do the fixed work at another speed, and
    only its steadiness is looked at.
    """
    if len(control) < LEAST_ROUNDS:
        return Trouble("few rounds", f"{len(control)} rounds are too few to judge by")
    low, high = interval(control if alike else [d - median(control) for d in control])
    if max(high, -low) > math.log1p(slower_than):
        if low > 0 or high < 0:
            return Trouble("fixed work moved", moved_by(control))
        unsteady = "fixed work that is the same on both sides is too unsteady to judge by"
        return Trouble("fixed work unsteady", unsteady)
    return None


def moved(control: Sequence[float], spread: Spread) -> float:
    """How far fixed work that is the same on both sides has moved, as a log ratio, if it surely
    has; else 0. `control` as for `trouble`.

    It may be the machine, or a neighbour of one arm. It may be the kernels as well: the work comes
    after theirs, and what they leave in the caches and of the clock is not the same.
    """
    low, high = interval(control)
    return max(high, -low) if low > spread.widest or high < -spread.widest else 0.0


def moved_by(control: Sequence[float]) -> str:
    """In words: how far fixed work has moved."""
    by = 100 * math.expm1(median(control))
    return f"fixed work that is the same on both sides moved by {by:+.1f}%"


def outcome(verdicts: Sequence[Verdict], problem: str | None) -> Says:
    """What the run says as a whole: the worst of its verdicts."""
    if problem is not None:
        return "can't tell"
    said = {"not slower" if verdict.accepted else verdict.says for verdict in verdicts}
    for worst in ("slower", "can't tell", "not slower"):
        if worst in said:
            return worst
    return "faster" if said else "can't tell"
