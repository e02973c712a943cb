"""Values as text in keys: a plain text that is short, and a strict text that is different for different values."""

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
# The characters that end or divide a field must not come from a value; % introduces an escape.
_ESCAPES: Final = str.maketrans({character: f"%{ord(character):02X}" for character in "%:;,=()*"})


def escape_delimiters(text: str) -> str:
    """Return text with the delimiters of strict keys escaped; different texts stay different."""
    return text.translate(_ESCAPES)


def type_name(kind: type) -> str:
    """Return the qualified name of a type, with its module unless it is a builtin."""
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
    """The text function of each exact type, looked up once per type; compiled keys access this mapping directly."""

    def __init__(self, find: Callable[[type], Text]) -> None:
        super().__init__()
        self._find = find

    def __missing__(self, kind: type) -> Text:
        text = self[kind] = self._find(kind)
        return text


@dataclass(frozen=True, slots=True)
class _Suspect:
    """The text function of a type that has no registered or known text; it reports memory addresses."""

    kind: type
    report: Callable[[type], None]

    def __call__(self, value: object) -> str:
        text = str(value)
        if self.is_address(value, text):
            self.report(self.kind)
        return text

    def is_address(self, value: object, text: str) -> bool:
        # A __str__ written in Python may quote a user's input, so only the object's own address counts there.
        if isinstance(_printer(self.kind), FunctionType):
            return f"{id(value):x}" in text.lower()
        return _ADDRESS.search(text) is not None


def _printer(kind: type) -> object:
    """Return the method that `str()` calls for a type."""
    own: object = kind.__str__
    return kind.__repr__ if own is object.__str__ else own


class PlainText:
    """The plain text of values: short, and the same for `1` and `"1"`."""

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
        """Return the text function of the nearest class that has a registered or known one, else `str()`."""
        for base in kind.__mro__:
            if text := self.registered.get(base) or self.known.get(base):
                return text
        return _Suspect(kind, self.warn)

    def result(self, value: object) -> str:
        """Return the text of a template function's result; text stays as it is."""
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
    """The strict text of values: different values have different texts.

    Text stands for itself, escaped; any other value becomes `type(...)`, around its registered format if its type has
    one. No strict text contains an unescaped `:` or `;`, so these two end a field.
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
        """Return the text function of the nearest class that has one, else `str()`, with the type's name around it."""
        for base in kind.__mro__:
            if base in self.registered:
                return _named(_Escaped(self.registered[base]), kind)
            if kind is str:
                return _string
            if base in self.known:
                return self.known[base](kind)
        return _named(_Escaped(_Suspect(kind, self.refuse)), kind)

    def result(self, value: object) -> str:
        """Return the text of a template function's result, in which text is escaped, too."""
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
    # Empty text is written `str()`, since [""] differs from []. Most texts need no escape, and the check is quicker.
    return value if value.isalnum() else value.translate(_ESCAPES) or "str()"


def _own(value: object) -> str:
    return escape_delimiters(str(value))


def _latin(value: bytes) -> str:
    return escape_delimiters(value.decode("latin-1"))


@dataclass(frozen=True, slots=True)
class _Escaped:
    text: Text

    def __call__(self, value: object) -> str:
        return escape_delimiters(self.text(value))


@dataclass(frozen=True, slots=True)
class _Named:
    name: str
    text: Text

    def __call__(self, value: object) -> str:
        return f"{self.name}({self.text(value)})"


def _named(text: Text, kind: type) -> Text:
    return _Named(escape_delimiters(type_name(kind)), text)
