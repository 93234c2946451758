"""The process between a Dask worker and a run: it ends the run, and all that the run has started,
when the worker asks it to (SIGTERM) and when the worker is no more, however that died.

Started as `python -m bench.fleet.child PARENT run ...`; what follows the parent's number is the
command's, whose exit code it takes over.
"""

import os
import signal
import subprocess
import sys
import time
from typing import NoReturn

from bench.worker import keeper

STEP_S = 0.2
"""How often run and worker are looked at."""


def main(parent: int, arguments: list[str]) -> NoReturn:
    """Run the command for as long as the parent lives."""
    keeper.linux(keeper.PR_SET_CHILD_SUBREAPER, 1)
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    run = subprocess.Popen([sys.executable, "-m", "bench", *arguments])
    while (code := run.poll()) is None and not asked and os.getppid() == parent:
        time.sleep(STEP_S)
    keeper.end_all(run.pid)
    sys.exit(128 - code if code is not None and code < 0 else code)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
