"""One sweep on every host of a Dask cluster, whatever happens to hosts, network and scheduler.

The cluster is real and the runs are stubs (tests/doubles/fleets.py); the campaign has real runs.
"""

import csv
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from campaign import campaign
from commands import bench, refused
from fleets import Checkout, Cluster, alive, fill_disk, wait_until

from bench.fleet import hosts, merge
from bench.terminal import needs

if needs.lacking(["distributed"]):
    pytest.skip("needs distributed: make test installs it", allow_module_level=True)

from bench.fleet.cluster import RESOURCE


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes seconds so that clusters are left in peace takes tenths."""
    monkeypatch.setattr("bench.fleet.run.STEP_S", 0.05)
    monkeypatch.setattr("bench.fleet.run.LOOK_S", 0.1)
    monkeypatch.setattr("bench.fleet.run.SILENT_S", 2.0)
    monkeypatch.setattr("bench.fleet.hosts.PAUSE_S", 0.1)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "checkout")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path / "cluster") as started:
        yield started


def options(cluster: Cluster, checkout: Checkout, out: Path, *more: str) -> list[str]:
    where = ["--scheduler", cluster.address, "--checkout", str(checkout.folder)]
    return [*where, "--sweep", "quick", "--budget", "1s", "--out", str(out), *more]


def rows(out: Path) -> dict[str, dict[str, str]]:
    if not (out / hosts.TABLE).exists():
        return {}
    with (out / hosts.TABLE).open(encoding="utf-8") as file:
        return {row["host"]: row for row in csv.DictReader(file)}


def members(out: Path) -> list[str]:
    """The hosts whose run is in the folder, each read whole."""
    if not any(out.glob("[!.]*/visits.csv")):
        return []
    return sorted(member.host for member in merge.read([out]))


@contextmanager
def meanwhile(*steps: Callable[[], None]) -> Iterator[None]:
    """What happens to the cluster while the fleet runs in this process."""
    troubles: list[BaseException] = []

    def happens(step: Callable[[], None]) -> None:
        try:
            step()
        except BaseException as error:  # noqa: BLE001 - raised again below
            troubles.append(error)

    threads = [threading.Thread(target=happens, args=[step]) for step in steps]
    for thread in threads:
        thread.start()
    yield
    for thread in threads:
        thread.join()
    assert troubles == []


def test_each_trouble_costs_its_own_row(
    cluster: Cluster,
    checkout: Checkout,
    tmp_path: Path,
    impatient: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One host is fine, one dies and comes back, one hangs and then has a full disk to the end, one
    has a full disk and another worker on another one.
    """
    monkeypatch.setattr("bench.fleet.hosts.TRIES", 2)
    monkeypatch.setattr("bench.fleet.hosts.PAUSE_S", 0.5)
    for host, does in {"a": "good", "b": "hang", "c": "hang", "d": "good"}.items():
        checkout.tell(host, does)
    victim = cluster.worker("b")
    full = cluster.worker("d", resources=f"{RESOURCE}=1")
    for host in ("a", "c"):
        cluster.worker(host)
    cluster.worker("d", "d elsewhere")
    cluster.registered("a", "b", "c", "d", "d elsewhere")
    fill_disk(full)
    out = tmp_path / "out"

    def killed() -> None:
        wait_until(lambda: checkout.began("b"))
        checkout.tell("b", "good")
        victim.kill()
        (pid, *_) = checkout.began("b")[0].split()
        wait_until(lambda: not alive(int(pid)))
        cluster.worker("b", "b again")

    def hung() -> None:
        wait_until(lambda: rows(out).get("c", {}).get("reason"))
        checkout.tell("c", "say error: the disk is full\n")

    with meanwhile(killed, hung):
        done = bench("fleet", *options(cluster, checkout, out, "--limit=4", "--hosts=4"))
    assert done.code == 1, done
    table = rows(out)
    assert {host: row["status"] for host, row in table.items()} == {
        **dict.fromkeys("abd", "back"),
        "c": "failed",
    }
    assert [table[host]["tries"] for host in "abcd"] == ["1", "2", "2", "2"]
    assert "c: it hung: no end after 4 s, and was ended (try 1 of 2)" in done.err
    assert table["c"]["reason"] == "the disk is full"
    assert "c has no run: the disk is full" in done.out
    assert "b: its worker left the cluster" in done.err
    assert "File too large" in done.err
    assert members(out) == ["a", "b", "d"]
    assert len((out / merge.TABLE).read_text().splitlines()) == 4
    assert checkout.processes() == []
    assert not [path.name for path in out.iterdir() if path.name.endswith(".half")]

    checkout.tell("c", "good")
    where = ["--scheduler", cluster.address, "--checkout", str(checkout.folder)]
    again = bench("fleet", *where, "--resume", str(out))
    assert again.code == 0, again
    assert members(out) == ["a", "b", "c", "d"]
    assert [len(checkout.began(host)) for host in "ad"] == [1, 2]
    assert "4 of 4 hosts have a run" in again.out
    arguments = checkout.began("c")[-1]
    assert "--sweep quick --budget 1s --out" in arguments
    assert arguments.endswith(" --no-charts")


def test_a_lost_scheduler_costs_a_try_and_what_came_back_stays(
    cluster: Cluster, checkout: Checkout, tmp_path: Path, impatient: None
) -> None:
    out = tmp_path / "out"
    checkout.tell("a", "good")
    checkout.tell("b", "hang")
    workers = [cluster.worker(host) for host in "ab"]
    cluster.registered(*"ab")

    def lost() -> None:
        wait_until(lambda: checkout.began("b") and members(out) == ["a"])
        cluster.scheduler.kill()
        wait_until(lambda: checkout.processes() == [])
        for worker in workers:
            worker.join()
        checkout.tell("b", "good")

    with meanwhile(lost):
        done = bench("fleet", *options(cluster, checkout, out, "--wait=0.5", "--hosts=2"))
    assert done.code == 1, done
    assert rows(out)["b"]["reason"] == "the scheduler was lost"
    assert "; waiting for it" in done.err
    assert members(out) == ["a"]


@campaign
def test_a_scheduler_that_comes_back_is_gone_on_with(
    cluster: Cluster, checkout: Checkout, tmp_path: Path, impatient: None
) -> None:
    out = tmp_path / "out"
    for host, does in {"a": "good", "b": "hang"}.items():
        checkout.tell(host, does)
        cluster.worker(host)

    def returns() -> None:
        wait_until(lambda: checkout.began("b") and members(out) == ["a"])
        cluster.scheduler.kill()
        checkout.tell("b", "good")
        cluster.start_scheduler()
        cluster.worker("b")

    with meanwhile(returns):
        done = bench("fleet", *options(cluster, checkout, out, "--wait=30", "--hosts=2"))
    assert done.code == 0, done
    assert [rows(out)[host]["tries"] for host in "ab"] == ["1", "2"]
    assert members(out) == ["a", "b"]


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), pytest.param(signal.SIGKILL, -9, marks=campaign)],
)
def test_when_the_fleet_ends_so_do_its_runs_and_another_fleet_gets_its_turn(
    number: signal.Signals,
    code: int,
    cluster: Cluster,
    checkout: Checkout,
    tmp_path: Path,
    impatient: None,
) -> None:
    out, next_out = tmp_path / "out", tmp_path / "next"
    for host in "ab":
        checkout.tell(host, "hang")
    workers = [cluster.worker(host) for host in "ab"]
    fleet = cluster.command("fleet", *options(cluster, checkout, out))
    wait_until(lambda: len(checkout.processes()) == 4)
    runs = checkout.processes()

    def ended() -> None:
        wait_until(lambda: [row["status"] for row in rows(next_out).values()] == 2 * ["running"])
        time.sleep(0.5)
        assert [len(checkout.began(host)) for host in "ab"] == [
            1,
            1,
        ]  # a host has one run at a time
        for host in "ab":
            checkout.tell(host, "good")
        assert fleet.pid is not None
        os.kill(fleet.pid, number)
        fleet.join()
        assert fleet.exitcode == code
        if number == signal.SIGINT:
            assert not any(map(alive, runs))
            assert {row["reason"] for row in rows(out).values()} == {"the fleet was stopped"}
            said = (cluster.folder / "command.log").read_text()
            assert f"fleet --resume {out} goes on" in said
            assert "Traceback" not in said
        wait_until(lambda: not any(map(alive, runs)))

    with meanwhile(ended):
        done = bench("fleet", *options(cluster, checkout, next_out))
    assert done.code == 0, done
    assert members(next_out) == ["a", "b"]
    assert all(worker.is_alive() for worker in workers)


@campaign
def test_a_silent_worker_is_lost_and_two_workers_of_a_host_take_turns(
    cluster: Cluster, checkout: Checkout, tmp_path: Path, impatient: None
) -> None:
    checkout.tell("a", "hang")
    first = cluster.worker("a")
    workers = [first]

    def silent() -> None:
        wait_until(lambda: checkout.began("a"))
        assert first.pid is not None
        os.kill(first.pid, signal.SIGSTOP)
        checkout.tell("a", "good")
        workers.append(cluster.worker("a", "a second"))

    with meanwhile(silent):
        done = bench("fleet", *options(cluster, checkout, tmp_path / "out"))
    assert done.code == 0, done
    assert "a: no sign of life from its worker for" in done.err
    assert len(checkout.began("a")) == 2
    assert members(tmp_path / "out") == ["a"]


def test_without_a_scheduler_a_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.fleet.run.ANSWER_S", 0.5)
    tiny = ["--sweep", "quick", "--out", str(tmp_path / "out")]
    said = refused("fleet", "--scheduler", "tcp://127.0.0.1:1", *tiny)
    assert "no Dask scheduler answers at tcp://127.0.0.1:1: start one (dask scheduler)" in said


def test_nobody_comes(cluster: Cluster, checkout: Checkout, tmp_path: Path) -> None:
    done = bench("fleet", *options(cluster, checkout, tmp_path / "out", "--wait=0.5"))
    assert done.code == 1
    assert "0 of 1 hosts have a run" in done.out


@campaign
def test_four_real_runs_come_back_one_from_a_disk_that_was_full(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four workers are four hosts by name; as one machine they share its two cores or more, so
    what they measure is not looked at. The full disk is real where one can be mounted.
    """
    monkeypatch.setattr("bench.fleet.hosts.PAUSE_S", 3.0)
    for host in "abcd":
        cluster.worker(host)
    out, small = tmp_path / "out", tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(small)]
    full = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    try:
        if full:
            cluster.worker("e", folder=small / "e")
            wait_until(lambda: any(small.glob("e/dask-scratch-space/*")))
            with suppress(OSError):  # until it is full
                (small / "filler").write_bytes(bytes(2**20))

            def freed() -> None:
                wait_until(lambda: rows(out).get("e", {}).get("reason"))
                (small / "filler").unlink()

            steps = [freed]
        else:
            steps = []
        tiny = ["--kernel=numpy_matmul", "--widths=16", "--batches=1", "--budget=1s"]
        with meanwhile(*steps):
            done = bench("fleet", "--scheduler", cluster.address, *tiny, "--out", str(out))
        assert done.code == 0, done
        assert members(out) == [*"abcd", *(["e"] if full else [])]
        assert not full or "No space left on device" in done.err
        for member in merge.read([out]):
            assert [row.status for row in member.run.cells] == ["ok"]
    finally:
        if full:
            subprocess.run(["umount", "-l", str(small)], check=True)


@campaign
def test_without_a_scheduler_it_is_this_machine_alone(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path / "checkout")
    checkout.tell("here", "good")
    out = tmp_path / "out"
    where = ["--checkout", str(checkout.folder), "--sweep", "quick", "--out", str(out)]
    done = bench("fleet", *where, BENCH_HOST="here")
    assert done.code == 0, done
    assert members(out) == ["here"]
    assert "1 of 1 hosts have a run" in done.out


@campaign
def test_ctrl_c_ends_a_fleet_of_this_machine_and_all_that_it_started(
    cluster: Cluster, checkout: Checkout, tmp_path: Path
) -> None:
    checkout.tell("here", "hang")
    where = ["--checkout", str(checkout.folder), "--sweep", "quick", "--out", str(tmp_path / "out")]
    fleet = cluster.command("fleet", *where, host="here")
    wait_until(lambda: checkout.began("here"))
    assert fleet.pid is not None
    os.killpg(fleet.pid, signal.SIGINT)
    fleet.join()
    assert fleet.exitcode == 130
    assert checkout.processes() == []
    said = (cluster.folder / "command.log").read_text()
    assert "goes on\nstopped: Ctrl-C\n" in said
    assert "Traceback" not in said
