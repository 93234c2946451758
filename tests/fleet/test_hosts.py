"""What is decided of a host, of a run that came back, and of what was asked: without a cluster."""

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from commands import refused
from fleets import Checkout, alive, made, wait_until

from bench import ROOT
from bench.fleet import asked, back, hosts, merge, on_host
from bench.fleet.hosts import Host
from bench.terminal import needs
from bench.terminal.errors import BadInput

HOST = Host("n7", "node7")

distributed = pytest.mark.skipif(
    bool(needs.lacking(["distributed"])), reason="needs distributed: make test installs it"
)


class TestHost:
    def test_it_is_tried_so_often_and_given_up(self) -> None:
        host, states = HOST, []
        for now_s in range(hosts.TRIES):
            host = hosts.failed(hosts.begun(host), "w1", "a\nreason", float(now_s))
            states.append((host.status, host.tries, host.not_before_s - now_s))
        assert states == [
            ("waiting", 1, hosts.PAUSE_S),
            ("waiting", 2, hosts.PAUSE_S),
            ("failed", 3, hosts.PAUSE_S),
        ]
        assert host.reason == "a reason"

    def test_next_is_a_worker_where_it_failed_least_then_one_that_was_chosen_before(self) -> None:
        assert hosts.next_worker(HOST, [], []) is None
        assert hosts.next_worker(HOST, ["w2", "w1"], []) == "w1"
        assert hosts.next_worker(HOST, ["w2", "w1"], ["w2"]) == "w2"
        host = hosts.failed(hosts.begun(HOST), "w2", "why", 0.0)
        assert hosts.next_worker(host, ["w2", "w1"], ["w2"]) == "w1"
        host = hosts.failed(hosts.begun(host), "w1", "why", 0.0)
        assert hosts.next_worker(host, ["w2", "w1"], ["w2"]) == "w2"

    @pytest.mark.parametrize(
        ("one", "other", "same"),
        [
            ((None, "pod-1", "boot"), (None, "pod-2", "boot"), True),  # containers of a machine
            ((None, "n1", "boot 1"), (None, "n2", "boot 2"), False),
            ((None, "n1", ""), (None, "n2", ""), False),  # no Linux
            (("a", "n", "boot"), ("b", "n", "boot"), False),  # as BENCH_HOST has it
        ],
    )
    def test_a_machine_is_one_host(self, one: Any, other: Any, same: object) -> None:
        assert (hosts.identity(*one) == hosts.identity(*other)) is same

    def test_the_table_is_read_again_and_every_host_is_to_be_tried(self, tmp_path: Path) -> None:
        every = [HOST, replace(HOST, name="=n8", status="failed", tries=3, reason='full, "really"')]
        (tmp_path / hosts.TABLE).write_text(hosts.table(every))
        again = hosts.read(tmp_path)
        assert [(h.name, h.status, h.tries) for h in again] == [
            ("n7", "waiting", 0),
            ("=n8", "waiting", 0),
        ]
        assert again[1].reason == 'full, "really"'

    @pytest.mark.parametrize("damage", ["", "a,b\n", "host,status,tries,run,reason\n1,2\n"])
    def test_a_damaged_table_is_named(self, damage: str, tmp_path: Path) -> None:
        (tmp_path / hosts.TABLE).write_text(damage)
        with pytest.raises(BadInput, match=r"hosts\.csv is no table of hosts: remove it"):
            hosts.read(tmp_path)


class TestBack:
    @pytest.fixture
    def source(self, tmp_path: Path) -> Path:
        return made(tmp_path / "source", "a")

    def files(self, source: Path) -> list[tuple[str, int, str]]:
        return [
            (path.name, len(content), hashlib.sha256(content).hexdigest())
            for path in sorted(source.iterdir())
            for content in [path.read_bytes()]
        ]

    def piece(self, source: Path) -> Callable[[str, int, int], bytes]:
        return lambda name, offset, size: (source / name).read_bytes()[offset : offset + size]

    def test_it_comes_in_pieces_and_whole(
        self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(back, "PIECE", 100)
        member = back.fetch(self.files(source), self.piece(source), tmp_path / "copy")
        assert member.host == "a"
        assert self.files(tmp_path / "copy") == self.files(source)

    @pytest.mark.parametrize(
        "damage",
        [lambda piece: piece[:-1], lambda piece: b"x" + piece[1:]],
        ids=["cut", "changed"],
    )
    def test_what_was_changed_or_cut_on_the_way_is_seen(
        self, damage: Callable[[bytes], bytes], source: Path, tmp_path: Path
    ) -> None:
        whole = self.piece(source)
        with pytest.raises(back.Damaged, match="differs"):
            back.fetch(self.files(source), lambda *what: damage(whole(*what)), tmp_path / "copy")

    @pytest.mark.parametrize("name", ["../other", "/etc/passwd", "plots"])
    def test_nothing_but_a_runs_files_is_written(self, name: str, tmp_path: Path) -> None:
        with pytest.raises(back.Damaged, match="is no file of a run"):
            back.fetch([(name, 1, "")], lambda *_: b"x", tmp_path / "copy")


class TestOnHost:
    """A run on a host, without Dask."""

    @pytest.fixture
    def checkout(self, tmp_path: Path) -> Checkout:
        return Checkout(tmp_path / "checkout")

    def order(self, checkout: str, **changes: Any) -> dict[str, Any]:
        return {
            "host": "a",
            "arguments": ["--budget", "1s"],
            "sweep": "",
            "limit_s": 60.0,
            "checkout": checkout,
            "own": str(ROOT),
            "files": list(merge.KEPT),
        } | changes

    def test_it_says_what_the_run_said_last(self, checkout: Checkout, tmp_path: Path) -> None:
        checkout.tell("a", "say so far so good\nerror: the disk is full: free some space\n")
        order = self.order(str(checkout.folder))
        done = on_host.measured(order, tmp_path, dict(os.environ), {}, lambda: True)
        assert done == {"trouble": "the disk is full: free some space"}
        assert checkout.processes() == []

    def test_a_sweep_file_comes_along_and_the_nannys_variables_stay_behind(
        self, checkout: Checkout, tmp_path: Path
    ) -> None:
        checkout.tell("a", "good")
        order = self.order(str(checkout.folder), sweep="widths = [8]\n")
        environment = {**os.environ, "MALLOC_TRIM_THRESHOLD_": "65536", "OMP_NUM_THREADS": "3"}
        foreign = {"MALLOC_TRIM_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1"}
        done = on_host.measured(order, tmp_path, environment, foreign, lambda: True)
        assert done["code"] == 0
        (began,) = checkout.began("a")
        assert began.endswith(f"--no-charts --sweep {tmp_path}/sweep.toml")
        assert (tmp_path / "sweep.toml").read_text() == "widths = [8]\n"
        variables = (checkout.folder / "told/a/environment").read_text().split("\n")
        assert "OMP_NUM_THREADS=3" in variables  # the user's own
        assert "BENCH_HISTORY=" in variables
        assert not any(line.startswith("MALLOC_TRIM_THRESHOLD_") for line in variables)

    def test_without_a_checkout_it_says_where_it_looked(self, tmp_path: Path) -> None:
        done = on_host.measured(self.order("/nowhere"), tmp_path, {}, {}, lambda: True)
        assert done["trouble"].startswith("no checkout of this program in /nowhere: ")

    @pytest.mark.parametrize(
        ("code", "said"),
        [(2, "why"), (3, "with exit code 3: why"), (137, "by SIGKILL (did"), (-15, "by SIGTERM")],
    )
    def test_how_it_ended_in_words(self, code: int, said: str) -> None:
        assert said in on_host._how(code, "why")

    @distributed
    @pytest.mark.parametrize("said", ["", "error: no"])
    def test_in_a_worker(
        self, said: str, checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Dask's clocks stand still meanwhile; what the nanny has set is not the run's; nothing is
        left of a run that failed.
        """
        checkout.tell("a", f"say {said}" if said else "good")
        clock, worker = Mock(), Mock(nanny="tcp://n", local_directory=str(tmp_path / "w"))
        (tmp_path / "w").mkdir()
        worker.status.name = "running"
        worker.get_current_task.return_value = "k"
        worker.state.tasks = {"k": Mock(state="executing")}
        worker.periodic_callbacks = {"tick": clock, "heartbeat": Mock(stop=None)}
        worker.loop.add_callback = lambda function: function()
        monkeypatch.setattr("distributed.get_worker", lambda: worker)
        monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "65536")
        done = on_host.run(self.order(str(checkout.folder)))
        assert [name for name, *_ in clock.method_calls] == ["stop", "start"]
        assert len(list((tmp_path / "w").iterdir())) == (0 if said else 1)
        assert done.get("trouble", "") == ("no" if said else "")
        variables = (checkout.folder / "told/a/environment").read_text()
        assert "MALLOC_TRIM_THRESHOLD_" not in variables

    @pytest.mark.parametrize("directory", ["nowhere", "file"])
    @distributed
    def test_a_directory_that_cannot_be_written_is_a_trouble(
        self, directory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "file").write_text("")
        worker = Mock(local_directory=str(tmp_path / directory), periodic_callbacks={})
        monkeypatch.setattr("distributed.get_worker", lambda: worker)
        done = on_host.run(self.order("/nowhere"))
        assert "directory" in done["trouble"]

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
    def test_a_run_ends_with_the_process_that_asked_for_it(
        self, number: int, checkout: Checkout, tmp_path: Path
    ) -> None:
        """SIGTERM goes to the child of the worker, SIGKILL to the worker."""
        checkout.tell("a", "hang")
        script = (
            "import os, subprocess, sys\n"
            "child = [sys.executable, '-m', 'bench.fleet.child', str(os.getpid())]\n"
            "process = subprocess.Popen([*child, 'run', '--out', 'x'])\n"
            "print(process.pid, flush=True)\n"
            "process.wait()"
        )
        environment = {**os.environ, "BENCH_HOST": "a", "PYTHONPATH": str(checkout.folder)}
        with subprocess.Popen(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, env=environment, cwd=tmp_path
        ) as worker:
            assert worker.stdout is not None
            pid = int(worker.stdout.readline())
            wait_until(lambda: len(checkout.processes()) == 2)
            os.kill(worker.pid if number == signal.SIGKILL else pid, number)
            wait_until(lambda: not alive(pid) and checkout.processes() == [])


@distributed
class TestAsked:
    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["--no-such-option"], "No such option: --no-such-option"),
            (["--widths", "many"], "--widths is 'many'"),
            (["--budget", "long"], "--budget is 'long'"),
            (["--limit", "long"], "--limit is 'long'"),
            (["--wait", "long"], "--wait is 'long'"),
            (["--sweep", "nosuch"], "no sweep 'nosuch'"),
            (["--kernel", "nosuch"], "no kernel 'nosuch'"),
            (["--kernel", "mine.py"], "--kernel mine.py is looked for on each host"),
            (["--layer", "l=model.npz:fc1"], "--layer model.npz:fc1 is looked for on each host"),
            (["--hosts", "0"], "--hosts"),
            (["--resume", "nosuch"], "no run 'nosuch'"),
        ],
    )
    def test_bad_input_is_a_line(self, options: list[str], said: str, tmp_path: Path) -> None:
        assert said in refused("fleet", *options)

    def test_what_was_asked_is_kept_and_a_resumed_fleet_keeps_it(self, tmp_path: Path) -> None:
        folder = tmp_path / "out"
        what = asked.Asked(("--sweep", "mine.toml"), 'widths = [8]\nname = "é"\n', 2.0, 3.0)
        asked.write(folder, what)
        assert asked.read(folder, None) == what
        assert asked.read(folder, 5.0).limit_s == 5.0
        assert "exists: take another --out" in refused("fleet", "--out", str(folder))
        said = refused("fleet", "--resume", str(folder), "--sweep", "quick", "--out", "x")
        assert said.endswith("keeps its settings: leave out --sweep, --out")
        (folder / asked.FILE).write_text("run = 3")
        assert "fleet.toml is damaged" in refused("fleet", "--resume", str(folder))


def test_without_dask_a_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.terminal.needs.lacking", list)
    said = refused("fleet", "--sweep", "quick")
    assert "distributed is not installed: needed for one sweep on many machines" in said
    assert said.endswith("-m pip install distributed, or make fleet")


def test_nothing_but_a_fleet_imports_dask() -> None:
    names = "bench.__main__, bench.session, bench.measure.scheduler, bench.worker.server"
    names += ", bench.fleet.command, bench.fleet.child"
    loaded = (
        f"import sys, {names}; print({{'dask', 'distributed', 'cloudpickle'}} & {{*sys.modules}})"
    )
    done = subprocess.run(
        [sys.executable, "-c", loaded], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"
