"""`python -m bench kernels`: the kernels, and whether each runs here."""

from typing import Annotated

import typer

from bench import session
from bench.terminal import streams


def kernels(
    kernel: Annotated[
        list[str] | None, typer.Option(help="This kernel only; may be repeated.")
    ] = None,
    device: Annotated[int, typer.Option(help="Number of the GPU, from 0.")] = 0,
) -> None:
    """List the kernels, whether each runs on this machine, and if not, why."""
    from rich.table import Table
    from rich.text import Text

    from bench.measure import visit
    from bench.plan.cell import called
    from bench.terminal.text import plain
    from bench.worker import messages
    from bench.worker.limits import usable_cores

    threads = usable_cores()
    shown = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("kernel", "runs here", "what it is, or why it does not run"):
        shown.add_column(heading, overflow="fold")
    known = visit.software(threads).kernels
    for name in session.absolute(kernel or []) or known:
        session.refuse_unknown(name, known)
        summary, verdict = visit.describe(name, device, threads)
        here, said, colour = "yes", summary, "green"
        if isinstance(verdict, messages.Refused):
            here, said, colour = verdict.status, verdict.reason, "yellow"
        shown.add_row(Text(plain(called(name))), Text(here, colour), Text(plain(said)))
    streams.console().print(shown)
    streams.product()
