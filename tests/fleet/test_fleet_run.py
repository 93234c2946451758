"""A fleet's decisions on a cluster that isn't there: what workers answer is made up."""

import hashlib
import platform
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Self

import pytest
from fleets import made

from bench.fleet import asked, merge
from bench.terminal import needs
from bench.terminal.errors import BadInput

if needs.lacking(["distributed"]):
    pytest.skip("needs distributed: make test installs it", allow_module_level=True)

from bench.fleet import on_host
from bench.fleet.cluster import Lost, Worker
from bench.fleet.run import Fleet

WHAT = asked.Asked(("--sweep", "quick"), "", 1.0, 10.0)


class Future:
    """A run that has ended."""

    status = "finished"

    def __init__(self, result: Any) -> None:
        self._result = result

    def done(self) -> bool:
        return True

    def result(self, timeout: float) -> Any:
        if isinstance(self._result, Exception):
            raise self._result
        return self._result


class MadeUp:
    """A cluster of one worker, on whose host a run has this result."""

    def __init__(self, run: Path, version: str = platform.python_version()) -> None:
        self.run, self.version = run, version
        self.result: Any = {"code": 0, "folder": "there", "files": files(run)}
        self.dropped: list[str] = []
        self.lost = False

    def workers(self) -> dict[str, Worker]:
        return {"tcp://w": Worker("tcp://w", "10.0.0.7", taken=False, last_seen=1.0)}

    def ask(
        self, workers: Iterable[str], function: Callable[..., Any], *arguments: Any
    ) -> dict[str, Any]:
        return {worker: self._answer(function, *arguments) for worker in workers}

    def _answer(self, function: Callable[..., Any], *arguments: Any) -> Any:
        if function is platform.python_version:
            return self.version
        if function is on_host.who:
            return {"said": "a", "node": "node", "boot": "boot"}
        if function is on_host.piece:
            _, name, offset, size = arguments
            return (self.run / name).read_bytes()[offset : offset + size]
        if function is on_host.drop:
            self.dropped += arguments
        return 0 if function is on_host.running else None

    def start(self, key: str, order: dict[str, Any], worker: str) -> Future:
        return Future(self.result)

    def check(self) -> None:
        if self.lost:
            self.lost = False
            raise Lost("the scheduler is gone")

    def cancel(self, futures: list[Any]) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        pass


def files(run: Path) -> list[tuple[str, int, str]]:
    contents = [(path.name, path.read_bytes()) for path in sorted(run.iterdir())]
    return [(name, len(c), hashlib.sha256(c).hexdigest()) for name, c in contents]


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MadeUp:
    monkeypatch.setattr("bench.fleet.run.STEP_S", 0.0)
    monkeypatch.setattr("bench.fleet.hosts.PAUSE_S", 0.0)
    return MadeUp(made(tmp_path / "run", "a"))


def ran(cluster: Any, folder: Path, expected: int = 1) -> tuple[Fleet, list[str]]:
    """A fleet that has ended, and the lines that it told."""
    said: list[str] = []
    asked.write(folder, WHAT)
    fleet = Fleet(WHAT, folder, said.append, "", expected, 0.05)
    fleet.run(lambda answer_s: cluster, lambda line: None)
    return fleet, said


def test_a_run_comes_back(cluster: MadeUp, tmp_path: Path) -> None:
    fleet, said = ran(cluster, tmp_path / "out")
    (host,) = fleet.hosts
    assert (host.status, host.tries, host.reason) == ("back", 1, "")
    (there,) = merge.read([tmp_path / "out"])
    assert there.run.folder.name == host.run
    assert files(there.run.folder) == files(cluster.run)
    assert said == ["a: its run is back"]
    assert cluster.dropped == ["there"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda r: {"trouble": "the disk is full"}, "the disk is full"),
        (lambda r: MemoryError("none left"), "MemoryError: none left"),
        (lambda r: r | {"files": [("visits.csv", 5, "00")]}, "not as it was sent: visits.csv"),
        (lambda r: r | {"files": []}, "what came back is no run: "),
        (lambda r: r | {"files": [("counts.csv", 5, "00")]}, "could not be fetched (None"),
    ],
    ids=["said", "raised", "damaged", "no run", "unfetched"],
)
def test_what_goes_wrong_costs_tries_and_is_told(
    change: Callable[[Any], Any], reason: str, cluster: MadeUp, tmp_path: Path
) -> None:
    cluster.result = change(cluster.result)
    if "fetched" in reason:
        cluster._answer = answers_nothing(cluster._answer)  # type: ignore[method-assign]
    fleet, said = ran(cluster, tmp_path / "out")
    (host,) = fleet.hosts
    assert (host.status, host.tries) == ("failed", 3)
    assert reason in host.reason
    assert [line.rpartition("(")[2] for line in said] == ["try 1 of 3)", "try 2 of 3)", "given up)"]
    assert fleet.members == []


def answers_nothing(answer: Callable[..., Any]) -> Callable[..., Any]:
    return lambda function, *what: None if function is on_host.piece else answer(function, *what)


def test_another_python_is_refused_with_a_row(cluster: MadeUp, tmp_path: Path) -> None:
    cluster.version = "2.7.18"
    fleet, said = ran(cluster, tmp_path / "out")
    (host,) = fleet.hosts
    assert (host.name, host.status) == ("10.0.0.7", "failed")
    assert host.reason.startswith("Python 2.7.18 there and 3.")
    assert len(said) == 1


def test_tasks_that_a_lost_scheduler_has_cancelled_are_told_as_that(
    cluster: MadeUp, tmp_path: Path
) -> None:
    cluster.lost = True
    fleet, said = ran(cluster, tmp_path / "out")
    assert said == [
        "the scheduler is gone; waiting for it",
        "a: the scheduler was lost (try 1 of 3)",
        "a: its run is back",
    ]
    assert fleet.hosts[0].tries == 2


def test_a_wrong_kernel_is_told(cluster: MadeUp, tmp_path: Path) -> None:
    cluster.result["code"] = 1
    fleet, said = ran(cluster, tmp_path / "out")
    assert fleet.codes == [1]
    assert said == [
        "a: its run is back; a kernel was wrong, impossible, crashed or raised an error there"
    ]


def test_a_host_that_never_came_is_waited_for(cluster: MadeUp, tmp_path: Path) -> None:
    fleet, _ = ran(cluster, tmp_path / "out", expected=2)
    assert [host.status for host in fleet.hosts] == ["back"]


def test_a_folder_that_cannot_be_written_ends_the_fleet_in_a_line(
    cluster: MadeUp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bench.fleet.back.fetch", full)
    with pytest.raises(BadInput, match=r"No space left on device\): free some space, then go on"):
        ran(cluster, tmp_path / "out")
