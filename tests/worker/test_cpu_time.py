"""CPU time that a kernel's own processes use is the kernel's."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.worker import cpu_time

BUSY = "import time\nend = time.process_time() + 0.2\nwhile time.process_time() < end: pass\n"


@pytest.mark.skipif(not cpu_time.PROC.exists(), reason="needs Linux's /proc")
def test_a_child_counts_while_it_runs_and_when_it_has_ended() -> None:
    before = cpu_time.with_children_s() - time.process_time()
    command = [sys.executable, "-c", f"{BUSY}print(flush=True)\ninput()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        running = cpu_time.with_children_s() - time.process_time() - before
        child.communicate(b"\n")
    ended = cpu_time.with_children_s() - time.process_time() - before
    assert running >= 0.2
    assert ended >= 0.2


def test_where_the_system_does_not_say_this_process_counts_alone(tmp_path: Path) -> None:
    assert cpu_time.with_children_s(tmp_path) >= time.process_time() - 1e-3
