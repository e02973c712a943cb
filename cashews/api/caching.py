"""The decorators of a cache: each builds a strategy or a guard from what it is told, all at decoration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypedDict

from cashews._arguments import Errors, errors_of, integer, non_negative_duration, number, positive_duration
from cashews._typing import TTL, Duration
from cashews.api.decorators import CachingDecorator, IteratorDecorator
from cashews.api.keying import Keying
from cashews.engine.engine import Engine
from cashews.exceptions import UnknownArgumentError
from cashews.keys.tags import Tags, parse_tags
from cashews.runners.call import Compiled, Plan
from cashews.runners.streams import MOST_ITEMS
from cashews.strategies.conditions import Condition, parse_condition
from cashews.strategies.strategies import Early, Failover, Hit, Simple, Soft
from cashews.strategies.strategy import Strategy
from cashews.ttl import compile_ttl

if TYPE_CHECKING:
    from typing_extensions import Unpack


DAY: Final = 86_400

DYNAMIC_HITS: Final = 3

DYNAMIC_UPDATE: Final = 1


class Common(TypedDict, total=False):
    """What every caching decorator takes.

    `tags`: what `delete_tags` finds the values by: templates of the arguments (``"page:{page}"``), of the result
    (``"user:{result.id}"``), and callables ``tags(result, *args, **kwargs)`` that return several.
    `upper`: keep only what did not come from another cache. `lock`: lock the key against other processes while the
    function runs, for 60 seconds or the given lease. `protected`: concurrent calls of one key run the function once
    (on by default). `jitter`: shorten each ttl at random by up to this share, from 0 to 1. `soft_timeout`: if there is
    an old value, wait this long for a new one, serve the old one and let the load end in the background.
    `hard_timeout`: raise LoadTimeoutError if the function takes longer.
    """

    tags: Tags
    upper: bool
    lock: bool | Duration
    protected: bool
    jitter: float
    soft_timeout: Duration | None
    hard_timeout: Duration | None


class DecoratorAPI:
    """The decorators. Every ttl is a duration (see `cashews.ttl`) or a callable of the call's arguments."""

    _engine: Engine
    _strict: bool = False
    _default_errors: tuple[type[Exception], ...] = (Exception,)

    def _caching(
        self, strategy: Strategy, key: str | None, prefix: str, plan: Plan, common: Common
    ) -> CachingDecorator:
        tags = parse_tags(common.get("tags", ()))
        keying = Keying(template=key, prefix=prefix, strict=self._strict, tags=tags)
        return CachingDecorator(self._engine, strategy, keying, plan)

    def __call__(
        self,
        ttl: TTL,
        key: str | None = None,
        condition: Condition | str | None = None,
        *,
        time_condition: Duration | None = None,
        prefix: str = "",
        **common: Unpack[Common],
    ) -> CachingDecorator:
        """Return a decorator: execute, store, and answer from the store until it expires.

        What is said here holds for the other caching decorators too; `Common` lists what all of them take besides.

        :param ttl: how long a result is kept, `None` for ever
        :param key: the template of the keys, by default made of the function's name and parameters
        :param condition: what is worth keeping, see `cashews.strategies.conditions`
        :param time_condition: keep only what took at least this long
        :param prefix: put before the template, with a colon
        :raises WrongTTLError: if a duration cannot be understood
        :raises WrongArgumentError: if another argument is not allowed
        """
        return self._caching(Simple(), key, prefix, _plan(ttl, None, condition, time_condition, common), common)

    cache = __call__

    def failover(
        self,
        ttl: TTL,
        exceptions: Errors = None,
        key: str | None = None,
        condition: Condition | str | None = None,
        *,
        time_condition: Duration | None = None,
        prefix: str = "fail",
        **common: Unpack[Common],
    ) -> CachingDecorator:
        """Return a decorator: always execute; when that fails, answer with what was returned last.

        :param exceptions: the failures that are covered, those of `set_default_fail_exceptions` if `None`
        """
        strategy = Failover(errors_of(exceptions, self._default_errors))
        return self._caching(strategy, key, prefix, _plan(ttl, None, condition, time_condition, common), common)

    def set_default_fail_exceptions(self, *exceptions: type[Exception]) -> None:
        """Set what `failover` covers when it is not told, for the functions that are decorated from now on."""
        self._default_errors = errors_of(exceptions)

    def early(
        self,
        ttl: TTL,
        key: str | None = None,
        early_ttl: TTL = None,
        condition: Condition | str | None = None,
        *,
        time_condition: Duration | None = None,
        prefix: str = "early",
        background: bool = True,
        beta: float = 0.0,
        **common: Unpack[Common],
    ) -> CachingDecorator:
        """Return a decorator: answer from the store, and load anew in the background before the value expires.

        :param early_ttl: when to load anew; a third of the ttl if `None`
        :param background: load while the caller waits, if `False`; a failure then leaves the old value in use
        :param beta: load at random before that, the more likely the nearer it is and the dearer the load was (XFetch);
            1.0 is the value of the paper; without `early_ttl` it is the expiry that draws near
        """
        strategy = Early(number("beta", beta, 0), background)
        own = compile_ttl(early_ttl, "early_ttl")
        return self._caching(strategy, key, prefix, _plan(ttl, own, condition, time_condition, common), common)

    def soft(
        self,
        ttl: TTL,
        key: str | None = None,
        soft_ttl: TTL = None,
        exceptions: Errors = Exception,
        condition: Condition | str | None = None,
        *,
        time_condition: Duration | None = None,
        prefix: str = "soft",
        **common: Unpack[Common],
    ) -> CachingDecorator:
        """Return a decorator: answer from the store for a while, then load, and fall back on the store until the ttl.

        :param soft_ttl: when to load; after a third of the ttl if `None`
        :param exceptions: the failures that are covered
        """
        own = compile_ttl(soft_ttl, "soft_ttl")
        strategy = Soft(errors_of(exceptions))
        return self._caching(strategy, key, prefix, _plan(ttl, own, condition, time_condition, common), common)

    def hit(
        self,
        ttl: TTL,
        cache_hits: int,
        update_after: int = 0,
        key: str | None = None,
        condition: Condition | str | None = None,
        *,
        time_condition: Duration | None = None,
        prefix: str = "hit",
        background: bool = True,
        **common: Unpack[Common],
    ) -> CachingDecorator:
        """Return a decorator: answer a number of times from the store, then execute again.

        :param cache_hits: how many answers come from the store after each execution
        :param update_after: at which of them to load anew in the background, 0 for never
        :param background: load while the caller waits, if `False`
        """
        strategy = Hit(integer("cache_hits", cache_hits, 1), integer("update_after", update_after, 0), background)
        return self._caching(strategy, key, prefix, _plan(ttl, None, condition, time_condition, common), common)

    def dynamic(
        self,
        ttl: TTL = DAY,
        key: str | None = None,
        condition: Condition | str | None = None,
        *,
        time_condition: Duration | None = None,
        prefix: str = "dynamic",
        **common: Unpack[Common],
    ) -> CachingDecorator:
        """Return a decorator: a `hit` that serves three times and loads anew in the background at the first."""
        plan = _plan(ttl, None, condition, time_condition, common)
        return self._caching(Hit(DYNAMIC_HITS, DYNAMIC_UPDATE), key, prefix, plan, common)

    def iterator(
        self,
        ttl: TTL,
        key: str | None = None,
        condition: Condition | str | None = None,
        *,
        time_condition: Duration | None = None,
        prefix: str = "",
        jitter: float = 0.0,
        max_items: int = MOST_ITEMS,
        tags: Tags = (),
    ) -> IteratorDecorator:
        """Return a decorator of async generator functions: replay exactly what one complete run yielded.

        A run is stored when it has come to its end: not if its consumer left early, not if it raised, and not if its
        key was invalidated meanwhile. A run is read in full before its first item is replayed. Consumers that find
        nothing run the function each for itself.

        :param ttl: counts from the end of the run; a callable gets the list of its items as `result`
        :param condition: asked about every item; one that it refuses keeps the whole run from being stored
        :param time_condition: store only runs that took at least this long, without the time of their consumer
        :param jitter: shorten each ttl at random by up to this share, from 0 to 1
        :param max_items: a run that yields more is not stored
        :param tags: as in `Common`; the result is the list of the items
        """
        plan = _plan(ttl, None, condition, time_condition, {"jitter": jitter})
        keying = Keying(template=key, prefix=prefix, strict=self._strict, tags=parse_tags(tags))
        return IteratorDecorator(self._engine, keying, plan, integer("max_items", max_items, 1))


def _plan(
    ttl: TTL, own_ttl: Compiled, condition: Condition | str | None, min_cost: Duration | None, common: Common
) -> Plan:
    for name in common.keys() - Common.__annotations__.keys():
        raise UnknownArgumentError(name, Common.__annotations__)
    return Plan(
        ttl=compile_ttl(ttl),
        own_ttl=own_ttl,
        condition=parse_condition(condition),
        min_cost=non_negative_duration("time_condition", min_cost) or 0.0,
        upper=common.get("upper", False),
        lease=lease_of(common.get("lock", False)),
        protected=common.get("protected", True),
        jitter=number("jitter", common.get("jitter", 0.0), 0, 1),
        soft_timeout=non_negative_duration("soft_timeout", common.get("soft_timeout")),
        hard_timeout=positive_duration("hard_timeout", common.get("hard_timeout")),
    )


DEFAULT_LEASE: Final = 60.0
"""Seconds for which a load locks its key against other processes (`lock=True`)."""


def lease_of(lock: bool | Duration) -> float | None:  # noqa: FBT001  what users give to `lock=`
    """Return the lease that `lock=` asks for, in seconds; `None` for no lock.

    :raises WrongTTLError: if it is neither a flag nor a duration
    :raises WrongArgumentError: if it is a duration that is 0 or negative
    """
    if isinstance(lock, bool):
        return DEFAULT_LEASE if lock else None
    return positive_duration("lock", lock, "True, False, or a duration above 0")
