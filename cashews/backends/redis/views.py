"""The views that the masters of a cluster have of themselves and of each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final

from cashews._dataclass import dataclass
from cashews.backends.redis.failures import wrong_reply
from cashews.backends.redis.remote import side_by_side
from cashews.backends.redis.servers import Place
from cashews.backends.redis.survey import Survey
from cashews.backends.redis.wire import blob, pack

NODES: Final = pack(("CLUSTER", "NODES"))
SLOTS_FROM: Final = 8
"""The number of words of a node before those that name its slots."""


@dataclass(frozen=True, slots=True)
class View:
    """A master as it sees itself: its name, its slots, the names of masters that slots come from or go to."""

    name: str
    slots: frozenset[int]
    sources: frozenset[str]
    targets: frozenset[str]
    addresses: Mapping[str, tuple[str, int]]
    """The hosts and ports of all nodes that it knows, by name."""


def view_in(reply: str) -> View:
    """Return the view in a reply to `CLUSTER NODES`."""
    lines = [line.split(" ") for line in reply.splitlines() if line]
    addresses = {name: _place(address) for name, address, *_ in lines}
    (own,) = [words for words in lines if "myself" in words[2].split(",")]
    marks = own[SLOTS_FROM:]
    moving = [mark.strip("[]") for mark in marks if mark.startswith("[")]
    return View(
        own[0],
        frozenset(slot for mark in marks if not mark.startswith("[") for slot in _range(mark)),
        frozenset(mark.partition("-<-")[2] for mark in moving if "-<-" in mark),
        frozenset(mark.partition("->-")[2] for mark in moving if "->-" in mark),
        addresses,
    )


def _place(address: str) -> tuple[str, int]:
    host, _, port = address.partition("@")[0].rpartition(":")
    return host, int(port)


def _range(mark: str) -> range:
    first, _, last = mark.partition("-")
    return range(int(first), int(last or first) + 1)


async def survey_of(masters: Iterable[Place], at: Callable[[str, int], Place]) -> Survey[Place]:
    """Ask masters for their views.

    :param at: returns the place of a node by its host and port
    :raises redis.exceptions.RedisError: if one of them cannot be reached
    """
    places = list(masters)
    views = await side_by_side([partial(_view, place) for place in places])
    named = {view.name: place for place, view in zip(places, views, strict=True)}
    moves: list[tuple[Place, Place]] = []
    for place, view in zip(places, views, strict=True):
        others = {name: named.get(name) or at(*view.addresses[name]) for name in view.sources | view.targets}
        moves += [(others[name], place) for name in view.sources] + [(place, others[name]) for name in view.targets]
    return Survey({place: view.slots for place, view in zip(places, views, strict=True)}, moves)


async def _view(place: Place) -> View:
    reply = blob(await place.ask(NODES, reads=True))
    try:
        return view_in(reply.decode("utf-8", "replace"))
    except (LookupError, ValueError):
        raise wrong_reply(reply, "a list of nodes") from None
