"""A process of its own: what it says, how it ends, and that it is ended."""

import os
import signal
import sys
import tempfile
import time

import pytest

from bench.machine import isolated


def python(code: str, timeout_s: float = 20.0) -> isolated.Ended:
    return isolated.run([sys.executable, "-c", code], timeout_s)


def test_what_it_says_and_its_exit_code() -> None:
    ended = python("import sys; print('out'); sys.exit('it\\nfailed')")
    assert ended == isolated.Ended(1, "out\n", "it\nfailed\n")
    assert ended.how == "ended with exit code 1: failed"


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's files in memory")
def test_it_needs_no_temporary_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> None:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "TemporaryFile", nowhere)
    assert python("print('out')").out == "out\n"


def test_one_that_says_nothing() -> None:
    assert python("import os; os._exit(3)").how == "ended with exit code 3: nothing said"


@pytest.mark.parametrize(
    ("number", "name"), [(signal.SIGSEGV, "SIGSEGV"), (signal.SIGRTMIN + 3, "signal 37")]
)
def test_one_that_is_killed(number: int, name: str) -> None:
    ended = python(f"import os; os.kill(os.getpid(), {int(number)})")
    assert ended.how == f"was killed by {name}"


def test_one_that_hangs_is_ended_and_watched_meanwhile() -> None:
    seen: list[float] = []
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    ended = isolated.run([sys.executable, "-c", code], 0.5, watch=lambda: seen.append(time.time()))
    assert (ended.code, ended.how) == (None, "hung")
    assert len(seen) > 1
    with pytest.raises(ProcessLookupError):
        os.kill(int(ended.out), 0)


def test_much_output_does_not_block_it() -> None:
    assert len(python("print('x' * 2**20)").out) == 2**20 + 1


def test_it_ends_with_the_one_who_waits_for_it() -> None:
    class Stop(Exception):
        pass

    pids: list[int] = []

    def stop() -> None:
        import psutil

        pids.extend(child.pid for child in psutil.Process().children())
        raise Stop

    with pytest.raises(Stop):
        isolated.run([sys.executable, "-c", "import time; time.sleep(60)"], 20, watch=stop)
    assert pids
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_the_environment_is_the_callers_or_the_one_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GREETING", "hello")
    code = [sys.executable, "-c", "import os; print(os.environ.get('GREETING'))"]
    assert isolated.run(code, 20).out == "hello\n"
    assert isolated.run(code, 20, environment={"GREETING": "moin"}).out == "moin\n"
