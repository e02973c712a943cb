"""The cache: one engine behind a face of commands and decorators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from random import Random
from types import TracebackType
from typing import Any

from cashews._arguments import command_of, commands_of, flag, runnable, runnables, text
from cashews._typing import Self
from cashews.api.blocking import Blocking, BlockingHost, opened
from cashews.api.settings import parse_setup
from cashews.backends.interface import Backend, Environment, Tracing
from cashews.clock import Clock, SystemClock
from cashews.commands import Command
from cashews.engine.chance import own_random
from cashews.engine.context import AmbientBlock, Detector, Off
from cashews.engine.engine import Engine
from cashews.engine.interceptors import Callback, Middleware
from cashews.messages.values import OnRemove

ALL = frozenset(Command)


class Cache(BlockingHost):
    """A cache over one or more backends.

    All tasks that it needs live in the block ``async with Cache.open("mem://") as cache``. Without that block, after
    `setup()`, the first use that needs a task starts it in the event loop itself.

    :param strict_keys: make different arguments always give different keys, and refuse objects without a text of their
        own
    :param clock: the source of time
    :param random: the source of chance
    """

    def __init__(
        self, name: str = "", *, strict_keys: bool = False, clock: Clock | None = None, random: Random | None = None
    ) -> None:
        """:raises WrongArgumentError: if the name is not text, or `strict_keys` neither `True` nor `False`."""
        engine = Engine(clock or SystemClock(), random or own_random(), text("name", name))
        super().__init__(engine, strict_keys=flag("strict_keys", strict_keys))
        self._ask = engine.ask  # type: ignore[method-assign]  # spares every command a call
        self._straight = engine
        self.name = name
        self.blocking = Blocking(self)
        """The same commands and decorators for plain functions, in threads without an event loop."""

    def __repr__(self) -> str:
        return f"<Cache {self.name!r} {', '.join(map(repr, self._engine.routes)) or 'not set up'}>"

    # --- lifetime

    @classmethod
    def open(
        cls,
        url: str,
        *,
        middlewares: Sequence[Middleware] = (),
        name: str = "",
        strict_keys: bool = False,
        clock: Clock | None = None,
        random: Random | None = None,
        **options: Any,
    ) -> Cache:
        """Return a cache that is set up, to be entered: ``async with Cache.open("mem://") as cache``.

        :raises SettingsError: if the URL or an option is wrong
        """
        cache = cls(name, strict_keys=strict_keys, clock=clock, random=random)
        cache.setup(url, middlewares, **options)
        return cache

    @classmethod
    def open_blocking(
        cls,
        url: str,
        *,
        middlewares: Sequence[Middleware] = (),
        name: str = "",
        strict_keys: bool = False,
        clock: Clock | None = None,
        random: Random | None = None,
        **options: Any,
    ) -> AbstractContextManager[Blocking]:
        """Return ``with Cache.open_blocking("mem://") as cache``, whose commands and decorators are those of threads.

        The cache itself, whose commands are to be awaited, is ``cache.asynchronous``.

        :raises SettingsError: if the URL or an option is wrong
        """
        cache = cls.open(
            url,
            middlewares=middlewares,
            name=name,
            strict_keys=strict_keys,
            clock=clock,
            random=random,
            **options,
        )
        return opened(cache.blocking, cache)

    async def __aenter__(self) -> Self:
        await self._engine.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._engine.leave(kind, error, trace)

    def setup(
        self,
        settings_url: str,
        middlewares: Sequence[Middleware] = (),
        prefix: str = "",
        **options: Any,
    ) -> Backend:
        """Put a backend under a key prefix, the default one under none; replaces the backend that was there.

        The backend that is returned has the commands itself: they go past switches, middlewares and transactions.

        :param settings_url: such as ``"mem://?size=500"``; options may be given in its query or as keywords. An empty
            text is a cache that is switched off
        :param middlewares: the first is the outermost
        :param options: the backend's, and `enable` or `disable`; if neither is given, what was switched off stays off
        :raises SettingsError: if the URL or an option is wrong
        :raises WrongArgumentError: if the prefix is not text, or a middleware cannot be called
        """
        read = parse_setup(settings_url, options)
        chain = runnables("middlewares", middlewares)
        backend = self._engine.mount(text("prefix", prefix), read.factory, chain)
        if read.enabled is not None:
            (self.enable if read.enabled else self.disable)(prefix=prefix)
        return backend

    def setup_tags_backend(self, settings_url: str, middlewares: Sequence[Middleware] = (), **options: Any) -> None:
        """Accept a backend for tags alone, check its URL and options, and do nothing more.

        Programs for cashews 7 call it. Here tags are stored beside the values that carry them, each on the backend of
        its value: only there can both change in one step.

        :raises SettingsError: if the URL or an option is wrong
        """
        engine = self._engine
        runnables("middlewares", middlewares)
        environment = Environment(engine.clock, engine.random, bool, lambda: None, Tracing(), engine)
        parse_setup(settings_url, options).factory(environment)

    async def init(
        self,
        settings_url: str | None = None,
        middlewares: Sequence[Middleware] = (),
        prefix: str = "",
        **options: Any,
    ) -> None:
        """Open a closed cache again, without a scope; nothing to do otherwise. With a URL, `setup()` comes first."""
        if settings_url is not None:
            self.setup(settings_url, middlewares, prefix, **options)
        await self._engine.reopen()

    def is_setup(self) -> bool:
        """Say whether a backend is set up."""
        return bool(self._engine.routes)

    @property
    def is_init(self) -> bool:
        """True if a backend is set up, and the cache is not closed."""
        return self.is_setup() and not self._engine.is_closed

    def add_middleware(self, middleware: Middleware, prefix: str = "") -> None:
        """Add an innermost middleware to a backend: to the one that is set up, or else to the first to come.

        :raises NotConfiguredError: if there are backends, but none under the prefix
        """
        self._engine.routes.add_middleware(prefix, runnable("middleware", middleware))

    # --- control

    def disable(self, *commands: Command, prefix: str | None = None) -> None:
        """Switch commands off (all, if none is named) in every task of the process, on all backends or on one.

        They stay off if a backend is set up, or another in its place, until `enable()` or `setup(..., enable=True)`.

        :raises NotConfiguredError: if there are backends, but none under the prefix
        """
        self._engine.routes.switch(off=commands_of(commands) or ALL, prefix=prefix)

    def enable(self, *commands: Command, prefix: str | None = None) -> None:
        """Switch commands on again (all, if none is named) in every task of the process.

        :raises NotConfiguredError: if there are backends, but none under the prefix
        """
        self._engine.routes.switch(on=commands_of(commands) or ALL, prefix=prefix)

    def disabling(self, *commands: Command, prefix: str | None = None) -> AmbientBlock[None]:
        """Switch commands off (all, if none is named) in this context until the block ends.

        It is also a decorator: ``@cache.disabling()`` holds while an async function runs.

        :raises NotConfiguredError: if there is no backend under the prefix
        """
        if prefix is not None:
            self._engine.backend_at(prefix)
        switched = commands_of(commands) or ALL
        return AmbientBlock("off", lambda: (Off(self._engine, switched, prefix), None))

    def is_disable(self, *commands: Command, prefix: str = "") -> bool:
        """Say whether any of the commands (of all, if none is named) is switched off here and now.

        :param prefix: the beginning of a key, or a key: the question is about the backend that it belongs to
        """
        return not self._engine.routes.off_at(prefix).isdisjoint(commands_of(commands) or ALL)

    def is_enable(self, *commands: Command, prefix: str = "") -> bool:
        """Say whether all of the commands (all, if none is named) are switched on here and now."""
        return not self.is_disable(*commands, prefix=prefix)

    @property
    def is_full_disable(self) -> bool:
        """True while every command of every backend is switched off here."""
        routes = self._engine.routes
        return all(routes.off_at(prefix) == ALL for prefix in [route.prefix for route in routes] or [""])

    # --- watching

    def callback(self, callback: Callback, cmd: Command) -> AbstractContextManager[None]:
        """Have ``callback(key, result)`` called after each command of a kind, until the block ends."""
        return self._engine.watching(runnable("callback", callback), command_of("cmd", cmd))

    def on_remove(self, listener: OnRemove, prefix: str = "") -> Callable[[], None]:
        """Have ``listener(key, value, cause)`` called for every value that leaves a backend; returns a stop function.

        :raises NotSupportedError: if the backend cannot tell
        """
        return self._engine.backend_at(prefix).on_remove(runnable("listener", listener))

    @property
    def detect(self) -> AmbientBlock[Detector]:
        """``with cache.detect as detector:`` collects a record of every answer from this cache in the block."""
        return AmbientBlock("detectors", self._detector)

    def _detector(self) -> tuple[Detector, Detector]:
        detector = Detector(self._engine)
        return detector, detector
