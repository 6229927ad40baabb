"""How an integration calls the application's functions of an identity: `check`, `allow` and `load_user`.

Knows no framework. One function works in synchronous and in asynchronous code, as far as the integration can run it.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aveverify.errors import ConfigurationError, Problem

# Makes a coroutine function callable from synchronous code, as `asgiref.sync.async_to_sync` does.
Run = Callable[[Callable[..., Any]], Callable[..., Any]]

# What is wrong with a coroutine function where nothing awaits it.
NEEDS_ASYNC: Final = "a coroutine function needs an asynchronous middleware"


class AppCalls:
    """Calls the application's functions, from synchronous and from asynchronous code.

    Args:
        run: Runs a coroutine function to its end; None where synchronous code cannot.
    """

    __slots__ = ("_run",)

    def __init__(self, run: Run | None = None) -> None:
        self._run = run

    def call(self, name: str, function: Callable[..., Any], argument: object) -> Any:  # noqa: ANN401 - what it returns
        """Call a function from synchronous code.

        Args:
            name: How the option is called.
            function: The application's function.
            argument: Its one argument.

        Returns:
            What it returns, awaited where it can be.

        Raises:
            ConfigurationError: What it returns must be awaited, and nothing can.
        """
        result = function(argument)
        return self.finish(name, result) if is_awaitable(result) else result

    def needs_thread(self, function: Callable[..., Any]) -> bool:
        """Tell whether asynchronous code calls a function in a thread of its own, for an integration with threads.

        Args:
            function: The application's function.

        Returns:
            Whether it does: here, never.
        """
        del function
        return False

    async def call_async(self, function: Callable[..., Any], argument: object) -> Any:  # noqa: ANN401 - what it returns
        """Call a function without blocking the event loop; see `call`."""
        result = function(argument)
        return await result if is_awaitable(result) else result

    def finish(self, name: str, awaitable: object) -> object:
        """Run an awaitable to its end, from synchronous code.

        Args:
            name: How the option is called that returned it.
            awaitable: The awaitable.

        Returns:
            Its result.

        Raises:
            ConfigurationError: Nothing here can.
        """
        try:
            if self._run is None:
                raise ConfigurationError(Problem.OUT_OF_RANGE, name, NEEDS_ASYNC)
            return self._run(_wait_for)(awaitable)
        finally:
            if inspect.iscoroutine(awaitable):
                # Where `run` refuses, as inside a running event loop, nothing else would.
                awaitable.close()


def is_awaitable(value: object) -> bool:
    """Tell whether a value is to be awaited."""
    # Every proxy of Werkzeug looks awaitable by its class, whatever it stands for.
    return inspect.isawaitable(value) and (inspect.isgenerator(value) or hasattr(value, "__await__"))


async def _wait_for(awaitable: Awaitable[object]) -> object:
    return await awaitable
