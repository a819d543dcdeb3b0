"""Steps of a session, shared by every completion that runs on it.

A step brings events for several requests: whoever takes one puts each event where its reader looks.
Natively an awaited step runs in a thread; in a browser tab it runs between two turns of the event
loop, or is awaited from the GPU.
"""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager
from typing import Any

from puna._native import core
from puna.errors import ArgumentError, Cancelled
from puna.hooks import Hook
from puna.sources import IN_BROWSER


class Steps:
    """Readers of the events of `session`; `host` is the GPU of a browser tab."""

    def __init__(self, session: core.Session, host: Any = None) -> None:
        self._session = session
        self._host = host
        self._inboxes: dict[int, deque[core.Event]] = {}
        self._turn = threading.Lock()  # from a step until its events are where they belong
        self._in_hooks: set[int] = set()  # threads that are in a request's hook
        self._awaiting: tuple[asyncio.AbstractEventLoop, asyncio.Lock] | None = None

    def events(
        self, prompt: list[int], sampling: core.SamplerParams, options: dict[str, Any]
    ) -> Generator[core.Event]:
        """The events of a new request. The request ends with the iterator, however that ends."""
        events = self._events(prompt, sampling, options)
        next(events)  # so that a bad request is an error now, and one never read is cancelled
        return events  # type: ignore[return-value]

    async def aevents(
        self, prompt: list[int], sampling: core.SamplerParams, options: dict[str, Any]
    ) -> AsyncIterator[core.Event]:
        """The same, awaited."""
        events = self._aevents(prompt, sampling, options)
        await anext(events)
        return events  # type: ignore[return-value]

    def check(self, prompt: list[int], sampling: core.SamplerParams, options: dict[str, Any]) -> None:
        """Refuses what no request can be, and begins none."""
        self._check_outside()
        with self._turn:  # a step would begin it
            self._session.cancel(self._session.add(prompt, sampling, **options | {"hook": None}))

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No request is at work meanwhile. Those under way come to their ends first, and their events wait for
        their readers: an evaluation by hand would end them."""
        self._check_outside()
        if self._host is not None:
            from puna.browser import wait_for

            while not self._session.is_idle:
                wait_for(self._awaited_step(None))
            yield  # nobody's turn: who waited for it in a tab would wait for ever
            return
        with self._turn:
            while not self._session.is_idle:
                self._deliver(self._session.step(), None)
            yield

    def _events(
        self, prompt: list[int], sampling: core.SamplerParams, options: dict[str, Any]
    ) -> Iterator[core.Event | None]:
        request, inbox = self._add(prompt, sampling, options)
        try:
            yield None
            while request in self._inboxes:
                while inbox:
                    yield self._take(request, inbox)
                if request in self._inboxes:
                    self._step_and_wait(inbox)
        finally:
            if self._inboxes.pop(request, None) is not None:
                self._cancel(request)

    async def _aevents(
        self, prompt: list[int], sampling: core.SamplerParams, options: dict[str, Any]
    ) -> AsyncIterator[core.Event | None]:
        request, inbox = self._add(prompt, sampling, options)
        try:
            yield None
            while request in self._inboxes:
                while inbox:
                    yield self._take(request, inbox)
                if request in self._inboxes:
                    await self._awaited_step(inbox)
        finally:
            if self._inboxes.pop(request, None) is not None:
                if IN_BROWSER:
                    self._cancel(request)
                else:
                    await asyncio.to_thread(self._cancel, request)

    def _add(
        self, prompt: list[int], sampling: core.SamplerParams, options: dict[str, Any]
    ) -> tuple[int, deque[core.Event]]:
        self._check_outside()
        hook = None if options["hook"] is None else self._marked(options["hook"])
        with self._turn:  # no step may bring events before there is an inbox
            request = self._session.add(prompt, sampling, **options | {"hook": hook})
            return request, self._inboxes.setdefault(request, deque())

    def _marked(self, hook: Hook) -> Hook:
        """The hook, and that its thread is in it: there a step would wait for itself for ever."""

        def call(tokens: bytes, logits: bytearray) -> bool | bytes | None:
            thread = threading.get_ident()
            self._in_hooks.add(thread)
            try:
                return hook(tokens, logits)
            finally:
                self._in_hooks.discard(thread)

        return call

    def _check_outside(self) -> None:
        if threading.get_ident() in self._in_hooks:
            raise ArgumentError(
                "the model of a logits_processor or stopping criterion = used by it, expected another "
                "model: this one waits for the processor"
            )

    def _take(self, request: int, inbox: deque[core.Event]) -> core.Event:
        event = inbox.popleft()
        if event.finish is not None:
            del self._inboxes[request]
        return event

    def _cancel(self, request: int) -> None:
        if not self._session.closed:
            self._session.cancel(request)

    def _step_and_wait(self, inbox: deque[core.Event]) -> None:
        if self._host is None:
            self._step(inbox)
        else:
            from puna.browser import wait_for

            wait_for(self._awaited_step(inbox))

    def _step(self, inbox: deque[core.Event] | None) -> None:
        """One step, unless somebody else's has filled `inbox` by the time it is our turn."""
        self._check_outside()
        with self._turn:
            if not inbox:
                self._deliver(self._session.step(), inbox)

    async def _awaited_step(self, inbox: deque[core.Event] | None) -> None:
        async with self._lock():
            if inbox:
                return
            if self._host is not None:
                self._session.start()
                while (events := self._session.finish()) is None:
                    await self._host.ready()
                self._deliver(events, inbox)
                await asyncio.sleep(0)
            elif IN_BROWSER:
                self._step(inbox)
                await asyncio.sleep(0)
            else:
                await asyncio.to_thread(self._step, inbox)

    def _deliver(self, events: list[core.Event], inbox: deque[core.Event] | None) -> None:
        """Puts events where they belong; `inbox` is that of the request that the step was for, if it was for one."""
        for event in events:
            # Without an inbox the reader has gone since.
            if (waiting := self._inboxes.get(event.request)) is not None:
                waiting.append(event)
        if not events and inbox is not None and not inbox and self._session.is_idle:
            raise Cancelled(
                "the completion was ended by another use of the same model (eval, reset or an error)"
            )

    def _lock(self) -> asyncio.Lock:
        """One task at a time steps; a lock belongs to one event loop."""
        loop = asyncio.get_running_loop()
        if self._awaiting is None or self._awaiting[0] is not loop:
            self._awaiting = (loop, asyncio.Lock())
        return self._awaiting[1]
