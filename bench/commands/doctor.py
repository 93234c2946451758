"""`python -m bench doctor`: what can run on this machine, and what to do about the rest."""

from typing import Annotated

import typer

from bench import session
from bench.terminal import streams
from bench.terminal.errors import BadInput


def doctor(
    kernel: Annotated[
        list[str] | None, typer.Option(help="A kernel that you want to run; may be repeated.")
    ] = None,
    device: Annotated[
        int | None, typer.Option(help="The GPU that you want to use, from 0.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,  # noqa: FBT002
) -> None:
    """Say what can run on this machine and, for each thing that can't, why and what to do.

    Exit codes: 0 everything that you asked for can run (without an option: everything that this
    machine has the hardware for); 1 something can't; 2 bad input.
    """
    from bench.doctor import diagnose, observe, show
    from bench.doctor.seen import Asked
    from bench.measure import visit
    from bench.worker.limits import usable_cores

    if device is not None and device < 0:
        raise BadInput(f"--device is {device}, should be 0 or more")
    threads = usable_cores()
    worker = visit.software(threads)
    names = session.absolute(kernel or [])
    for name in names:
        session.refuse_unknown(name, worker.kernels)
    asked = Asked(tuple(names), device)
    seen = observe.observe(asked, worker, threads, session.kept(session.PEAKS))
    findings = [*show.packages(), *diagnose.diagnose(seen, asked)]
    if json:
        streams.product(f"{show.as_json(findings, observe.as_record(seen))}\n")
    else:
        streams.console().print(show.as_table(findings))
        streams.console().print(f"\n{show.conclusion(findings)}", markup=False, soft_wrap=True)
    streams.product()
    raise typer.Exit(0 if diagnose.can_run(findings) else 1)
