"""What does a fleet make of a host that drops off the network in the middle of its run?

Four network namespaces with an address each, on one bridge with the scheduler and the fleet: hosts
for Dask, and for the fleet by name, while the machine below them is one. In each a real Dask
worker and a real `bench run`. The third host's link is taken down as its run begins, and is put up
again with a new worker once the fleet has ended; then the fleet goes on. Needs root and iproute2.

    python -m bench.studies.fleet_network
"""

import csv
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

from bench import ROOT
from bench.fleet import hosts
from bench.studies import write

BRIDGE, NET, PORT = "fleetbr", "10.87.53", 8786
NUMBERS = (1, 2, 3, 4)
CUT = 3
TINY = ["--kernel", "numpy_matmul", "--widths", "64", "--batches", "1", "--budget", "20s"]
"""Long enough for the cut to come in the middle."""

SCHEDULER = f"tcp://{NET}.254:{PORT}"
LONGEST_S = 300.0


def address(number: int) -> str:
    return f"{NET}.{number}"


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


@contextmanager
def network() -> Iterator[None]:
    """The bridge and the namespaces, gone again in the end."""
    with ExitStack() as undo:
        ip("link", "add", BRIDGE, "type", "bridge")
        undo.callback(ip, "link", "del", BRIDGE)
        ip("addr", "add", f"{NET}.254/24", "dev", BRIDGE)
        ip("link", "set", BRIDGE, "up")
        for number in NUMBERS:
            space = f"fleet{number}"
            ip("netns", "add", space)
            undo.callback(ip, "netns", "del", space)
            ip("link", "add", f"{space}o", "type", "veth", "peer", "name", "eth0", "netns", space)
            ip("link", "set", f"{space}o", "master", BRIDGE, "up")
            ip("-n", space, "addr", "add", f"{address(number)}/24", "dev", "eth0")
            ip("-n", space, "link", "set", "eth0", "up")
            ip("-n", space, "link", "set", "lo", "up")
        yield


def scheduler() -> subprocess.Popen[bytes]:
    where = ["--host", f"{NET}.254", "--port", str(PORT), "--no-dashboard"]
    return quiet([sys.executable, "-m", "distributed.cli.dask_scheduler", *where])


def worker(number: int, folder: Path) -> subprocess.Popen[bytes]:
    """A worker on a host, as `dask worker` is by default: with a nanny."""
    inside = ["ip", "netns", "exec", f"fleet{number}", sys.executable]
    options = ["--no-dashboard", "--nthreads", "1", "--local-directory", str(folder / str(number))]
    command = [*inside, "-m", "distributed.cli.dask_worker", SCHEDULER, *options]
    return quiet(command, BENCH_HOST=address(number))


def quiet(command: list[str], **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def fleet(*options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "bench", "fleet", "--scheduler", SCHEDULER, *options]
    return subprocess.Popen(command, cwd=ROOT, stdout=sys.stderr)


def measuring(host: psutil.Process) -> bool:
    """Whether a host's worker has a run."""
    try:
        below = host.children(recursive=True)
        return any("bench.fleet.child" in " ".join(process.cmdline()) for process in below)
    except psutil.NoSuchProcess:
        return False


def rows(out: Path) -> dict[str, dict[str, str]]:
    path = out / hosts.TABLE
    if not path.exists():
        return {}
    with path.open(encoding="utf-8") as file:
        return {row["host"]: row for row in csv.DictReader(file)}


def after(began_s: float, true: object) -> float:
    """Seconds from then on until it is so."""
    assert callable(true)
    while not true():
        time.sleep(0.1)
        if time.monotonic() - began_s > LONGEST_S:
            return float("nan")
    return time.monotonic() - began_s


def main() -> None:
    """Write results/studies/fleet_network.csv, print it."""
    with tempfile.TemporaryDirectory() as name, network(), ExitStack() as processes:
        folder, out = Path(name), Path(name) / "fleet"
        started = [scheduler(), *(worker(number, folder) for number in NUMBERS)]
        for process in started:
            processes.callback(process.wait)
            processes.callback(process.terminate)
        cut = psutil.Process(started[CUT].pid)
        running = fleet(*TINY, "--out", str(out), "--hosts", "4", "--wait", "20s")
        after(time.monotonic(), lambda: measuring(cut))
        time.sleep(5.0)
        ip("link", "set", f"fleet{CUT}o", "down")
        down_s = time.monotonic()
        told_s = after(down_s, lambda: rows(out).get(address(CUT), {}).get("reason"))
        reason = rows(out)[address(CUT)]["reason"]
        ended_s = after(down_s, lambda: not measuring(cut))
        code = running.wait()
        first = rows(out)
        ip("link", "set", f"fleet{CUT}o", "up")
        again = worker(CUT, folder / "again")
        processes.callback(again.wait)
        processes.callback(again.terminate)
        resumed = fleet("--resume", str(out), "--wait", "60s").wait()
        last = rows(out)
    write(
        "fleet_network",
        [
            {
                "host": address(number),
                "cut_off": int(number == CUT),
                "status": first[address(number)]["status"],
                "tries": first[address(number)]["tries"],
                "reason": reason if number == CUT else "",
                "told_after_s": told_s if number == CUT else "",
                "run_ended_after_s": ended_s if number == CUT else "",
                "exit_code": code,
                "status_resumed": last[address(number)]["status"],
                "exit_code_resumed": resumed,
            }
            for number in NUMBERS
        ],
    )
    print((ROOT / "results" / "studies" / "fleet_network.csv").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
