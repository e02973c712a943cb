"""Routes: the store of each key, and the chain of interceptors that its messages pass on the way there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar, overload

from cashews._typing import NOT_NOW, NotNowType
from cashews.backends.direct import SHUT, Direct, DirectLocks
from cashews.backends.interface import Backend, Turn
from cashews.commands import Command
from cashews.engine.chain import Interceptor, Proceed, compose
from cashews.engine.context import AMBIENT, CONCERNS, SWITCHED_OFF
from cashews.engine.coordinator.doubts import Doubts
from cashews.engine.coordinator.store_locks import StoreLocks
from cashews.engine.coordinator.wait_graph import WaitGraph
from cashews.engine.interceptors import Middleware, Switch, interceptors_of
from cashews.exceptions import NotConfiguredError
from cashews.keys.pattern import may_match_below
from cashews.messages import Get, LoadPermit, MarkLoad, Message, Ping, Set, SetLock, Unlock

R = TypeVar("R")
DIRECT: Final = frozenset({Get, Set})
DIRECT_LOCKS: Final = frozenset({SetLock, Unlock})
STRICT: Final = frozenset({Ping})
"""The messages whose failure is raised also by a store that suppresses failures: they ask whether it works."""


class Route:
    """A key prefix, the store behind it, and the chain between.

    `turns` holds the turns of the messages that no interceptor concerns; it is made anew when the configuration
    changes.
    """

    __slots__ = (
        *("_chains", "_interceptors"),
        *(
            "backend",
            "copies",
            "direct",
            "direct_locks",
            "doubts",
            "graph",
            "locks",
            "middlewares",
            "outlives",
            "prefix",
        ),
        *("switch", "turns"),
    )

    def __init__(
        self,
        prefix: str,
        backend: Backend,
        switch: Switch,
        locks: StoreLocks,
        interceptors: Callable[[Route], Sequence[Interceptor]],
        *,
        graph: WaitGraph,
    ) -> None:
        self.prefix = prefix
        self.backend = backend
        self.copies = not backend.shares
        """Whether the store keeps and returns copies of values."""
        self.outlives = backend.outlives
        """Whether other processes may use the store, too."""
        self.switch = switch
        self.middlewares: tuple[Middleware, ...] = ()
        self.graph = graph
        self.doubts = Doubts()
        """The commits of transactions whose outcome is unknown."""
        self.locks = locks
        """The queues for the locks of transactions, whose messages pass no chain."""
        self._interceptors = interceptors
        self.turns: dict[type[Message[Any]], Turn] = {}
        self.direct: Direct | None = None
        """The turns of `Get` and `Set` without a message, if they are served in place."""
        self.direct_locks: DirectLocks | None = None
        """Those of `SetLock` and `Unlock`, likewise."""
        self._chains: tuple[dict[type[Message[Any]], Proceed], ...] = _no_chains()
        """The chains by the parts of the context that concern this route, and by the type of message."""

    def __repr__(self) -> str:
        return f"<Route {self.prefix!r} -> {self.backend.name}>"

    def rebuild(self) -> None:
        """Work out again which turns are served in place."""
        interceptors = self._interceptors(self)
        self._chains = _no_chains()
        self.turns = {
            kind: turn
            for kind, turn in self.backend.turns.items()
            if not any(interceptor.concerns(kind.command) for interceptor in interceptors)
        }
        served = DIRECT & self.backend.turns.keys()
        self.direct = self.backend.direct if served and self.turns.keys() >= served else None
        self.direct_locks = self.backend.direct_locks if self.turns.keys() >= DIRECT_LOCKS else None

    def shut(self) -> None:
        """Serve nothing in place any more."""
        self.turns = {}
        self.direct = self.direct_locks = None

    def ask(self, message: Message[R]) -> Awaitable[R]:
        """Pass a message along the chain, and return its reply."""
        return self.chain(type(message))(message)

    def chain(self, kind: type[Message[Any]]) -> Proceed:
        """Return the chain of a message of this type in the current context."""
        here = AMBIENT.get()
        concerns = 0 if here is None else here.concerns
        if concerns & SWITCHED_OFF and not self.switch.is_off(kind.command):
            concerns ^= SWITCHED_OFF
        chains = self._chains[concerns]
        chain = chains.get(kind)
        if chain is None:
            chain = chains[kind] = self._compose(kind)
        return chain

    def _compose(self, kind: type[Message[Any]]) -> Proceed:
        concerned = [each for each in self._interceptors(self) if each.concerns(kind.command)]
        return compose(concerned, kind, self._core(kind))

    def _core(self, kind: type[Message[Any]]) -> Proceed:
        """Return the end of a chain."""
        if kind is SetLock:
            return self._take_lock
        return partial(self.backend.ask, strict=True) if kind in STRICT else self.backend.ask

    def _take_lock(self, message: SetLock) -> Awaitable[int]:
        """Ask the store for a lock, and note where that is: the lock is given back there."""
        if message.place is not None:
            message.place.note_place(self.backend, message.key)
        return self.backend.ask(message)

    async def announce(self, permit: LoadPermit) -> None:
        """Have the store take note of a load that is about to begin.

        This is no public command: it passes no switch, and middlewares only give the key its stored name.
        """
        name = await self.stored_name(permit.key)
        if permit.tagging is not None:
            permit.since = await self.backend.ask(MarkLoad(name))
        if self.backend.follows:
            permit.followed = True
            await self.backend.follow(name, permit)

    async def stored_name(self, key: str) -> str:
        """Return the name that the middlewares give a key on its way to the store.

        A message that is no public command goes past them, and needs this name.
        """
        if not self.middlewares:
            return key
        users = interceptors_of(self.middlewares, self.backend)
        concerned = [each for each in users if each.concerns(MarkLoad.command)]
        name = await compose(concerned, MarkLoad, _name_in)(MarkLoad(key))
        return name if isinstance(name, str) else key


async def _name_in(message: MarkLoad) -> str:
    return message.key


def _no_chains() -> tuple[dict[type[Message[Any]], Proceed], ...]:
    return tuple([{} for _ in range(CONCERNS)])


class Routes(Sequence[Route]):
    """The mounted routes, the longest prefix first; a key belongs to the first one whose prefix it begins with.

    :param changed: called when a switch or a middleware has changed
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._by_length: tuple[Route, ...] = ()
        self._off: dict[str, frozenset[Command]] = {}
        """The commands that are switched off, by prefix; they stay off when a backend is replaced."""
        self._off_elsewhere: frozenset[Command] = frozenset()
        """Those that are switched off under all other prefixes."""
        self._waiting: dict[str, tuple[Middleware, ...]] = {}
        """The middlewares for backends that are not there yet, by prefix."""
        self._by_prefix: dict[str, Route] = {}
        self._lengths: tuple[int, ...] = ()
        """The different lengths of the prefixes, the greatest first."""

    @overload
    def __getitem__(self, place: int) -> Route: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Route, ...]: ...
    def __getitem__(self, place: int | slice) -> Route | tuple[Route, ...]:
        return self._by_length[place]

    def __iter__(self) -> Iterator[Route]:
        return iter(self._by_length)

    def __len__(self) -> int:
        return len(self._by_length)

    @property
    def sole(self) -> Route | None:
        """The one route that every key belongs to, if there is just one and it has no prefix."""
        return self._by_length[0] if len(self._by_length) == 1 and not self._by_length[0].prefix else None

    def mount(self, route: Route) -> Route | None:
        """Add a route; returns the one it replaces."""
        route.switch.off = self._off.get(route.prefix, self._off_elsewhere)
        route.middlewares += self._waiting.pop(route.prefix, ())
        replaced = self._by_prefix.pop(route.prefix, None)
        self._by_prefix[route.prefix] = route
        self._by_length = tuple(sorted(self._by_prefix.values(), key=lambda each: -len(each.prefix)))
        self._lengths = tuple(dict.fromkeys(len(each.prefix) for each in self._by_length))
        return replaced

    def at(self, prefix: str) -> Route:
        """Return the route that is mounted under exactly this prefix.

        :raises NotConfiguredError: if there is none
        """
        route = self._by_prefix.get(prefix)
        if route is None:
            raise NotConfiguredError(prefix, [route.prefix for route in self._by_length])
        return route

    def of(self, key: str) -> Route:
        """Return the route of a key. It is looked for once for each length of a prefix.

        :raises NotConfiguredError: if no mounted prefix fits
        """
        by_prefix = self._by_prefix
        for length in self._lengths:
            route = by_prefix.get(key[:length])
            if route is not None:
                return route
        raise NotConfiguredError(key, [route.prefix for route in self._by_length])

    def direct(self) -> Direct:
        """Return the straight lines of the moment: to the only store, or to each by the prefix of the key."""
        sole = self.sole
        if sole is not None:
            return sole.direct or SHUT
        lines = {prefix: route.direct or SHUT for prefix, route in self._by_prefix.items()}
        return _lines_of_stores(self._lengths, lines) if any(route.direct for route in self) else SHUT

    def matching(self, pattern: str) -> list[Route]:
        """Return the routes that may hold keys which match a pattern.

        :raises NotConfiguredError: if nothing is mounted
        """
        routes = [route for route in self._by_length if may_match_below(pattern, route.prefix)]
        if not routes:
            raise NotConfiguredError(pattern, [route.prefix for route in self._by_length])
        return routes

    # --- configuration

    def switch(
        self, *, off: frozenset[Command] = frozenset(), on: frozenset[Command] = frozenset(), prefix: str | None
    ) -> None:
        """Switch commands off and on, under all prefixes or under one, for the backends that are there and to come.

        :raises NotConfiguredError: if there are backends, but none under the prefix
        """
        if prefix is None:
            self._off = {each: (commands | off) - on for each, commands in self._off.items()}
            self._off_elsewhere = (self._off_elsewhere | off) - on
        else:
            if self._by_length:  # before all setup, none is known
                self.at(prefix)
            self._off[prefix] = (self._off.get(prefix, self._off_elsewhere) | off) - on
        for route in self._by_length:
            route.switch.off = self._off.get(route.prefix, self._off_elsewhere)
        self._changed()

    def off_at(self, key: str) -> frozenset[Command]:
        """Return the commands that are declined here and now on the route of a key.

        :raises NotConfiguredError: if there are backends, but none for the key
        """
        if not self._by_length:
            return self._off.get(key, self._off_elsewhere)
        return frozenset(filter(self.of(key).switch.is_off, Command))

    def add_middleware(self, prefix: str, middleware: Middleware) -> None:
        """Add an innermost middleware to the route under a prefix; before all setup, to the backend that will be there.

        :raises NotConfiguredError: if there are backends, but none under the prefix
        """
        if not self._by_length:
            self._waiting[prefix] = (*self._waiting.get(prefix, ()), middleware)
            return
        self.at(prefix).middlewares += (middleware,)
        self._changed()


def _lines_of_stores(lengths: Sequence[int], lines: Mapping[str, Direct]) -> Direct:
    """Return the straight lines to several stores. Each looks the store up itself: a call less for every read.

    The line of a store has a name of its own before it is called: to call an attribute of an object takes longer.

    :param lengths: the different lengths of the prefixes, the greatest first
    :param lines: the straight lines to each store, by its prefix
    """

    def look(key: str) -> object:
        for length in lengths:
            direct = lines.get(key[:length])
            if direct is not None:
                line = direct.look
                return line(key)
        return NOT_NOW

    def look_hit(key: str) -> object:
        for length in lengths:
            direct = lines.get(key[:length])
            if direct is not None:
                line = direct.look_hit
                return line(key)
        return NOT_NOW

    def put(
        key: str, value: object, expire: float | None, permit: LoadPermit | None = None, instant: float | None = None
    ) -> bool | NotNowType:
        for length in lengths:
            direct = lines.get(key[:length])
            if direct is not None:
                line = direct.put
                return line(key, value, expire, permit, instant)
        return NOT_NOW

    return Direct(look, look_hit, put)
