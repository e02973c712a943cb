"""Header fields as ASGI has them: looked up by name, and read as lists, integers and quoted text (RFC 9110, 5)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Final, TypeAlias

Pair: TypeAlias = tuple[bytes, bytes]
Pairs: TypeAlias = tuple[Pair, ...]

MOST_SECONDS: Final = 2**31
"""The largest number of seconds; a larger one means as much (RFC 9111, 1.2.2)."""
_MOST_DIGITS: Final = 10

_PIECE: Final = re.compile(r'"(?:[^"\\]+|\\.)*"?|[^",]+|,', re.DOTALL)
"""A quoted string, other text, or a comma. The alternatives begin differently, so nothing is tried twice."""
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_DIGITS: Final = re.compile(r"[0-9]+")


class Fields:
    """The header fields of one message; names are found in any case, lines of one name are joined."""

    __slots__ = ("_lines", "pairs")

    def __init__(self, pairs: Iterable[Iterable[bytes]] = ()) -> None:
        self.pairs: Pairs = tuple([(name, value) for name, value in pairs])
        lines: dict[bytes, list[bytes]] = {}
        for name, value in self.pairs:
            lines.setdefault(name.lower(), []).append(value)
        self._lines = lines

    def __contains__(self, name: str) -> bool:
        return name.encode("latin-1") in self._lines

    def __repr__(self) -> str:
        return f"<Fields {b', '.join(self._lines).decode('latin-1')}>"

    def get(self, name: str) -> str | None:
        """Return the value of a field, several lines joined by commas (RFC 9110, 5.3); `None` without one."""
        lines = self._lines.get(name.encode("latin-1"))
        return None if lines is None else ", ".join([line.decode("latin-1").strip(" \t") for line in lines])

    def lines(self, name: str) -> list[str]:
        """Return the lines of a field, in their order."""
        return [line.decode("latin-1").strip(" \t") for line in self._lines.get(name.encode("latin-1"), ())]

    def members(self, name: str) -> list[str]:
        """Return the members of a field that is a list, over all its lines."""
        return [member for line in self.lines(name) for member in split_list(line)]

    def without(self, names: Collection[str]) -> Pairs:
        """Return the pairs whose name, in lower case, is none of some."""
        return tuple([pair for pair in self.pairs if pair[0].decode("latin-1").lower() not in names])


def split_list(text: str) -> list[str]:
    """Return the members of a list; commas in quoted strings separate nothing, empty members are left out (5.6.1)."""
    if '"' not in text:
        return [member for piece in text.split(",") if (member := piece.strip(" \t"))]
    members: list[list[str]] = [[]]
    for piece in _PIECE.findall(text):
        if piece == ",":
            members.append([])
        else:
            members[-1].append(piece)
    return [member for pieces in members if (member := "".join(pieces).strip(" \t"))]


def unquoted(text: str) -> str:
    """Return the text of a quoted string, or the text itself if it is none (RFC 9110, 5.6.4)."""
    if len(text) > 1 and text[0] == text[-1] == '"':
        return _ESCAPED.sub(r"\1", text[1:-1])
    return text


def delta_seconds(text: str) -> int | None:
    """Return a number of seconds, at most 2**31; `None` for anything but digits (RFC 9111, 1.2.2)."""
    if not _DIGITS.fullmatch(text):
        return None
    digits = text.lstrip("0")
    return min(int(digits or "0"), MOST_SECONDS) if len(digits) <= _MOST_DIGITS else MOST_SECONDS
