"""Statements of an application about its responses: for how long, and under which tags, they may be kept."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from inspect import Parameter, Signature
from typing import Any

from cashews._typing import Duration
from cashews.contrib.asgi._types import App, Message, Receive, Scope, Send
from cashews.contrib.http.fields import Fields
from cashews.exceptions import WrongArgumentError
from cashews.ttl import seconds


@dataclass(frozen=True, eq=False)
class CacheFor:
    """The fields that make such a statement.

    It is a dependency of FastAPI (``dependencies=[Depends(cache_for(max_age="1m"))]``), wraps any ASGI application
    (``cache_for(max_age="1m").around(app)``), and has the `fields` for everything else.
    """

    fields: Mapping[str, str]

    @property
    def __signature__(self) -> Signature:
        """The parameters that FastAPI fills: the response, of the class that FastAPI itself has loaded."""
        responses = sys.modules.get("starlette.responses")
        kind: Any = Any if responses is None else responses.Response
        return Signature([Parameter("response", Parameter.POSITIONAL_OR_KEYWORD, annotation=kind)])

    async def __call__(self, response: Any) -> None:
        """Set the fields on a response of Starlette that has none of its own."""
        for name, value in self.fields.items():
            response.headers.setdefault(name, value)

    def around(self, app: App) -> App:
        """Return an application whose successful responses have the fields, but for those they have already."""
        return partial(self._serve, app)

    async def _serve(self, app: App, scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, partial(self._send, send) if scope["type"] == "http" else send)

    async def _send(self, send: Send, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] < 400:  # noqa: PLR2004  the first error
            response = Fields(message.get("headers", ()))
            added = [(name, value) for name, value in self.fields.items() if name not in response]
            message = {**message, "headers": [*response.pairs, *[(n.encode(), v.encode("latin-1")) for n, v in added]]}
        await send(message)


def cache_for(
    *,
    max_age: Duration | None = None,
    s_maxage: Duration | None = None,
    swr: Duration | None = None,
    sie: Duration | None = None,
    private: bool = False,
    tags: Iterable[str] = (),
) -> CacheFor:
    """Return the statement that a response may be kept.

    :param max_age: for how long it is fresh
    :param s_maxage: likewise, for shared caches alone; they serve nothing stale then
    :param swr: for how long it may be served stale while a new one is loaded
    :param sie: likewise, where the application fails
    :param private: only by the client itself
    :param tags: names to purge it by: ``http.purge(tag="user:1")``, or ``cache.delete_tags("user:1")``
    :raises WrongArgumentError: if nothing is stated, or a tag has a comma or space in it
    """
    ages = {"max-age": max_age, "s-maxage": s_maxage, "stale-while-revalidate": swr, "stale-if-error": sie}
    lengths = {name: seconds(each, name) for name, each in ages.items()}
    members = ["private"] if private else []
    members += [f"{name}={int(length)}" for name, length in lengths.items() if length is not None]
    given = tuple(tags)
    if not (members or given):
        raise WrongArgumentError("cache_for()", None, "at least one of its options")
    fields = {"cache-control": ", ".join(members)} if members else {}
    for tag in given:
        if not tag.isprintable() or not tag.isascii() or "," in tag or '"' in tag or tag != tag.strip():
            raise WrongArgumentError("tags", tag, "visible ASCII without commas and quotes")
    if given:
        fields["cache-tag"] = ", ".join(given)
    return CacheFor(fields)
