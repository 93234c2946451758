"""What each kernel would take for a layer that was not measured, as `predict` prints it."""

from collections.abc import Mapping

from rich import box
from rich.table import Table
from rich.text import Text

from bench.plan.case import Case
from bench.stats.prediction import CostModel, Predicted
from bench.terminal import units
from bench.terminal.text import plain

CAPTION = (
    "from a model of the cost (overhead, arithmetic, memory) fitted to this run's cells; how sure:"
    " its errors on cells that were left out of the fit, in the middle and for nine tenths of them"
)
OUTSIDE = "outside what was measured: an extrapolation, which may be far off"


def table(case: Case, models: Mapping[tuple[str, str], CostModel]) -> Table:
    """A row a kernel and device, the fastest first."""
    shown = Table(header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    parts = ("overhead", "arithmetic", "memory")
    shown.add_column("kernel", overflow="fold")
    for heading in ("one launch", "90 % interval", "measured", *parts, "how sure"):
        shown.add_column(heading, justify="right", no_wrap=True)
    answers = {key: model.predict(case) for key, model in models.items()}
    for (kernel, device), answer in sorted(answers.items(), key=lambda item: item[1].seconds):
        where = "" if device == "cpu" else f" ({device.split(' at ')[0]})"
        shown.add_row(
            Text(plain(kernel + where)),
            units.si(answer.seconds, "s"),
            interval(answer),
            "" if answer.measured is None else units.si(answer.measured, "s"),
            *(f"{100 * answer.parts[part]:.0f} %" for part in parts),
            error(models[kernel, device]),
        )
    return shown


def interval(answer: Predicted) -> str:
    """From where to where, and whether that is an extrapolation."""
    if answer.low is None or answer.high is None:
        return "too few cells"
    ends = f"{units.si(answer.low, 's')} to {units.si(answer.high, 's')}"
    return ends if answer.inside else f"{ends} (outside)"


def error(model: CostModel) -> str:
    """The errors of cells that were left out, in words."""
    if not model.errors:
        return "too few cells to tell"
    return f"{100 * model.middle_error:.0f} %, {100 * model.large_error:.0f} %"
