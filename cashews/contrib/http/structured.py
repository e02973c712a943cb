"""Structured fields: lists and dictionaries, as far as a cache reads and writes them (RFC 9651).

A field is valid as a whole or not at all. Parameters are checked and left out of the result.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias


class Token(str):
    """A token, as distinct from a string."""

    __slots__ = ()


class Group(tuple["Bare", ...]):
    """An inner list."""

    __slots__ = ()


Bare: TypeAlias = "bool | int | float | str | bytes"
Item: TypeAlias = "Bare | Group"

_KEY: Final = re.compile(r"[a-z*][a-z0-9_.*-]*")
_NUMBER: Final = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,3})?(?![0-9.])")
_MOST_DIGITS: Final = 13
"""Up to so many digits, less one, may stand before the point of a decimal."""
_STRING: Final = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')
_ESCAPED: Final = re.compile(r"\\(.)")
_TOKEN: Final = re.compile(r"[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]*")
_BYTES: Final = re.compile(r":([A-Za-z0-9+/=]*):")
_BOOLEAN: Final = re.compile(r"\?([01])")
_DATE: Final = re.compile(r"@(-?[0-9]{1,15})(?![0-9.])")
_DISPLAY: Final = re.compile(r'%"((?:[ !#$&-~]|%[0-9a-f]{2})*)"')
_PERCENT: Final = re.compile(r"%([0-9a-f]{2})")
_COMMA: Final = re.compile(r"[ \t]*,[ \t]*")
_SPACES: Final = re.compile(r" *")
_SEMICOLON: Final = re.compile(r"; *")


class _InvalidError(ValueError):
    """The text is no structured field."""


def _number(text: str) -> Bare:
    if "." not in text:
        return int(text)
    if text.lstrip("-").index(".") >= _MOST_DIGITS:
        raise _InvalidError
    return float(text)


def _bytes(text: str) -> Bare:
    try:
        return b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error as error:
        raise _InvalidError from error


def _display(text: str) -> Bare:
    raw = _PERCENT.sub(_character, text)
    try:
        return raw.encode("latin-1").decode()
    except UnicodeDecodeError as error:
        raise _InvalidError from error


def _character(escape: re.Match[str]) -> str:
    return chr(int(escape[1], 16))


def _string(text: str) -> Bare:
    return _ESCAPED.sub(r"\1", text)


def _boolean(digit: str) -> Bare:
    return digit == "1"


_BARE: Final[tuple[tuple[re.Pattern[str], Callable[[str], Bare]], ...]] = (
    (_NUMBER, _number),
    (_STRING, _string),
    (_TOKEN, Token),
    (_BOOLEAN, _boolean),
    (_BYTES, _bytes),
    (_DATE, float),
    (_DISPLAY, _display),
)
"""The items by the patterns that begin them, with the functions of the text inside."""


class _Reader:
    """Reads one text from its beginning to its end; each pattern begins where the one before has ended."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._place = 0

    @property
    def ended(self) -> bool:
        return self._place >= len(self._text)

    def refusal(self) -> _InvalidError:
        return _InvalidError(f"no structured field at {self._place}")

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self._text, self._place)
        if found:
            self._place = found.end()
        return found

    def need(self, pattern: re.Pattern[str]) -> re.Match[str]:
        found = self.take(pattern)
        if found is None:
            raise self.refusal()
        return found

    def sees(self, character: str) -> bool:
        return self._text.startswith(character, self._place)

    def skip(self, character: str) -> bool:
        seen = self.sees(character)
        self._place += seen
        return seen

    def bare(self) -> Bare:
        """Read an item without its parameters (RFC 9651, 4.2.3.1)."""
        for pattern, convert in _BARE:
            if found := self.take(pattern):
                return convert(found[found.re.groups])
        raise self.refusal()

    def parameters(self) -> None:
        """Read the parameters of an item, and forget them."""
        while self.take(_SEMICOLON):
            self.need(_KEY)
            if self.skip("="):
                self.bare()

    def item(self) -> Item:
        """Read an item or an inner list, with its parameters."""
        found = self._inner() if self.skip("(") else self.bare()
        self.parameters()
        return found

    def _inner(self) -> Group:
        members: list[Bare] = []
        while True:
            spaces = self.need(_SPACES)[0]
            if self.skip(")"):
                return Group(members)
            if members and not spaces:
                raise self.refusal()
            members.append(self.bare())
            self.parameters()

    def comma(self) -> bool:
        """Go on to the next member; say whether there is one."""
        self.take(_SPACES)
        if self.ended:
            return False
        self.need(_COMMA)
        if self.ended:
            raise self.refusal()
        return True


def parse_list(text: str) -> list[Item] | None:
    """Return the members of a list; `None` if it is not valid (RFC 9651, 4.2.1)."""
    reader = _Reader(text.strip(" "))
    members: list[Item] = []
    try:
        while not reader.ended:
            members.append(reader.item())
            if not reader.comma():
                break
    except _InvalidError:
        return None
    return members


def parse_dictionary(text: str) -> Mapping[str, Item] | None:
    """Return the members of a dictionary, of duplicates the last; `None` if it is not valid (RFC 9651, 4.2.2)."""
    reader = _Reader(text.strip(" "))
    members: dict[str, Item] = {}
    try:
        while not reader.ended:
            key = reader.need(_KEY)[0]
            if reader.skip("="):
                members[key] = reader.item()
            else:
                members[key] = True
                reader.parameters()
            if not reader.comma():
                break
    except _InvalidError:
        return None
    return members


def is_token(text: str) -> bool:
    """Say whether text can be written as a token."""
    return _TOKEN.fullmatch(text) is not None


def written(text: str) -> str:
    """Return text as a string of a structured field; a character that has no place in one becomes a question mark."""
    printable = "".join([character if " " <= character <= "~" else "?" for character in text])
    return '"' + printable.replace("\\", "\\\\").replace('"', '\\"') + '"'
