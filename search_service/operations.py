"""Long work that survives a restart.

Whoever works on an operation holds a lease on it and writes down how far it came, under the
condition that nobody else has (`if_seq_no`). When the lease runs out, because its holder was
killed, another server or the next one takes it up at the step that was written down last.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import grpc
import structlog

from search_service.errors import OperationCancelledError, OperationRunningError
from search_service.operation_store import LeaseLostError, OperationStore, Record, Stored
from search_service.records import now
from service_kit import deadlines, tracing
from service_kit.errors import RetryableError, ServiceError

log = structlog.get_logger()

_LOOK_S = 5.0
_SWEEP_S = 3600.0


class Task:
    """An operation at work.

    Attributes:
        record: What is kept of it. Whoever changes it saves it.
    """

    def __init__(self, store: OperationStore, stored: Stored, lease_s: float) -> None:
        self._store = store
        self._lease_s = lease_s
        self.record, self._condition = stored
        self._saving = asyncio.Lock()

    async def save(self) -> None:
        """Writes down how far it came, and renews the lease.

        Raises:
            OperationCancelledError: It is to end.
            LeaseLostError: Somebody else works on it.
        """
        async with self._saving:
            self.record.leased_until = _milliseconds(self._lease_s)
            await self._put()
        if self.record.cancelled and not self.record.done:
            raise OperationCancelledError

    async def finish(self, response: Mapping[str, Any]) -> None:
        """Ends it."""
        async with self._saving:
            self.record.done, self.record.response = True, dict(response)
            self.record.step = "done"
            await self._put()

    async def fail(self, code: grpc.StatusCode, message: str) -> None:
        """Ends it with an error."""
        async with self._saving:
            self.record.done = True
            self.record.error = {"code": code.value[0], "message": message}
            await self._put()

    async def release(self, seconds: float = 0.0) -> None:
        """Lets others have it, after a while."""
        async with self._saving:
            self.record.leased_until = _milliseconds(seconds)
            await self._put()

    async def _put(self) -> None:
        try:
            _, self._condition = await self._store.put(self.record, self._condition)
        except LeaseLostError:
            # All that others may do to one that is leased is to ask for its end.
            stored, condition = await self._store.get(self.record.id)
            if not stored.cancelled or self.record.cancelled:
                raise
            self.record.cancelled = True
            _, self._condition = await self._store.put(self.record, condition)


Work = Callable[[Task], Awaitable[Mapping[str, Any]]]
"""Does an operation from where it is; answers its response. Undoes what it did if cancelled or
failed for good; ServiceErrors that pass are for trying again later."""


class Operations:
    """Starts operations, and works on those that nobody works on.

    Args:
        store: Where they are kept.
        works: How each kind is done.
        lease_s: How long an operation waits for the one who works on it to say so.
    """

    def __init__(self, store: OperationStore, works: Mapping[str, Work], lease_s: float) -> None:
        self.store = store
        self._works = works
        self._lease_s = lease_s
        self._look_s = min(_LOOK_S, lease_s)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._looking: asyncio.Task[None] | None = None

    def new(self, kind: str, index: str, request: dict[str, Any]) -> Record:
        """An operation that is not yet begun."""
        at = now()
        stamp = at.translate(str.maketrans("", "", "-:.TZ"))[:14]
        record_id = "-".join(filter(None, (kind, index, stamp, secrets.token_hex(3))))
        return Record(record_id, kind, index, request, at)

    async def start_only(self, record: Record) -> Record:
        """As `start`, for one that must be the only one of its kind at work on its index.

        Raises:
            OperationRunningError: It is not.
        """
        record.leased_until = _milliseconds(self._lease_s)
        stored = await self.store.create(record)
        rivals = [
            each
            for each, _ in await self.store.all(running=True)
            if (each.kind, each.index) == (record.kind, record.index) and each.id != record.id
        ]
        earlier = [
            each for each in rivals if (each.created_at, each.id) < (record.created_at, record.id)
        ]
        if earlier:
            await self.store.delete(record.id)
            raise OperationRunningError(f"operations/{earlier[0].id}")
        self._begin(stored)
        return record

    async def start(self, record: Record) -> Record:
        """Writes an operation down and begins to work on it."""
        record.leased_until = _milliseconds(self._lease_s)
        stored = await self.store.create(record)
        self._begin(stored)
        return stored[0]

    async def wait(self, operation_id: str, seconds: float) -> Record:
        """Waits until an operation has ended, or for a time."""
        end = time.monotonic() + seconds
        while True:
            record, _ = await self.store.get(operation_id)
            left = end - time.monotonic()
            if record.done or left <= 0:
                return record
            await asyncio.sleep(min(0.2, left))

    async def cancel(self, operation_id: str) -> None:
        """Asks an operation to end; one that has ended stays as it is."""
        while True:
            record, condition = await self.store.get(operation_id)
            if record.done or record.cancelled:
                return
            record.cancelled = True
            try:
                await self.store.put(record, condition)
            except LeaseLostError:
                continue  # it moved on meanwhile
            return

    async def __aenter__(self) -> "Operations":
        self._looking = asyncio.create_task(self._look())
        return self

    async def __aexit__(self, *_: object) -> None:
        working = [*self._tasks.values()] + ([self._looking] if self._looking else [])
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)

    async def _look(self) -> None:
        deadlines.begin(None)
        swept_at = -_SWEEP_S
        while True:
            try:
                if time.monotonic() - swept_at > _SWEEP_S:
                    await self.store.sweep()
                    swept_at = time.monotonic()
                for record, condition in await self.store.all(running=True):
                    if record.id in self._tasks or record.leased_until > _milliseconds(0):
                        continue
                    record.leased_until = _milliseconds(self._lease_s)
                    try:
                        self._begin(await self.store.put(record, condition))
                    except LeaseLostError:
                        continue  # another server was faster
            except ServiceError:
                pass  # Elasticsearch is away; health says so
            except Exception:
                log.exception("operations_failed")
            await asyncio.sleep(self._look_s)

    def _begin(self, stored: Stored) -> None:
        record = stored[0]
        task = Task(self.store, stored, self._lease_s)
        # It may go on for hours after the call that began it, and would be a part of its trace.
        work = asyncio.create_task(self._work(task), context=tracing.apart())
        self._tasks[record.id] = work
        work.add_done_callback(lambda _: self._tasks.pop(record.id, None))

    async def _work(self, task: Task) -> None:
        deadlines.begin(None)
        record = task.record
        log.info("operation", id=record.id, step=record.step or "begin")
        renewing = asyncio.create_task(_renew(task, self._lease_s / 3))
        try:
            response = await self._works[record.kind](task)
            await task.finish(response)
            log.info("operation_done", id=record.id)
        except asyncio.CancelledError:  # the server stops: the next one goes on
            await _quietly(task.release())
            raise
        except LeaseLostError:
            log.warning("operation_taken_over", id=record.id)
        except RetryableError as error:
            log.warning("operation_waits", id=record.id, why=str(error))
            await _quietly(task.release(self._look_s))
        except ServiceError as error:
            log.warning("operation_failed", id=record.id, why=str(error))
            await _quietly(task.fail(error.code, str(error)))
        except Exception as error:
            log.exception("operation_failed", id=record.id)
            what = f"{type(error).__name__}: {error}"
            await _quietly(task.fail(grpc.StatusCode.INTERNAL, what))
        finally:
            renewing.cancel()


async def _renew(task: Task, interval_s: float) -> None:
    while True:
        await asyncio.sleep(interval_s)
        await _quietly(task.save())


async def _quietly(act: Awaitable[None]) -> None:
    """For what will be noticed elsewhere if it fails."""
    try:
        await act
    except Exception as error:
        log.info("operation_not_saved", why=str(error))


def _milliseconds(later_s: float) -> int:
    return int((time.time() + later_s) * 1000)
