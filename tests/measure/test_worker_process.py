"""A worker's process and its keeper: whatever a kernel does to them, nothing of it is left."""

import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from troublemakers import FILE, TROUBLES

from bench import ROOT
from bench.measure import visit, worker_process
from bench.plan.case import Case
from bench.plan.cell import Cell
from bench.terminal.errors import BadInput
from bench.worker import environment, keeper, messages


@pytest.fixture
def family(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[psutil.Process]]:
    """All processes that are below the workers of this test, or were."""
    return marked(monkeypatch)


def marked(patch: pytest.MonkeyPatch) -> Callable[[], list[psutil.Process]]:
    """Mark what is started from now on -> what of it lives."""
    token = uuid.uuid4().hex
    patch.setenv("FAMILY", token)

    def living() -> list[psutil.Process]:
        found = psutil.process_iter(["environ", "status", "cmdline"])
        ours = [p for p in found if (p.info["environ"] or {}).get("FAMILY") == token]
        # the judge stays, for the next visit
        return [p for p in ours if "bench.judge.server" not in p.info["cmdline"]]

    return living


@pytest.fixture
def visitor() -> Iterator[visit.Visitor]:
    with visit.Visitor(threads=1, seed=0, limit_s=0.1) as visitor:
        yield visitor


@pytest.fixture(scope="module")
def lasting() -> Iterator[tuple[visit.Visitor, Callable[[], list[psutil.Process]]]]:
    """One whose workers are started anew only where they have to be, and what lives below it."""
    with (
        pytest.MonkeyPatch.context() as patch,
        visit.Visitor(threads=1, seed=0, limit_s=0.1) as visitor,
    ):
        living = marked(patch)
        yield visitor, living
        visitor.respawn()
        assert living() == []


def cell(trouble: str) -> Cell:
    case = Case(6, 5, TROUBLES.index(trouble) + 1, "float32", "relu")
    return Cell(str(FILE), case, 0, 1, "warm")


def until(true: Callable[[], object], limit_s: float = 10.0) -> bool:
    ends = time.monotonic() + limit_s
    while not true() and time.monotonic() < ends:
        time.sleep(0.02)
    return bool(true())


@pytest.mark.parametrize(
    ("trouble", "status", "reason"),
    [
        ("segfault", "crashed", "the worker died: killed by SIGSEGV"),
        ("leave", "crashed", "the worker died: exit code 3; it last printed: a last word"),
        ("sys_exit", "crashed", "exit code 1; it last printed: enough"),
        ("be_killed", "crashed", "killed by SIGKILL; perhaps memory ran out"),
        ("use_up_time", "crashed", "killed by SIGXCPU; its CPU time was up: raise the limit"),
        ("nameless_signal", "crashed", "killed by signal 36"),
        ("kill_group", "crashed", "killed by SIGKILL"),
        ("reserve", "out_of_memory", "Unable to allocate 256. MiB"),
        ("chatter", "ok", ""),
        ("chatter_and_die", "crashed", "killed by SIGABRT; it last printed: the end"),
        ("close_stdin", "ok", ""),
        ("read_stdin", "error", "EOFError"),
        ("close_stdout", "ok", ""),
        ("close_all", "crashed", "the worker died: exit code 1; it last printed: OSError: "),
        ("babble", "crashed", "the worker answered b'hello\\n'"),
        ("idle_child", "ok", ""),
        ("orphans", "error", "it left a process running"),
        ("orphans_and_die", "crashed", "killed by SIGABRT"),
        ("fork_and_die", "crashed", "killed by SIGABRT"),
    ],
)
def test_trouble_is_named_in_one_line_and_nothing_of_it_is_left(
    trouble: str,
    status: str,
    reason: str,
    lasting: tuple[visit.Visitor, Callable[[], list[psutil.Process]]],
) -> None:
    visitor, family = lasting
    row, blocks = visitor.visit(cell(trouble), 1, 1, None)
    assert (row.status, bool(blocks)) == (status, status == "ok")
    assert reason in row.reason
    assert "\n" not in row.reason
    after, _ = visitor.visit(cell("nothing"), 2, 1, None)
    assert after.status == "ok"
    # a child may stay until its worker ends, and so do streams that are closed
    if trouble in ("idle_child", "close_stdin", "close_stdout"):
        visitor.respawn()
        assert family() == []
    else:
        assert len(family()) == 2  # the keeper and the worker


@pytest.mark.parametrize("trouble", ["loop", "deadlock"])
def test_a_kernel_that_never_answers_is_ended(
    trouble: str,
    visitor: visit.Visitor,
    family: Callable[[], list[psutil.Process]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    visitor.load(str(FILE))
    monkeypatch.setattr(visit, "PATIENCE_S", -2.8)  # 0.2 s with what the limit adds
    row, _ = visitor.visit(cell(trouble), 1, 1, None)
    assert row.status == "timeout"
    said = "; it last printed: about to wait for myself" if trouble == "deadlock" else ""
    assert row.reason == f"no answer to open in 0 s{said}"
    assert family() == []


def test_a_worker_that_hangs_up_without_dying_is_ended(
    visitor: visit.Visitor,
    family: Callable[[], list[psutil.Process]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    visitor.load(str(FILE))
    monkeypatch.setattr(worker_process, "GRACE_S", 0.3)
    row, _ = visitor.visit(cell("close_all_and_stay"), 1, 1, None)
    assert (row.status, row.reason) == ("crashed", "the worker closed its connection")
    assert family() == []


def test_busy_processes_that_a_kernel_leaves_end_with_the_visit_and_idle_ones_with_the_worker(
    visitor: visit.Visitor, family: Callable[[], list[psutil.Process]]
) -> None:
    visitor.visit(cell("orphans"), 1, 1, None)
    assert family() == []
    visitor.visit(cell("idle_child"), 2, 1, None)
    assert "sleep" in [process.name() for process in family()]
    visitor.respawn()
    assert family() == []


def test_what_a_kernel_prints_goes_to_no_file(
    visitor: visit.Visitor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    written = psutil.Process().io_counters().write_bytes
    row, _ = visitor.visit(cell("chatter"), 1, 1, None)  # over half a megabyte a launch
    assert row.status == "ok"
    assert list(tmp_path.iterdir()) == []
    assert psutil.Process().io_counters().write_bytes - written < 2**19


def test_a_reply_without_end_is_not_waited_for(
    visitor: visit.Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor.load(str(FILE))
    monkeypatch.setattr(worker_process, "MOST_BYTES", 4)
    row, _ = visitor.visit(cell("nothing"), 1, 1, None)
    assert (row.status, row.reason) == ("crashed", "the worker answered b'{\"ty'")


def test_a_reply_to_another_question_is_the_kernels_trouble() -> None:
    with pytest.raises(worker_process.WorkerLost, match="out of turn: Loaded"):
        visit._refused(messages.Loaded("", ""))


def test_a_machine_that_allows_no_more_processes_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with pytest.raises(BadInput, match=r"can't start a process: .*: raise the limit on processes"):
        worker_process.WorkerProcess(1)


def test_a_process_that_may_open_no_more_files_loses_that_visit_alone(
    visitor: visit.Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(socket, "socketpair", refuse)
        row, _ = visitor.visit(cell("nothing"), 1, 1, None)
    assert row.status == "crashed"
    assert row.reason == (
        "can't start a process: Too many open files: raise the limit on open files (ulimit -n)"
    )
    assert visitor.visit(cell("nothing"), 2, 1, None)[0].status == "ok"


def test_a_thread_that_cannot_start_in_a_worker_has_the_remedy_too() -> None:
    refused = visit._refused(messages.Refused("error", "RuntimeError: can't start new thread"))
    assert refused.reason.endswith(
        "can't start new thread; raise the limit on processes and"
        " threads (ulimit -u, or the container's pids limit)"
    )


def test_a_worker_that_cannot_start_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "ROOT", Path("/nonesuch"))
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    with pytest.raises(BadInput, match=r"no worker can start: .* No module named"):
        visit.software(1)


def test_when_the_harness_is_killed_nothing_stays(
    family: Callable[[], list[psutil.Process]],
) -> None:
    code = (
        "from bench.measure.judge_process import JudgeProcess;"
        "from bench.measure.worker_process import WorkerProcess;"
        "from bench.plan.case import Case;"
        "from bench.worker.messages import AskSoftware;"
        "judge = JudgeProcess(1, 0); judge.lend(Case(6, 5, 4, 'float32', 'relu'), None);"
        "worker = WorkerProcess(1); worker.call(AskSoftware(), 60);"
        "print(judge._process.pid); input()"
    )
    command = [sys.executable, "-c", code]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, cwd=ROOT) as harness:
        assert harness.stdout is not None
        judge = int(harness.stdout.readline())
        assert len(family()) == 3
        assert psutil.pid_exists(judge)
        harness.kill()
    assert until(lambda: not family() and not psutil.pid_exists(judge))


def test_when_the_keeper_is_killed_the_worker_ends(
    family: Callable[[], list[psutil.Process]],
) -> None:
    worker = worker_process.WorkerProcess(1)
    worker.call(messages.AskSoftware(), 60)
    worker._keeper.kill()
    assert until(lambda: not family())
    with pytest.raises(worker_process.WorkerLost, match="killed by SIGKILL"):
        worker.call(messages.AskSoftware(), 60)


def test_a_keeper_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "GRACE_S", 0.1)
    worker = worker_process.WorkerProcess(1)
    worker.call(messages.AskSoftware(), 60)
    worker._keeper.send_signal(signal.SIGSTOP)
    assert worker.kill() == b""
    assert worker.kill() == b""  # a second time does no harm


def test_only_the_last_that_was_printed_is_kept() -> None:
    printed, sink = os.pipe()
    os.write(sink, b"x" * 9000 + b"end")
    os.close(sink)
    last = bytearray(b"before")
    keeper._keep_last(printed, last)
    os.close(printed)
    assert last == b"x" * (keeper.LAST_BYTES - 3) + b"end"


def test_linux_shall_take_a_worker_before_the_harness() -> None:
    worker = worker_process.WorkerProcess(1)
    worker.call(messages.AskSoftware(), 60)
    (process,) = psutil.Process(worker._keeper.pid).children()
    assert Path(f"/proc/{process.pid}/oom_score_adj").read_text() == "1000\n"
    worker.kill()


@pytest.mark.parametrize(
    ("breaks", "said"),
    [
        ("threading.Thread.start = no_thread", "can't start new thread"),
        ("os.fork = no_more", "can't start a process (Resource temporarily unavailable)"),
        ("os.fork = last_words", "OpenBLAS: Resource temporarily unavailable"),
    ],
)
def test_a_limit_on_processes_or_threads_is_named_with_the_remedy(
    breaks: str, said: str, tmp_path: Path
) -> None:
    code = (
        "import errno, os, runpy, sys, threading\n"
        'def no_thread(*_): raise RuntimeError("can\'t start new thread")\n'
        "def no_more(*_): raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))\n"
        "def last_words():\n"
        "    print('OpenBLAS: Resource temporarily unavailable\\nmore', flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
        f"{breaks}\n"
        "runpy.run_module('bench.worker.keeper', run_name='__main__')"
    )
    (tmp_path / "keeper.py").write_text(code)
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} {tmp_path}/keeper.py "$4" "$5"\n')
    python.chmod(0o755)
    process = worker_process.WorkerProcess(1, python=str(python))
    with pytest.raises(worker_process.WorkerLost) as lost:
        process.call(messages.AskSoftware(), 20.0)
    assert f"; it printed: {said}; raise the limit on processes and threads" in str(lost.value)


@pytest.mark.parametrize(
    ("last", "status"),
    [
        (
            "OpenBLAS error: Memory allocation still failed after 10 retries, giving up.",
            "out_of_me",
        ),
        ("terminate called after throwing an instance of 'std::bad_alloc'", "out_of_memory"),
        ("something else", "crashed"),
    ],
)
def test_a_worker_that_memory_ended_is_out_of_memory(
    last: str, status: str, tmp_path: Path
) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho "{last}"\nexit 1\n')
    python.chmod(0o755)
    process = worker_process.WorkerProcess(1, python=str(python))
    with pytest.raises(worker_process.WorkerLost) as lost:
        process.call(messages.AskSoftware(), 20.0)
    assert lost.value.status.startswith(status)
