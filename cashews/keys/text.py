"""How values become text: the plain text that the specification shows, and the strict one that is never ambiguous."""

from __future__ import annotations

import enum
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from functools import partial
from types import FunctionType, NoneType
from typing import Any, Final, TypeAlias
from uuid import UUID
from weakref import WeakSet

from cashews.exceptions import UnstableKeyError, UnstableKeyWarning

Text: TypeAlias = Callable[[Any], str]

_ADDRESS: Final = re.compile(r"\bat 0x[0-9a-f]+", re.IGNORECASE)
# What ends a field or structures it must not come out of a value; % is the escape itself.
_ESCAPES: Final = str.maketrans({character: f"%{ord(character):02X}" for character in "%:;,=()*"})


def escaped(text: str) -> str:
    """Return the text without any character that has a meaning in strict keys; different texts stay different."""
    return text.translate(_ESCAPES)


def type_name(kind: type) -> str:
    """Return the name of a type, with its module unless it is a builtin."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _none(_: None) -> str:
    return ""


def _bool(value: object) -> str:
    return "true" if value else "false"


def _bytes(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.hex()


class TextByType(dict[type, Text]):
    """The text function of each exact type, found once; compiled keys look into it directly."""

    def __init__(self, find: Callable[[type], Text]) -> None:
        super().__init__()
        self._find = find

    def __missing__(self, kind: type) -> Text:
        text = self[kind] = self._find(kind)
        return text


@dataclass(frozen=True, slots=True)
class _Suspect:
    """The text of a type that nobody vouches for: tells when it is a memory address."""

    kind: type
    tell: Callable[[type], None]

    def __call__(self, value: object) -> str:
        text = str(value)
        if self.is_address(value, text):
            self.tell(self.kind)
        return text

    def is_address(self, value: object, text: str) -> bool:
        # A text written in Python may quote what a user typed, so there only the object's own address counts.
        if isinstance(_printer(self.kind), FunctionType):
            return f"{id(value):x}" in text.lower()
        return _ADDRESS.search(text) is not None


def _printer(kind: type) -> object:
    own: object = kind.__str__
    return kind.__repr__ if own is object.__str__ else own


class PlainText:
    """The text of values as the specification shows it: short, and the same for `1` and `"1"`."""

    def __init__(self, registered: Mapping[type, Text]) -> None:
        self.by_type = TextByType(self.find)
        self.registered = registered
        self.warned: WeakSet[type] = WeakSet()
        self.known: dict[type, Text] = {
            NoneType: _none,
            bool: _bool,
            bytes: _bytes,
            bytearray: _bytes,
            list: self.sequence,
            tuple: self.sequence,
            dict: self.mapping,
            set: self.unordered,
            frozenset: self.unordered,
            **dict.fromkeys((str, int, float, complex, enum.Enum, Decimal, date, time, timedelta, UUID), str),
        }

    def __call__(self, value: object) -> str:
        return self.by_type[value.__class__](value)

    def find(self, kind: type) -> Text:
        """Return the registered or known text of the nearest class, else the object's own."""
        for base in kind.__mro__:
            if text := self.registered.get(base) or self.known.get(base):
                return text
        return _Suspect(kind, self.warn)

    def result(self, value: object) -> str:
        """Return the text of what a template function gave: text stays as the function made it."""
        return value if type(value) is str else self(value)

    def sequence(self, values: Iterable[object]) -> str:
        by_type = self.by_type
        return ":".join([by_type[value.__class__](value) for value in values])

    def mapping(self, values: Mapping[object, object]) -> str:
        by_type = self.by_type
        pairs = [(by_type[key.__class__](key), by_type[value.__class__](value)) for key, value in values.items()]
        return ":".join([f"{key}:{value}" for key, value in sorted(pairs)])

    def unordered(self, values: AbstractSet[object]) -> str:
        return ":".join(sorted(map(self, values)))

    def warn(self, kind: type) -> None:
        """Warn about a memory address in a key, once per type."""
        if kind not in self.warned:
            self.warned.add(kind)
            warnings.warn(UnstableKeyWarning(type_name(kind)), stacklevel=4)


class StrictText:
    """The text of values such that different values have different texts.

    Text stands for itself, escaped; everything else is `type(...)`. No text contains an unescaped `:` or `;`, so these
    end a field. Registered forms are used, inside of their type's name.
    """

    def __init__(self, registered: Mapping[type, Text]) -> None:
        self.by_type = TextByType(self.find)
        self.registered = registered
        self.known: dict[type, Callable[[type], Text]] = {
            **dict.fromkeys((list, tuple), partial(_named, self.sequence)),
            **dict.fromkeys((set, frozenset), partial(_named, self.unordered)),
            **dict.fromkeys((bytes, bytearray), partial(_named, _latin)),
            dict: partial(_named, self.mapping),
            bool: partial(_named, _bool),
            NoneType: partial(_named, _none),
            int: partial(_named, int.__repr__),
            float: partial(_named, float.__repr__),
            **dict.fromkeys((str, complex, enum.Enum, Decimal, date, time, timedelta, UUID), partial(_named, _own)),
        }

    def __call__(self, value: object) -> str:
        return self.by_type[value.__class__](value)

    def find(self, kind: type) -> Text:
        """Return the registered or known text of the nearest class, else the object's own, under the type's name."""
        for base in kind.__mro__:
            if base in self.registered:
                return _named(_Escaped(self.registered[base]), kind)
            if kind is str:
                return _string
            if base in self.known:
                return self.known[base](kind)
        return _named(_Escaped(_Suspect(kind, self.refuse)), kind)

    def result(self, value: object) -> str:
        """Return the text of what a template function gave."""
        return _string(value) if type(value) is str else self(value)

    def sequence(self, values: Iterable[object]) -> str:
        return ",".join(map(self, values))

    def mapping(self, values: Mapping[object, object]) -> str:
        return ",".join(sorted([f"{self(key)}={self(value)}" for key, value in values.items()]))

    def unordered(self, values: AbstractSet[object]) -> str:
        return ",".join(sorted(map(self, values)))

    def refuse(self, kind: type) -> None:
        """Refuse a memory address in a key."""
        raise UnstableKeyError(type_name(kind))


TextForm: TypeAlias = PlainText | StrictText


def _string(value: str) -> str:
    # The empty text needs a sign of its own: [""] is not []. Most texts have nothing to escape, and to look is quicker.
    return value if value.isalnum() else value.translate(_ESCAPES) or "str()"


def _own(value: object) -> str:
    return escaped(str(value))


def _latin(value: bytes) -> str:
    return escaped(value.decode("latin-1"))


@dataclass(frozen=True, slots=True)
class _Escaped:
    text: Text

    def __call__(self, value: object) -> str:
        return escaped(self.text(value))


@dataclass(frozen=True, slots=True)
class _Named:
    name: str
    text: Text

    def __call__(self, value: object) -> str:
        return f"{self.name}({self.text(value)})"


def _named(text: Text, kind: type) -> Text:
    return _Named(escaped(type_name(kind)), text)
