"""The base of a cache's face: the engine behind it, and the settings that its parts share."""

from __future__ import annotations

from cashews.api.keying import Keying
from cashews.engine.engine import Engine
from cashews.keys.names import Claims
from cashews.keys.tags import Tag, TagRules
from cashews.runners.defaults import default_loader


class Face:
    """The attributes of a cache; its parts are classes that add methods to them.

    :param strict_keys: make different arguments always give different keys
    """

    def __init__(self, engine: Engine, *, strict_keys: bool) -> None:
        self._engine = engine
        self._locks_here = engine.locks_here
        self._strict = strict_keys
        self._tag_rules = TagRules()
        self._claims = Claims()
        self._default_loader = default_loader(engine)
        self._default_errors: tuple[type[Exception], ...] = (Exception,)
        """The failures that `failover` covers if it is not told."""

    def _keying(
        self,
        template: str | None,
        prefix: str,
        *,
        tags: tuple[Tag, ...] = (),
        argument: str = "key",
        answers: bool = False,
    ) -> Keying:
        """Return the maker of a decorator's keys; `argument` is the decorator's name for its template."""
        return Keying(
            template=template,
            prefix=prefix,
            strict=self._strict,
            argument=argument,
            tags=tags,
            rules=self._tag_rules,
            answers=answers,
            claims=self._claims,
        )


def engine_of(cache: Face) -> Engine:
    """Return the engine of a cache, for parts of the package that work beneath its commands."""
    return cache._engine  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  the one place where they reach it
