"""A Dask cluster as the fleet sees it: who is there, a question to some of them, a task on one.

The only file that speaks to Dask. It is imported where a fleet is asked for, and nowhere else.
"""

import asyncio
import logging
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from multiprocessing import resource_tracker
from types import TracebackType
from typing import Any, Self

import cloudpickle
from distributed import Client, Future, LocalCluster

from bench.fleet import on_host

ANSWER_S = 10.0
"""How long scheduler and workers may take to answer what needs no work."""

RESOURCE = "dense-layer-bench"
"""A worker that was chosen for its host has one of it, and a run needs one."""

cloudpickle.register_pickle_by_value(on_host)


class Lost(Exception):
    """The scheduler is not there, or no longer."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker, as the scheduler has it."""

    address: str
    place: str  # its host's address in the network
    taken: bool  # it has the resource already: a fleet has chosen it
    last_seen: float  # by the scheduler's clock, in seconds since 1970


class Cluster:
    """The cluster of a scheduler; without an address one of a single worker on this machine."""

    def __init__(self, address: str | None, answer_s: float) -> None:
        """Raises Lost where no scheduler answers for so long."""
        _be_quiet()
        self._own: Any = None
        try:
            if address is None:
                self._own = _of_this_machine()
            self._client: Any = Client(self._own or address, timeout=answer_s, set_as_default=False)
        except (OSError, ValueError, RuntimeError) as error:
            if self._own is not None:
                self._own.close()
            raise Lost(f"no Dask scheduler answers at {address or 'this machine'}") from error

    def workers(self) -> dict[str, Worker]:
        """All workers, by address. Raises Lost."""
        identity = self._call(lambda: self._client.scheduler.identity(n_workers=-1))
        return {
            address: Worker(address, seen["host"], RESOURCE in seen["resources"], seen["last_seen"])
            for address, seen in identity["workers"].items()
            if seen["status"] in ("running", "paused")
        }

    def ask(self, workers: Iterable[str], function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function in each worker, beside its tasks -> what it returned or raised, by
        address; TimeoutError from one that doesn't answer. Raises Lost.
        """
        addresses = list(workers)

        async def answer(address: str) -> Any:
            asked = self._client.run(function, *arguments, workers=[address], on_error="return")
            try:
                return (await asyncio.wait_for(asked, ANSWER_S))[address]
            except (OSError, KeyError) as error:  # TimeoutError is one
                return error

        async def answers() -> list[Any]:
            return await asyncio.gather(*map(answer, addresses))

        return dict(zip(addresses, self._call(answers, 2 * ANSWER_S), strict=True))

    def start(self, key: str, order: dict[str, Any], worker: str) -> Future:
        """A run on this worker, once it has the resource free; begun once, never again by Dask."""
        return self._client.submit(
            on_host.run,
            order,
            key=key,
            workers=[worker],
            allow_other_workers=False,
            resources={RESOURCE: 1},
            retries=0,
            pure=False,
        )

    def cancel(self, futures: list[Future]) -> None:
        """Want them no longer: a child on a host ends as its worker hears of it."""
        if futures and self._client.status == "running":
            self._client.cancel(futures, force=True)

    def check(self) -> None:
        """Raise Lost where the connection to the scheduler is."""
        if self._client.status != "running":
            raise Lost("the scheduler is gone")

    def _call(self, function: Callable[[], Any], limit_s: float = ANSWER_S) -> Any:
        self.check()

        async def called() -> Any:
            return await function()

        try:
            return self._client.sync(called, callback_timeout=limit_s)
        except OSError as error:  # also CommClosedError and TimeoutError
            raise Lost("the scheduler does not answer") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """Leave the cluster; end one of our own."""
        self._client.close(timeout=ANSWER_S)
        if self._own is not None:
            self._own.close(timeout=ANSWER_S)


def _of_this_machine() -> Any:
    """A cluster of one worker. Ctrl-C in a terminal goes to its process, too, and must not end it
    before its run has ended: threads and processes that are started here have SIGINT blocked.
    """
    resource_tracker.ensure_running()  # which else is started later, and unblocks it
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        return LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _be_quiet() -> None:
    """What Dask logs of lost connections is said in the fleet's own words."""
    for name in ("distributed", "distributed.client", "distributed.gc", "tornado.application"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
