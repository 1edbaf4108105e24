"""Decoding processes, replaced when a file breaks one."""

import queue
from collections.abc import Sequence

import structlog

from image_kit.containment.answers import Answer, Facts
from image_kit.containment.bounds import Bounds
from image_kit.containment.process import START_S, DeadError, DecodingProcess
from image_kit.reading import UNDECODABLE, ImageLimits, RefusedImage
from service_kit.errors import UnavailableError
from service_kit.server import StartError

log = structlog.get_logger()


class _Slot:
    """Room for one process; it is None where none could be started. `ended` counts those before."""

    def __init__(self) -> None:
        self.process: DecodingProcess | None = None
        self.ended = 0


class ProcessPool:
    """Decodes in processes, at most one file a process at a time.

    A file that breaks its process, hangs in it or takes too much is refused, and only that file:
    nothing else is in the process, and another one takes its place at once. Who calls waits in
    his thread; the number of threads bounds how many wait. Work that was begun is finished even
    if nobody wants it any more: it ends soon in any case, and a new process costs more.

    Args:
        count: How many processes.
        tasks: Names of what they can be asked for.
        bounds: On one image.
        max_bytes: Of one file.
    """

    def __init__(self, count: int, tasks: Sequence[str], bounds: Bounds, max_bytes: int) -> None:
        self._tasks = tasks
        self._bounds = bounds
        self._max_bytes = max_bytes
        self._slots = [_Slot() for _ in range(count)]
        # The last one that was used comes first: its memory is warm.
        self._free: queue.LifoQueue[_Slot] = queue.LifoQueue()
        self._closed = False

    def start(self) -> None:
        """Starts all processes, and waits until they are ready.

        Raises:
            StartError: One does not come up.
        """
        try:
            for slot in self._slots:
                slot.process = self._begin()
            for slot in self._slots:
                process = self._ready(slot)
                self._free.put(slot)
        except (DeadError, OSError, TimeoutError) as error:
            raise StartError(f"decoding processes: {error}") from error
        log.info("decoders_started", processes=len(self._slots), kept_within=process.confinement)

    def run(self, task: str, data: bytes, limits: ImageLimits, options: Facts) -> Answer:
        """Does a task in the next free process.

        Raises:
            RefusedImage: The file cannot be used, or costs too much.
            UnavailableError: No process can be had.
        """
        slot = self._take()
        try:
            try:
                return self._process(slot).ask(task, data, limits, options)
            except DeadError as first:
                # It may have been killed from outside, or hurt by the file before: once more.
                log.warning("decoder_ended", why=str(first), bytes=len(data))
            try:
                return self._process(slot).ask(task, data, limits, options)
            except DeadError as second:
                log.warning("decoder_ended", why=str(second), bytes=len(data))
                what = f"cannot be decoded: it ends the decoder ({second})"
                raise RefusedImage(what, UNDECODABLE) from second
        finally:
            self._put_back(slot)

    def pids(self) -> list[int]:
        """Of the processes that run now."""
        processes = [slot.process for slot in self._slots]
        return [each.pid for each in processes if each is not None and each.alive]

    @property
    def ended(self) -> int:
        """How many processes have ended and were, or are to be, replaced."""
        return sum(slot.ended for slot in self._slots)

    def close(self) -> None:
        """Ends all processes at once."""
        self._closed = True
        for slot in self._slots:
            if slot.process is not None:
                slot.process.close()

    def _take(self) -> _Slot:
        try:
            return self._free.get(timeout=START_S)
        except queue.Empty:
            raise UnavailableError("no decoder is free") from None

    def _put_back(self, slot: _Slot) -> None:
        if not self._closed and slot.process is not None and not slot.process.alive:
            self._replace(slot)  # now, so that the next file need not wait for it
        self._free.put(slot)

    def _process(self, slot: _Slot) -> DecodingProcess:
        """The slot's process, a new one if that has ended, ready to be asked."""
        try:
            if slot.process is None or not slot.process.alive:
                self._replace(slot)
            return self._ready(slot)
        except (DeadError, TimeoutError) as error:
            log.error("decoder_does_not_start", why=str(error))
            raise UnavailableError("no decoder can be started") from error

    def _replace(self, slot: _Slot) -> None:
        if slot.process is not None:
            slot.process.close()
            slot.process = None
            slot.ended += 1
        try:
            slot.process = self._begin()
        except OSError as error:  # the next file tries again
            log.error("decoder_does_not_start", why=str(error))

    def _ready(self, slot: _Slot) -> DecodingProcess:
        if slot.process is None:
            raise DeadError("did not start")
        slot.process.wait_until_ready()
        return slot.process

    def _begin(self) -> DecodingProcess:
        if self._closed:
            raise DeadError("the service stops")
        return DecodingProcess(self._tasks, self._bounds, self._max_bytes)
