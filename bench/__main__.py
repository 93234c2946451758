"""`python -m bench`: the commands put together, and what becomes of whatever goes wrong in one."""

import os
import signal
import sys
import tempfile
import traceback
import warnings
from pathlib import Path
from typing import NoReturn

from bench.terminal import needs

try:
    import typer

    from bench import ROOT
    from bench.commands import doctor, fleet, gate, kernels, merge, plot, predict, report, run
    from bench.history import command as history
    from bench.terminal import signals, streams
    from bench.terminal.errors import BadInput, of_system
except ModuleNotFoundError as error:
    needs.stop(error, "".join(sys.argv[1:2]))

app = typer.Typer(
    help="One dense layer, A_out = g(A_in @ W + b), written several ways and timed here.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (
    run.run,
    plot.plot,
    report.report,
    predict.predict,
    merge.merge,
    gate.gate,
    kernels.kernels,
    doctor.doctor,
):
    app.command()(command)
app.command(context_settings=fleet.SETTINGS)(fleet.fleet)
app.add_typer(history.app, name="history")


def main() -> NoReturn:
    """Run a command; whatever the user got wrong is one line on stderr and exit code 2."""
    streams.replace()
    with signals.raised():
        try:
            _refuse_names()
            code = app(standalone_mode=False)
        except typer.TyperException as error:
            said = error.format_message() if hasattr(error, "format_message") else str(error)
            _fail(" ".join(said.split()))
        except BadInput as error:
            _fail(str(error))
        except signals.Stop as stop:
            print(f"stopped: {stop}", file=sys.stderr)
            code = stop.code
        except typer.Abort:
            code = 130
        except MemoryError as error:
            said = " ".join(str(error).split())
            _fail(
                f"out of memory{f': {said}' if said else ''}: end other programs, or ask for less"
            )
        except Exception as error:  # noqa: BLE001 - Python would exit with 1: a slower kernel, or a wrong one
            _unforeseen(error)
    sys.exit(code or 0)


def _unforeseen(error: Exception) -> NoReturn:
    """A package that is not installed, what the system says, or a mistake in the program itself."""
    if isinstance(error, ModuleNotFoundError) and error.name in needs.KNOWN:
        needs.stop(error, "".join(sys.argv[1:2]))
    if isinstance(error, OSError) and (why := of_system(error)) is not None:
        _fail(why)
    traceback.print_exc()
    _fail("this is a bug in the program: please report it, with the lines above")


def _refuse_names() -> None:
    """Raise BadInput for names that can't be written down: Python reads a name's bytes by the
    locale, which may be ASCII; and they may be no UTF-8.
    """
    try:
        here = str(Path.cwd())
    except FileNotFoundError as error:
        raise BadInput("the working directory is gone: change to one that is there") from error
    for name in (*sys.argv, str(ROOT), here):
        try:
            name.encode()
        except UnicodeEncodeError as error:
            encoding = sys.getfilesystemencoding().upper()
            remedy = f"can't be read in this locale ({encoding}): set PYTHONUTF8=1"
            if encoding == "UTF-8":
                remedy = "is a name that is not in UTF-8: rename it"
            readable = os.fsencode(name).decode(errors="replace")
            raise BadInput(f"{readable} {remedy}") from error


def _fail(said: str) -> NoReturn:
    from bench.terminal.text import plain

    print(f"error: {plain(said)}", file=sys.stderr)
    sys.exit(2)


def _begin() -> None:
    """Be free of what the process that started this one has left to it."""
    # what libraries remark on is for developers, whom the tests tell; PYTHONWARNINGS=error would
    # make errors of it
    warnings.simplefilter("ignore")
    # ignored, it would hide how processes end; blocked, signals would end none
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    # some containers have no folder for temporary files that can be written but this one
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        tempfile.tempdir = "/dev/shm"  # noqa: S108 - nothing secret is put there
    # no product is computed here; and OpenBLAS, where it can start no threads, raises SIGINT
    os.environ["OPENBLAS_NUM_THREADS"] = "1"


if __name__ == "__main__":
    _begin()
    main()
