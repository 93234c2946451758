"""Whose processes use a device."""

import os
import subprocess
import sys

from bench import ROOT
from bench.worker import other_processes

KEEPER = "import subprocess, sys; subprocess.run([sys.executable, '-c', *sys.argv[1:]], check=True)"
WORKER = """
import os, sys
from bench.worker import other_processes
sibling, ended, harness, stranger = map(int, sys.argv[1:])
users = {os.getpid(): 0.5, sibling: 0.2, ended: 0.1, harness: 0.25, stranger: 0.125}
print(other_processes.share(users))
"""


def test_what_the_harness_started_is_of_this_run_and_the_rest_is_not() -> None:
    here = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with here as sibling, subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
        numbers = map(str, (sibling.pid, ended.pid, os.getpid(), os.getppid()))
        command = [sys.executable, "-c", KEEPER, WORKER, *numbers]
        said = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=True, start_new_session=True
        )
        sibling.communicate(b"\n")
    # the harness itself runs no kernel: what it uses is somebody's who started a run from within
    assert float(said.stdout) == 0.375


def test_where_the_driver_tells_nothing_nothing_is_claimed() -> None:
    assert other_processes.share({}) == 0.0
    assert other_processes.share(None) is None
