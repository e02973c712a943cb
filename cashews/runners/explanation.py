"""Explanations: all that a cache knows of a call before it is made; the function is not run, and nothing changes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from cashews._dataclass import dataclass
from cashews.commands import Command
from cashews.engine.context import undisturbed
from cashews.engine.engine import Engine
from cashews.engine.flights import waiting_for
from cashews.exceptions import NoKeyError
from cashews.messages import GetExpire, GetKeyTags, LockTimeLeft
from cashews.runners.call import Call, Plan, Target
from cashews.runners.stages import load_lock_name
from cashews.strategies.strategy import Load, LoadOrServe, Serve, ServeAndRefresh, Verdict

TEXTS: Mapping[type[Verdict], str] = {
    Serve: "serve",
    ServeAndRefresh: "serve and refresh",
    Load: "load",
    LoadOrServe: "load or serve",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """All that a cache knows of a call: its key, the finding in the store, and what the call would do now.

    `key`: `None` if the call can have none, for the `reason`. `route`, `store`: the key prefix and the backend below.
    `found`: whether the store has a value. `age`, `ttl_left`: the seconds since it was stored and until it expires, to
    the second; `None` if that is unknown, or never. `verdict`: "serve", "serve and refresh", "load", "load or serve"
    (load, and serve the value if that fails), or "run" for a call that the cache can do nothing for. `tags`: those of
    the stored value, or the known ones of the value to come. `loads`, `waiters`: the loads of this key that run in this
    process, and the calls that wait for them. `refreshing`: whether a refresh waits or runs. `locked_for`: the seconds
    that the lock of a load with `lock=` has left, in whichever process; `None` if it is free. `is_off`: whether reads
    are switched off here.
    """

    function: str
    key: str | None = None
    reason: str = ""
    route: str = ""
    store: str = ""
    found: bool = False
    age: float | None = None
    ttl_left: float | None = None
    verdict: str = "run"
    tags: tuple[str, ...] = ()
    loads: int = 0
    waiters: int = 0
    refreshing: bool = False
    locked_for: float | None = None
    is_off: bool = False

    def __str__(self) -> str:
        if self.key is None:
            return f"{self.function}: no key, so the function runs uncached\n  {self.reason}"
        off = ", reads are switched off here" if self.is_off else ""
        rows = {
            "function": self.function,
            "store": f"{self.store}, under the prefix {self.route!r}{off}",
            "found": self._finding(),
            "verdict": self.verdict,
            "tags": ", ".join(self.tags) or "none",
            "loading": ", ".join(self._loading()) or "nobody",
        }
        return "\n".join([self.key, *(f"  {name:<9}{text}" for name, text in rows.items())])

    def _finding(self) -> str:
        if not self.found:
            return "nothing"
        age = "a value of unknown age" if self.age is None else f"a value {self.age:g} s old"
        return f"{age}, " + ("without an end" if self.ttl_left is None else f"{self.ttl_left:g} s left")

    def _loading(self) -> list[str]:
        parts = [f"{self.loads} in this process, {self.waiters} wait"] if self.loads else []
        if self.refreshing:
            parts.append("a refresh")
        if self.locked_for is not None:
            parts.append(f"a lock in the store, {self.locked_for:g} s left")
        return parts


@dataclass(frozen=True, slots=True)
class Explainer:
    """Explains the calls of one function."""

    engine: Engine
    target: Target
    plan: Plan
    name: str
    look: Callable[[str], Awaitable[tuple[bool, Verdict]]]
    """Looks at the stored value of a key: says whether there is one, and the verdict on it."""
    is_refreshing: Callable[[str], bool]

    async def __call__(self, *args: Any, **kwargs: Any) -> Explanation:
        """Explain a call. Transactions and `invalidate_further()` of the caller have no part in it."""
        try:
            call = self.target.call(args, kwargs)
        except NoKeyError as error:
            return Explanation(function=self.name, reason=str(error))
        with undisturbed():
            return await self._explain(call)

    async def _explain(self, call: Call) -> Explanation:
        engine, key = self.engine, call.key
        found, verdict = await self.look(key)
        left = await engine.ask(GetExpire(key)) if found else -1
        loads = engine.permits.of(key)
        return Explanation(
            function=self.name,
            key=key,
            route=engine.routes.of(key).prefix,
            store=engine.backend_of(key).name,
            found=found,
            age=self._age(left),
            ttl_left=left if left >= 0 else None,
            verdict=TEXTS[type(verdict)],
            tags=await engine.ask(GetKeyTags(key)) if found else self._tags(call),
            loads=len(loads),
            waiters=waiting_for(loads),
            refreshing=self.is_refreshing(key),
            locked_for=None if self.plan.lease is None else await engine.ask(LockTimeLeft(load_lock_name(key))),
            is_off=engine.is_off(Command.GET, key),
        )

    def _age(self, left: int) -> float | None:
        ttl = self.plan.ttl
        fixed = isinstance(ttl, (int, float)) and not self.plan.jitter
        return max(ttl - left, 0.0) if fixed and left >= 0 else None  # type: ignore[operator]  # `fixed` says so

    def _tags(self, call: Call) -> tuple[str, ...]:
        try:
            tagging = self.target.tagging(call)
        except Exception:  # noqa: BLE001  of the user's own callable: it is said when the call is made
            return ()
        return () if tagging is None else tagging.tags
