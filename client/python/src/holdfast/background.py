# SPDX-License-Identifier: Apache-2.0
"""A thread that turns an event loop, and what other threads have it do."""
from __future__ import annotations

import asyncio
import threading
from concurrent.futures import CancelledError
from typing import Any, Callable, Coroutine, Generic, Optional, TypeVar

from . import errors

_T = TypeVar("_T")


class Background:
    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(_handle_exception)
        self._thread = threading.Thread(target=self._turn, name="holdfast", daemon=True)
        self._thread.start()

    @property
    def is_open(self) -> bool:
        return self._thread.is_alive()

    def run(
        self,
        work: Callable[[], Coroutine[Any, Any, _T]],
        undo: Callable[[_T], object] = lambda result: None,
        on_start: Callable[[Callable[[], object]], object] = lambda cancel: None,
    ) -> _T:
        """Its result. `on_start` is told how another thread may cancel it. Where that, or an interrupt of this
        thread, comes just when the work is done, it is undone."""
        if threading.current_thread() is self._thread:
            raise RuntimeError("what waits must not be called from the library's callbacks")
        if not self.is_open:
            raise errors.Cancelled("the client was closed")
        job = _Job(work, undo, self._loop)
        on_start(job.cancel)
        return job.result()

    def _turn(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


class _Job(Generic[_T]):
    """One piece of work. What it came to is known in the loop's thread first, so it is undone there."""

    def __init__(
        self,
        work: Callable[[], Coroutine[Any, Any, _T]],
        undo: Callable[[_T], object],
        loop: asyncio.AbstractEventLoop,
    ):
        self._undo = undo
        self._loop = loop
        self._task: Optional[asyncio.Task[_T]] = None
        self._future = asyncio.run_coroutine_threadsafe(self._track(work), loop)

    async def _track(self, work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        self._task = asyncio.current_task()
        return await work()

    def cancel(self) -> None:
        """From any thread; nothing happens when the result has been told."""
        if not self._future.done():
            self._loop.call_soon_threadsafe(self._take_back, False)

    def result(self) -> _T:
        try:
            return self._future.result()
        except CancelledError:
            raise errors.Cancelled("the request was taken back") from None
        except KeyboardInterrupt:
            self._loop.call_soon_threadsafe(self._take_back, True)
            raise

    def _take_back(self, is_unheard: bool) -> None:
        if (self._future.cancel() or is_unheard) and self._task is not None:
            self._task.add_done_callback(self._undo_result)

    def _undo_result(self, task: asyncio.Task[_T]) -> None:
        if not task.cancelled() and task.exception() is None:
            self._undo(task.result())


def _handle_exception(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """gRPC wakes every event loop of the process for the events of one; who comes late finds nothing."""
    if not isinstance(context.get("exception"), BlockingIOError):
        loop.default_exception_handler(context)
