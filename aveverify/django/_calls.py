"""How Django calls the project's functions: one function, synchronous or not, works under WSGI and under ASGI.

A synchronous one may ask the database under ASGI: it runs in the thread that Django uses for it. HTP-044.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from asgiref.sync import async_to_sync, iscoroutinefunction, sync_to_async
from django.db import connections

from aveverify._http.app_calls import AppCalls, is_awaitable
from aveverify._http.option_checks import is_coroutine_function


class DjangoCalls(AppCalls):
    """Calls the project's functions; from asynchronous code, synchronous ones as Django calls synchronous views."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(async_to_sync)

    def call(self, name: str, function: Callable[..., Any], argument: object) -> Any:  # noqa: ANN401 - what it returns
        """Call a function from synchronous code, which may run in a thread of Django; see `AppCalls.call`."""
        try:
            return super().call(name, function, argument)
        except StopIteration as error:
            raise _make_error() from error

    def needs_thread(self, function: Callable[..., Any]) -> bool:
        """Tell whether asynchronous code calls a function in a thread: any but a coroutine function."""
        return not (iscoroutinefunction(function) or is_coroutine_function(function))

    async def call_async(self, function: Callable[..., Any], argument: object) -> Any:  # noqa: ANN401 - what it returns
        """Call a function without blocking the event loop, and let a synchronous one ask the database."""
        if not self.needs_thread(function):
            return await function(argument)
        result = await sync_to_async(_call_in_thread)(function, argument)
        return await result if is_awaitable(result) else result

    def call_at_start(self, name: str, function: Callable[[], Any]) -> Any:  # noqa: ANN401 - what it returns
        """Call a function while the settings are read, also where a server imports the project in its event loop.

        Args:
            name: The setting that names it.
            function: The function, synchronous or not.

        Returns:
            What it returns, awaited where it can be.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self._call_here(name, function)
        # Neither the database nor `async_to_sync` works in the thread of a running event loop.
        with ThreadPoolExecutor(1) as executor:
            return executor.submit(self._call_in_own_thread, name, function).result()

    def _call_here(self, name: str, function: Callable[[], Any]) -> Any:  # noqa: ANN401 - what it returns
        try:
            result = function()
        except StopIteration as error:
            raise _make_error() from error
        return self.finish(name, result) if is_awaitable(result) else result

    def _call_in_own_thread(self, name: str, function: Callable[[], Any]) -> Any:  # noqa: ANN401 - what it returns
        try:
            return self._call_here(name, function)
        finally:
            # The thread ends, and no request would close them.
            connections.close_all()


def _call_in_thread(function: Callable[..., Any], argument: object) -> Any:  # noqa: ANN401 - what it returns
    try:
        return function(argument)
    except StopIteration as error:
        raise _make_error() from error


def _make_error() -> RuntimeError:
    # As Python makes of one that leaves a coroutine. No future of asyncio accepts a StopIteration: the request would
    # wait for its thread for ever.
    return RuntimeError("a function of the settings or of a decorator raised StopIteration")
