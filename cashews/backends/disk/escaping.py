"""Text as SQLite holds it: UTF-8 has no form for half a character, which text of `os.fsdecode` may have in it.

Such halves are *escaped*: the noncharacter U+FDD0 and four hexadecimal digits, and so is U+FDD0 itself; all other text
is what it is. Spelling is one to one, and what begins alike is escaped alike. Messages are escaped in front of a server
and replies read behind it, so turns see no other text; patterns alone stay as they are, since they match what is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from operator import is_
from typing import Any, Final

from cashews import messages as m
from cashews.backends.disk.lane import Part, Server

ESCAPE: Final = "\ufdd0"
SPECIAL: Final = re.compile("[\ud800-\udfff\ufdd0]")
ESCAPED: Final = re.compile("\ufdd0([0-9a-f]{4})")
TEXTS: Final = frozenset({"key", "many", "pairs", "value", "values", "tags", "locks", "writes"})
"""The fields of messages that have text in them which goes into a file."""
KEYED: Final[frozenset[Any]] = frozenset({m.Get, m.Recall, m.GetHit, m.Set, m.Exists, m.Incr, m.Delete})
"""The most frequent messages; the only text in them is their key, since values are bytes or numbers by now."""


def escaped(text: str) -> str:
    """Return text as it is kept; the same object if that is as it is."""
    if text.isascii() or (ESCAPE not in text and _has_a_form(text)):
        return text
    return SPECIAL.sub(lambda found: f"{ESCAPE}{ord(found[0]):04x}", text)


def _has_a_form(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def unescaped(kept: str) -> str:
    """Return the text that is kept as this."""
    if kept.isascii() or ESCAPE not in kept:
        return kept
    return ESCAPED.sub(lambda found: chr(int(found[1], 16)), kept)


# --- what has text in it


def escaped_in(part: Any) -> Any:
    """Return something with its texts escaped; the same object if they are all as they were."""
    return next((escape(part) for kind, escape in ESCAPERS if isinstance(part, kind)), part)


def _all_escaped(parts: tuple[object, ...]) -> tuple[object, ...]:
    new = tuple([escaped_in(part) for part in parts])
    return parts if all(map(is_, parts, new)) else new


def _keys_escaped(pairs: Mapping[str, object]) -> Mapping[str, object]:
    return {escaped(key): value for key, value in pairs.items()}


_texts: dict[type[m.Message[Any]], tuple[str, ...]] = {}


def texts_of(kind: type[m.Message[Any]]) -> tuple[str, ...]:
    """Return the names of the fields that have text in them which goes into a file."""
    names = _texts.get(kind)
    if names is None:
        names = tuple([field.name for field in fields(kind) if field.name in TEXTS])  # type: ignore[arg-type]  # every message is a dataclass
        _texts[kind] = names
    return names


def message_escaped(message: m.Message[Any]) -> m.Message[Any]:
    """Return a message with its texts escaped; the same object if they are all as they were."""
    changed: dict[str, Any] = {}
    for name in texts_of(message.__class__):
        part = getattr(message, name)
        new = escaped_in(part)
        if new is not part:
            changed[name] = new
    return replace(message, **changed) if changed else message  # type: ignore[type-var]  # every message is a dataclass


ESCAPERS: Final[Sequence[tuple[type, Callable[[Any], object]]]] = (
    (str, escaped),
    (tuple, _all_escaped),
    (Mapping, _keys_escaped),
    (m.Message, message_escaped),
)


def unescaped_in(reply: Any) -> Any:
    """Return a reply, or a part of it, with its texts read."""
    reader = UNESCAPERS.get(reply.__class__)
    return reply if reader is None else reader(reply)


def _unescape_page(page: m.Page[Any]) -> m.Page[Any]:
    return m.Page([unescaped_in(item) for item in page.items], page.cursor)


def _unescape_state(state: m.State) -> m.State:
    return replace(
        state, value=unescaped_in(state.value), members=unescaped_in(state.members), tags=unescaped_in(state.tags)
    )


UNESCAPERS: Final[Mapping[type, Callable[[Any], object]]] = {
    str: unescaped,
    tuple: lambda parts: tuple([unescaped_in(part) for part in parts]),
    list: lambda parts: [unescaped_in(part) for part in parts],
    frozenset: lambda parts: frozenset([unescaped_in(part) for part in parts]),
    m.Page: _unescape_page,
    m.State: _unescape_state,
}


class Escaping:
    """A server in front of another, which spells for it and reads what it answers."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def serve(self, letters: Sequence[Part]) -> None:
        """Give each letter its outcome."""
        for letter in letters:
            message: Any = letter.message
            if message.__class__ not in KEYED or not message.key.isascii():
                letter.message = message_escaped(message)
        self._server.serve(letters)
        for letter in letters:
            if letter.outcome.__class__ in UNESCAPERS:
                letter.outcome = unescaped_in(letter.outcome)

    def hurry(self) -> None:
        """Wait for nobody from now on."""
        self._server.hurry()

    def close(self) -> None:
        """Let go of everything."""
        self._server.close()
