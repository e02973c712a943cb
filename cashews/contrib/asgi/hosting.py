"""The parts of an HTTP cache that its exchanges share, and the requests that they are about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from cashews._dataclass import dataclass
from cashews.contrib.asgi._types import App, Receive, Scope, Send
from cashews.contrib.asgi.replies import StatusSigner
from cashews.contrib.asgi.responses import Responses
from cashews.contrib.http.fields import Fields
from cashews.contrib.http.policy import Rules
from cashews.contrib.http.status import Forward


@dataclass(frozen=True, slots=True)
class Settings:
    """The options of an HTTP cache that concern a single response."""

    rules: Rules
    signature: StatusSigner
    max_body: int
    chunk: int
    collapse: bool
    lock: bool


@dataclass(slots=True)
class Client:
    """A request as it came, and the reason for which it goes on to the application.

    `strips` says that the cache answers the client's conditions itself; `url` is its form in keys. `leave` is called
    once nobody has a use for the rest of the response: by a load in the background, which stores nothing then.
    """

    scope: Scope
    receive: Receive
    send: Send
    request: Fields
    url: str
    group: Callable[[str, str], str]
    forward: Forward = Forward.URI_MISS
    strips: bool = False
    leave: Callable[[], None] | None = None


class ExchangeHost(Protocol):
    """An HTTP cache as its exchanges see it."""

    @property
    def app(self) -> App:
        """The application."""
        ...

    @property
    def responses(self) -> Responses:
        """The stored responses."""
        ...

    @property
    def settings(self) -> Settings:
        """The options."""
        ...

    def passes(self, place: str) -> bool:
        """Say whether the responses of a place have lately been for one client each."""
        ...

    def pass_by(self, place: str, *, passing: bool) -> None:
        """Take note of whether they are."""
        ...

    def count(self, event: str) -> None:
        """Count an outcome."""
        ...
