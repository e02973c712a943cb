"""The runner of functions of many ids: it reads all ids in one message, and has the missing ones loaded in one run."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any

from cashews._typing import ABSENT
from cashews.engine.engine import Engine
from cashews.engine.observing import Source
from cashews.exceptions import NoKeyError
from cashews.messages import DeleteMany, Recall, RecallMany
from cashews.runners.call import Plan, Target, answer_of
from cashews.runners.explanation import Explainer, Explanation
from cashews.runners.ids import Ids
from cashews.runners.joint import JointLoader
from cashews.runners.observer import CallObserver
from cashews.runners.runner import JUDGED
from cashews.runners.wanted import Wanted
from cashews.strategies.entry import Raised
from cashews.strategies.strategy import LOAD, Serve, Verdict, outcome_of


class ManyRunner:
    """Answers the calls of one decorated function of many ids, which returns a mapping.

    :param target: the function, with the keys and tags of calls of one id
    :param absent: whether ids that the function leaves out are remembered as absent, in the form of `None`
    """

    def __init__(self, engine: Engine, target: Target, ids: Ids, plan: Plan, *, absent: bool) -> None:
        self._engine = engine
        self._target = target
        self._ids = ids
        self._absent = absent
        self.observer = CallObserver(engine, target.function, "many", plan)
        self._explainer = Explainer(engine, target, plan, self.observer.name, self._look, _is_refreshing)
        self._loader = JointLoader(engine, target, ids, plan, self.observer, absent=absent)

    def decorated(self) -> Callable[..., Coroutine[Any, Any, dict[Hashable, Any]]]:
        """Return the function that users call."""

        @wraps(self._target.function)
        async def many(*args: Any, **kwargs: Any) -> dict[Hashable, Any]:
            return await self._answer(args, kwargs)

        return many

    async def _answer(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[Hashable, Any]:
        order, wanted = self._ids.of(args, kwargs), Wanted(args, kwargs)
        keyed, keys = self._keys(wanted, order)
        try:
            found = await self._read(keys)
        except Exception as error:  # noqa: BLE001  of a middleware, or the cache is closed
            self.observer.tolerate(error, "read")
            self.observer.counts.others += len(keys)
            loaded = await self._ids.run(self._target.function, order, args, kwargs)
            return self._result({one: loaded[one] for one in order if one in loaded})
        self._sort(wanted, keyed, keys, found)
        values = wanted.values
        if missing := [*wanted.keys, *wanted.keyless]:
            await self._loader.load(wanted)
            for one in missing:
                if values[one] is ABSENT:
                    del values[one]
        return self._result(values)

    def _result(self, values: dict[Hashable, Any]) -> dict[Hashable, Any]:
        return {one: value for one, value in values.items() if value is not None} if self._absent else values

    def _keys(self, wanted: Wanted, order: Sequence[Hashable]) -> tuple[Sequence[Hashable], Sequence[str]]:
        """Return the ids that can have a key, and their keys; note the others."""
        args, kwargs, key_of, keys_of = wanted.args, wanted.kwargs, self._target.key, self._ids.keys
        try:
            return order, keys_of(key_of, order, args, kwargs)
        except NoKeyError:
            wanted.values = dict.fromkeys(order, ABSENT)
        keyed: dict[Hashable, str] = {}
        for one in order:
            try:
                keyed[one] = keys_of(key_of, (one,), args, kwargs)[0]
            except NoKeyError as error:
                self.observer.note(error, "key")
                self.observer.counts.others += 1
                wanted.keyless.append(one)
        return list(keyed), list(keyed.values())

    # --- hits

    async def _read(self, keys: Sequence[str]) -> tuple[object, ...]:
        """Read all ids in one message."""
        if not keys:
            return ()
        found: tuple[object, ...] = await self._engine.ask(RecallMany(tuple(keys), ABSENT))
        return found

    def _sort(self, wanted: Wanted, ids: Sequence[Hashable], keys: Sequence[str], found: Iterable[object]) -> None:
        """Take the values that were found, and note the ids that are to be loaded; raise a stored exception."""
        values, missing = wanted.values, wanted.keys
        failure: Raised | None = None
        for one, key, value in zip(ids, keys, found, strict=True):
            if type(value) in JUDGED:
                if value is ABSENT:
                    missing[one] = key
                elif type(outcome := outcome_of(value)) is Raised:
                    value, failure = outcome, failure or outcome  # noqa: PLW2901  told, and raised once all are counted
                else:  # of a decorator of another strategy
                    value = answer_of(outcome, shared=True)  # noqa: PLW2901  its answer in its place
            values[one] = value
        counts = self.observer.counts
        counts.hits += len(ids) - len(missing)
        counts.others += len(missing)
        if self.observer.is_watched():
            self._tell(wanted, ids, keys)
        if failure is not None:
            raise failure.fresh()

    def _tell(self, wanted: Wanted, ids: Sequence[Hashable], keys: Sequence[str]) -> None:
        for one, key in zip(ids, keys, strict=True):
            if one in wanted.keys:
                self.observer.missed(key)
            else:
                call = self._ids.call(one, wanted.args, wanted.kwargs, key)
                self.observer.answered(Source.HIT, call, outcome_of(wanted.values[one]))

    # --- the methods of a decorated function

    async def invalidate(self, *args: Any, **kwargs: Any) -> None:
        """Remove the stored values of a call's ids."""
        _, keys = self._keys(Wanted(args, kwargs), self._ids.of(args, kwargs))
        if keys:
            await self._engine.ask(DeleteMany(tuple(keys)))

    async def explain(self, *args: Any, **kwargs: Any) -> dict[Hashable, Explanation]:
        """Explain the part of each id in a call."""
        explanations: dict[Hashable, Explanation] = {}
        for one in self._ids.of(args, kwargs):
            call = self._ids.call(one, args, kwargs, "")
            explanations[one] = await self._explainer(*call.args, **call.kwargs)
        return explanations

    async def _look(self, key: str) -> tuple[bool, Verdict]:
        found = await self._engine.ask(Recall(key, ABSENT))
        return (False, LOAD) if found is ABSENT else (True, Serve(outcome_of(found)))


def _is_refreshing(_: str) -> bool:
    return False  # ids are loaded for their callers
