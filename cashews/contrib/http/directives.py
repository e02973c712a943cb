"""Cache directives: of Cache-Control, of its targeted relatives (RFC 9213), and those that a client asks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from cashews.contrib.http.fields import Fields, delta_seconds, split_list, unquoted
from cashews.contrib.http.structured import Token, parse_dictionary

OWN_TARGET: Final = "cashews-cache-control"
"""The targeted field that is meant for this cache alone; it goes no further."""
_IN_SECONDS: Final = frozenset({"max-age", "s-maxage", "stale-while-revalidate", "stale-if-error"})
_NAMING_FIELDS: Final = frozenset({"no-cache", "private"})


class Directives:
    """The directives of one message by name, in lower case; of duplicates the first counts (RFC 9111, 4.2.1)."""

    __slots__ = ("_arguments",)

    def __init__(self, arguments: Mapping[str, str | None]) -> None:
        self._arguments = arguments

    @classmethod
    def parse(cls, lines: Iterable[str]) -> Directives:
        """Return the directives of the lines of a Cache-Control field (RFC 9111, 5.2)."""
        arguments: dict[str, str | None] = {}
        for line in lines:
            for member in split_list(line):
                name, equals, argument = member.partition("=")
                text = unquoted(argument.strip(" \t")) if equals else None
                arguments.setdefault(name.strip(" \t").lower(), text)
        return cls(arguments)

    def __contains__(self, name: str) -> bool:
        return name in self._arguments

    def __bool__(self) -> bool:
        return bool(self._arguments)

    def seconds(self, name: str) -> int | None:
        """Return the argument of a directive in seconds, 0 for one that cannot be read; `None` without it (4.2.1)."""
        if name not in self._arguments:
            return None
        return delta_seconds(self._arguments[name] or "") or 0

    def plain(self, name: str) -> bool:
        """Say whether a directive is there and about the whole response, not about some fields of it."""
        return name in self._arguments and not self._arguments[name]

    def fields(self, name: str) -> list[str]:
        """Return the names of the fields that a directive is about (RFC 9111, 5.2.2.4 and 5.2.2.7)."""
        return [member.lower() for member in split_list(self._arguments.get(name) or "")]


NO_DIRECTIVES: Final = Directives({})


def control_of(response: Fields, targets: Iterable[str]) -> tuple[Directives, bool]:
    """Return the directives that a response has for us, and whether they were targeted (RFC 9213, 2.2).

    The first targeted field that is a valid dictionary with members counts, and no other field then.
    """
    for target in targets:
        if (targeted := _targeted(response.get(target))) is not None:
            return targeted, True
    return Directives.parse(response.lines("cache-control")), False


def _targeted(text: str | None) -> Directives | None:
    members = parse_dictionary(text) if text else None
    if not members:
        return None
    arguments: dict[str, str | None] = {}
    for name, value in members.items():
        if name in _IN_SECONDS and type(value) is not int:
            return None
        if name in _NAMING_FIELDS and isinstance(value, (str, Token)):
            arguments[name] = str(value)
        else:
            arguments[name] = str(value) if type(value) is int else None
    return Directives(arguments)


def asked(request: Fields) -> Directives:
    """Return the directives of a request; Pragma counts where there is no Cache-Control (RFC 9111, 5.4)."""
    if "cache-control" not in request and "no-cache" in (member.lower() for member in request.members("pragma")):
        return Directives({"no-cache": None})
    lines = request.lines("cache-control")
    return Directives.parse(lines) if lines else NO_DIRECTIVES
