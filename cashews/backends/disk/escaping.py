"""Escaping of text for SQLite: UTF-8 cannot encode lone surrogates, which text from `os.fsdecode` may contain.

A lone surrogate is *escaped* as the noncharacter U+FDD0 and four hexadecimal digits; so is U+FDD0 itself. All other
text stays unchanged. Escaping is one to one, and texts with a common beginning keep one when they are escaped. Messages
are escaped before a server sees them, and replies are unescaped after it, so turns work on escaped text only. The one
exception are patterns: they stay as they are, because turns match them against unescaped keys.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from operator import is_
from typing import Any, Final

from cashews import messages as m
from cashews._dataclass import fields, replace
from cashews.backends.disk.lane import Part, Server

MARKER: Final = "\ufdd0"
SPECIAL: Final = re.compile("[\ud800-\udfff\ufdd0]")
ESCAPED: Final = re.compile("\ufdd0([0-9a-f]{4})")
TEXTS: Final = frozenset({"key", "many", "pairs", "value", "values", "tags", "locks", "writes"})
"""The fields of messages that bring text into a file."""
KEYED: Final[frozenset[Any]] = frozenset({m.Get, m.Recall, m.GetHit, m.Set, m.Exists, m.Incr, m.Delete})
"""The most frequent messages. Their only text is the key: their values are encoded before they come here."""


def escape(text: str) -> str:
    """Return the form in which a file holds text; the same object if nothing in it needs escaping."""
    if text.isascii() or (MARKER not in text and _is_encodable(text)):
        return text
    return SPECIAL.sub(lambda found: f"{MARKER}{ord(found[0]):04x}", text)


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def unescape(stored: str) -> str:
    """Return the text that a file holds in escaped form."""
    if stored.isascii() or MARKER not in stored:
        return stored
    return ESCAPED.sub(lambda found: chr(int(found[1], 16)), stored)


# --- texts inside of messages


def escape_in(part: Any) -> Any:
    """Return a field of a message with its texts escaped; the same object if none of them changes."""
    return next((escape_part(part) for kind, escape_part in ESCAPERS if isinstance(part, kind)), part)


def _escape_items(items: tuple[object, ...]) -> tuple[object, ...]:
    new = tuple([escape_in(item) for item in items])
    return items if all(map(is_, items, new)) else new


def _escape_keys(pairs: Mapping[str, object]) -> Mapping[str, object]:
    return {escape(key): value for key, value in pairs.items()}


_texts: dict[type[m.Message[Any]], tuple[str, ...]] = {}


def texts_of(kind: type[m.Message[Any]]) -> tuple[str, ...]:
    """Return the names of those fields of a message that bring text into a file."""
    names = _texts.get(kind)
    if names is None:
        names = tuple([field.name for field in fields(kind) if field.name in TEXTS])  # type: ignore[arg-type]  # every message is a dataclass
        _texts[kind] = names
    return names


def escape_message(message: m.Message[Any]) -> m.Message[Any]:
    """Return a message with its texts escaped; the same object if none of them changes."""
    changed: dict[str, Any] = {}
    for name in texts_of(message.__class__):
        part = getattr(message, name)
        new = escape_in(part)
        if new is not part:
            changed[name] = new
    return replace(message, **changed) if changed else message  # type: ignore[type-var]  # every message is a dataclass


ESCAPERS: Final[Sequence[tuple[type, Callable[[Any], object]]]] = (
    (str, escape),
    (tuple, _escape_items),
    (Mapping, _escape_keys),
    (m.Message, escape_message),
)


# --- texts inside of replies


def unescape_in(reply: Any) -> Any:
    """Return a reply, or a part of one, with its texts unescaped."""
    unescape_part = UNESCAPERS.get(reply.__class__)
    return reply if unescape_part is None else unescape_part(reply)


def _unescape_page(page: m.Page[Any]) -> m.Page[Any]:
    return m.Page([unescape_in(item) for item in page.items], page.cursor)


def _unescape_state(state: m.State) -> m.State:
    return replace(
        state, value=unescape_in(state.value), members=unescape_in(state.members), tags=unescape_in(state.tags)
    )


UNESCAPERS: Final[Mapping[type, Callable[[Any], object]]] = {
    str: unescape,
    tuple: lambda items: tuple([unescape_in(item) for item in items]),
    list: lambda items: [unescape_in(item) for item in items],
    frozenset: lambda items: frozenset([unescape_in(item) for item in items]),
    m.Page: _unescape_page,
    m.State: _unescape_state,
}


class Escaping(Server):
    """A server in front of another one: it escapes the messages for it and unescapes its replies."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def serve(self, letters: Sequence[Part]) -> None:
        for letter in letters:
            message: Any = letter.message
            if message.__class__ not in KEYED or not message.key.isascii():
                letter.message = escape_message(message)
        self._server.serve(letters)
        for letter in letters:
            if letter.outcome.__class__ in UNESCAPERS:
                letter.outcome = unescape_in(letter.outcome)

    def hurry(self) -> None:
        self._server.hurry()

    def close(self) -> None:
        self._server.close()
