"""A fleet from its first host to its last run: who is there, what came back, what begins next."""

import asyncio
import contextlib
import platform
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import ROOT
from bench.data import store
from bench.fleet import back, hosts, merge, on_host
from bench.fleet.asked import Asked
from bench.fleet.cluster import ANSWER_S, RESOURCE, Cluster, Lost, Worker
from bench.fleet.hosts import Host
from bench.fleet.merge import Member
from bench.history import database, keep
from bench.machine import survey
from bench.terminal import errors, units
from bench.terminal.errors import BadInput

STEP_S = 0.5
"""How often runs are looked at."""

LOOK_S = 2.0
"""How often the scheduler is asked who is there."""

SILENT_S = 60.0
"""A worker that its scheduler has not heard for so long is lost: they speak every few seconds."""

END_S = 30.0
"""How long runs that are no longer wanted may take to end."""

BESIDE_S = 15.0
"""What a run mostly takes beside its budget."""

GONE = "its worker left the cluster: the process or the machine ended, or the network"
NO_SCHEDULER = "the scheduler was lost"
WRONG = "; a kernel was wrong, impossible, crashed or raised an error there"
STOPPED = "the fleet was stopped"


class Trouble(Exception):
    """Why a try has failed, in words for people."""


@dataclass(frozen=True, slots=True)
class Try:
    """A run that was begun."""

    future: Any
    worker: str
    since_s: float


class Fleet:
    """The hosts, their runs, and the folder that these come back to."""

    def __init__(
        self,
        asked: Asked,
        folder: Path,
        tell: Callable[[str], None],
        checkout: str,
        expected: int,
        wait_s: float,
    ) -> None:
        """`tell` takes a line; `checkout` is the one on the hosts, `expected` how many there should
        be, and `wait_s` the patience with those that are not there.
        """
        self._asked, self._folder, self._tell = asked, folder, tell
        self._checkout, self._expected, self._wait_s = checkout, expected, wait_s
        self._prefix = f"{RESOURCE}-{uuid.uuid4().hex}"
        self._hosts: dict[str, Host] = {}  # by identity, or `_by_name`
        self._tries: dict[str, Try] = {}
        self._at: dict[str, str] = {}  # the identity of each worker's host
        self._heard: dict[str, tuple[float, float]] = {}  # from a worker: scheduler's clock, ours
        self._taken: set[str] = set()
        self._looked_s = self._moved_s = -1e9
        self.members: list[Member] = []
        self.codes: list[int] = []  # what runs exited with

    @property
    def hosts(self) -> list[Host]:
        """All that were seen, by name."""
        return sorted(self._hosts.values(), key=lambda host: host.called)

    def resume(self) -> None:
        """Take the runs that are in the folder for done. Raises BadInput."""
        known = {host.name: host for host in hosts.read(self._folder)}
        if any(self._folder.glob("[!.]*/machine.json")):
            self.members = merge.read([self._folder])
        for member in self.members:
            known[member.host] = Host(member.host, member.host, "back", run=member.name)
        self._hosts = {_by_name(name): host for name, host in known.items()}

    def run(self, connect: Callable[[float], Cluster], show: Callable[[str], None]) -> None:
        """Go on until every host's run is back or given up. `connect` is given the seconds that a
        scheduler has to answer; `show` takes a line of progress.

        Raises Lost where there is no scheduler to begin with, BadInput where the folder can't be
        written. Whatever ends it, no run goes on.
        """
        cluster: Cluster | None = connect(ANSWER_S)
        while cluster is not None:
            try:
                with cluster, self._ending(cluster):
                    self._moved_s = time.monotonic()
                    while self._step(cluster):
                        show(self._progress())
                        time.sleep(STEP_S)
                    return
            except Lost as lost:
                self._tell(f"{lost}; waiting for it")
                for key in list(self._tries):
                    self._fail(key, NO_SCHEDULER, None)
                self._at.clear()
                self._heard.clear()
                self._looked_s = -1e9
            cluster = self._again(connect)

    def _again(self, connect: Callable[[float], Cluster]) -> Cluster | None:
        """A scheduler that came back, if one does while there is patience."""
        deadline = time.monotonic() + self._wait_s
        while (left_s := deadline - time.monotonic()) > 0:
            with contextlib.suppress(Lost):
                return connect(min(left_s, ANSWER_S))
            time.sleep(STEP_S)
        return None

    @contextmanager
    def _ending(self, cluster: Cluster) -> Iterator[None]:
        """Whatever ends what is inside, the runs on the hosts end with it."""
        try:
            yield
        except Lost:  # their workers end them
            raise
        except BaseException:
            cluster.cancel([each.future for each in self._tries.values()])
            workers = {each.worker for each in self._tries.values()}
            for key in self._tries:
                self._hosts[key] = replace(self._hosts[key], status="waiting", reason=STOPPED)
            with contextlib.suppress(BadInput):  # a full disk is what may have ended it
                self._write()
            deadline = time.monotonic() + END_S
            with contextlib.suppress(Lost):
                while workers and time.monotonic() < deadline:
                    workers &= cluster.workers().keys()  # a run ends with its worker
                    answers = cluster.ask(workers, on_host.running, self._prefix)
                    workers = {worker for worker, left in answers.items() if left != 0}
                    time.sleep(STEP_S)
            if workers:
                self._tell(f"runs may go on at {', '.join(sorted(workers))}: no answer from there")
            raise

    def _step(self, cluster: Cluster) -> bool:
        """Look once -> whether there is more to come."""
        now = time.monotonic()
        if now - self._looked_s > LOOK_S:
            self._looked_s = now
            self._look(cluster)
        for key, each in list(self._tries.items()):
            if each.future.done():
                cluster.check()  # without its scheduler Dask calls all tasks cancelled
                self._collect(key, each, cluster)
        self._begin(cluster)
        return not self._over()

    # who is there

    def _look(self, cluster: Cluster) -> None:
        now = time.monotonic()
        workers = cluster.workers()
        self._taken = {address for address, worker in workers.items() if worker.taken}
        for address in self._at.keys() - workers.keys():
            self._gone(address, GONE, cluster)
        for address, worker in workers.items():
            seen, heard_s = self._heard.get(address, (None, now))
            self._heard[address] = worker.last_seen, now if worker.last_seen != seen else heard_s
            silent_s = now - self._heard[address][1]
            if silent_s > SILENT_S and address in self._at:
                self._gone(
                    address, f"no sign of life from its worker for {silent_s:.0f} s", cluster
                )
        new = [worker for worker in workers.values() if worker.address not in self._at]
        self._meet([w for w in new if self._heard[w.address][1] == now], cluster)

    def _gone(self, address: str, reason: str, cluster: Cluster) -> None:
        key = self._at.pop(address)
        if key in self._tries and self._tries[key].worker == address:
            self._fail(key, reason, cluster)

    def _meet(self, workers: Sequence[Worker], cluster: Cluster) -> None:
        """Find out whose workers these are. One that doesn't answer is asked again."""
        here = _minor(platform.python_version())
        fit = []
        versions = cluster.ask([each.address for each in workers], platform.python_version)
        for worker in workers:
            version = versions[worker.address]
            if isinstance(version, str) and _minor(version) == here:
                fit.append(worker.address)
            elif isinstance(version, str):
                self._refuse(worker, f"Python {version} there and {here} here: Dask needs the same")
        for address, answer in cluster.ask(fit, on_host.who).items():
            if isinstance(answer, dict):
                self._add(address, **answer)

    def _refuse(self, worker: Worker, reason: str) -> None:
        key = f"at {worker.place}"
        if key not in self._hosts:
            self._hosts[key] = Host(worker.place, worker.place, "failed", reason=reason)
            self._tell(f"{worker.place}: {reason}")
            self._write()

    def _add(self, address: str, said: str | None, node: str, boot: str) -> None:
        key = hosts.identity(said, node, boot)
        self._at[address] = key
        if key not in self._hosts:
            name = survey.called(said, node) or hosts.unnamed(key)
            known = self._hosts.pop(_by_name(name), Host(name, node))
            self._hosts[key] = replace(known, called=said or node)
            self._moved()

    # what came back

    def _collect(self, key: str, each: Try, cluster: Cluster) -> None:
        try:
            done = _result(each.future)
            member = self._fetched(key, each.worker, done, cluster)
        except Trouble as trouble:
            self._fail(key, str(trouble), cluster)
            return
        self.members.append(member)
        self.codes.append(done["code"])
        self._hosts[key] = replace(self._hosts[key], status="back", run=member.name, reason="")
        del self._tries[key]
        self._moved()
        self._tell(f"{self._hosts[key].called}: its run is back{WRONG if done['code'] else ''}")
        if note := keep.keep(*database.of_run(member.run)):
            self._tell(note)

    def _fetched(self, key: str, worker: str, done: dict[str, Any], cluster: Cluster) -> Member:
        """The run, in its place in the fleet's folder. Raises Trouble, BadInput."""
        half = self._folder / f".{hosts.unnamed(key)}.half"

        def piece(*what: Any) -> bytes:
            answer = cluster.ask([worker], on_host.piece, done["folder"], *what)[worker]
            if not isinstance(answer, bytes):
                raise Trouble(f"its run was done and could not be fetched ({answer!r})")
            return answer

        try:
            member = self._read(half, done["files"], piece)
            merge.write([*self.members, member], self._folder)
        except OSError as error:
            raise self._unwritable(error) from error
        finally:
            shutil.rmtree(half, ignore_errors=True)
        cluster.ask([worker], on_host.drop, done["folder"])
        return replace(member, run=replace(member.run, folder=self._folder / member.name))

    def _read(self, half: Path, files: Any, piece: Callable[..., bytes]) -> Member:
        try:
            return back.fetch(files, piece, half)
        except back.Damaged as damaged:
            raise Trouble(f"what came back is not as it was sent: {damaged}") from damaged
        except BadInput as error:
            raise Trouble(f"what came back is no run: {error}") from error

    def _fail(self, key: str, reason: str, cluster: Cluster | None) -> None:
        each = self._tries.pop(key)
        if cluster is not None:
            cluster.cancel([each.future])
        host = hosts.failed(self._hosts[key], each.worker, reason, time.monotonic())
        self._hosts[key] = host
        self._moved()
        then = "given up" if host.status == "failed" else f"try {host.tries} of {hosts.TRIES}"
        self._tell(f"{host.called}: {host.reason} ({then})")

    # what begins next

    def _begin(self, cluster: Cluster) -> None:
        chosen = {}
        for key, host in self._hosts.items():
            if host.status == "waiting" and host.not_before_s <= time.monotonic():
                worker = hosts.next_worker(host, self._workers(key), self._taken)
                if worker is not None:
                    chosen[key] = worker
        answers = cluster.ask(chosen.values(), on_host.offer, RESOURCE) if chosen else {}
        for key, worker in chosen.items():
            now = time.monotonic()
            if answers[worker] is not None:  # an exception; it is asked again
                later = replace(self._hosts[key], not_before_s=now + hosts.PAUSE_S)
                self._hosts[key] = later
                continue
            host = self._hosts[key] = hosts.begun(self._hosts[key])
            name = f"{self._prefix}-{hosts.unnamed(key)}-{host.tries}"
            self._tries[key] = Try(cluster.start(name, self._order(host), worker), worker, now)
            self._moved()

    def _workers(self, key: str) -> list[str]:
        return [address for address, at in self._at.items() if at == key]

    def _order(self, host: Host) -> dict[str, Any]:
        return {
            "host": host.name,
            "arguments": list(self._asked.run),
            "sweep": self._asked.sweep,
            "limit_s": self._asked.limit_s,
            "checkout": self._checkout,
            "own": str(ROOT),
            "files": list(merge.KEPT),
        }

    # until when

    def _over(self) -> bool:
        """Whether all is done, or nothing has moved for as long as there is patience."""
        done = all(host.status in ("back", "failed") for host in self._hosts.values())
        if done and len(self._hosts) >= self._expected:
            return True
        coming = self._tries or any(
            host.status == "waiting" and self._workers(key) for key, host in self._hosts.items()
        )
        return not coming and time.monotonic() - self._moved_s > self._wait_s

    def _progress(self) -> str:
        now = time.monotonic()
        done = sum(host.status == "back" for host in self._hosts.values())
        said = f"{done} of {max(len(self._hosts), self._expected)} hosts are back"
        if not self._tries:
            return f"{said}; waiting for hosts, {units.seconds(self._wait_s)} at most"
        usual_s = self._asked.budget_s + BESIDE_S
        left_s = max(each.since_s + usual_s - now for each in self._tries.values())
        if left_s > 0:
            return f"{said}, {len(self._tries)} run; about {units.seconds(left_s)} left"
        last_s = max(each.since_s + self._asked.limit_s - now for each in self._tries.values())
        late = f"{len(self._tries)} run longer than usual"
        return f"{said}, {late}; given up in {units.seconds(last_s)}"

    def _moved(self) -> None:
        """Something has happened: it is written down, and patience begins anew."""
        self._moved_s = time.monotonic()
        self._write()

    def _write(self) -> None:
        try:
            store.replace(self._folder / hosts.TABLE, hosts.table(self.hosts))
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> BadInput:
        remedy = errors.WRITABLE.get(error.errno or 0, "make it writable")
        why = f"{self._folder} can't be written ({error.strerror}): {remedy}"
        return BadInput(f"{why}, then go on with --resume {self._folder}")


def _by_name(name: str) -> str:
    """The key of a host that is known from earlier, and not met yet."""
    return f"called {name}"


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _result(future: Any) -> dict[str, Any]:
    """What a run has returned. Raises Trouble."""
    if future.status in ("cancelled", "lost"):
        raise Trouble(GONE)
    try:
        result: dict[str, Any] = future.result(timeout=ANSWER_S)
    except (Exception, asyncio.CancelledError) as error:  # whatever it is, it is that host's
        raise Trouble(f"{type(error).__name__}: {error}") from error
    if "trouble" in result:
        raise Trouble(result["trouble"])
    return result
