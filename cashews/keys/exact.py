"""Values as exact text: it is different for different values, and says which type they have."""

from __future__ import annotations

import array
import enum
import re
from collections import ChainMap, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta, timezone
from types import EllipsisType, MappingProxyType, NoneType, NotImplementedType, SimpleNamespace
from typing import Any, Final, TypeAlias, cast

from cashews._dataclass import dataclass
from cashews.exceptions import Doubt
from cashews.keys.address import has_address
from cashews.keys.kinds import (
    ByType,
    RecordParts,
    Text,
    has_own_text,
    hides,
    is_numpy,
    is_partial,
    is_python,
    is_sole,
    is_structure,
    printer,
    type_name,
)
from cashews.keys.standard import is_from, tells_all

Report: TypeAlias = Callable[[type, Doubt], None]
"""Called with the type of a value whose text is no identity; warns or raises."""

# The characters that end or divide a field must not come from a value; % introduces an escape.
_ESCAPES: Final = str.maketrans({character: f"%{ord(character):02X}" for character in "%:;,=()*"})


def escape_delimiters(text: str) -> str:
    """Return text with the delimiters of exact texts escaped; different texts stay different."""
    return text.translate(_ESCAPES)


# The methods of the base, since a subclass may override them.
_LIST_ITEMS: Final = list[Any].__iter__
_TUPLE_ITEMS: Final = tuple[Any, ...].__iter__
_SET_ITEMS: Final = set[Any].__iter__
_FROZENSET_ITEMS: Final = frozenset[Any].__iter__
_DEQUE_ITEMS: Final = deque[Any].__iter__
_PAIRS: Final = dict[Any, Any].items
_ORDERED_PAIRS: Final = OrderedDict[Any, Any].items


class Digest:
    """A keyed digest of bytes, for what is too long or too secret to stand in a key."""

    def __init__(self) -> None:
        self.key = b"cashews"

    def __call__(self, content: bytes) -> str:
        from hashlib import blake2b  # noqa: PLC0415  two milliseconds of an import, and few keys need it

        return blake2b(content, digest_size=16, key=self.key).hexdigest()


class ExactText:
    """The exact text of values: different values have different texts.

    Text stands for itself, escaped; any other value becomes `type(...)`, around its content, its fields, or the format
    that is registered for its type. No exact text contains an unescaped `:` or `;`, so these two end a field.

    :param strict: report a type that has a text, but one that may be the same for different values
    """

    def __init__(self, registered: Mapping[type, Text], report: Report, digest: Digest, *, strict: bool) -> None:
        self.by_type: ByType[Text] = ByType(self.find)
        self._registered = registered
        self.report = report
        self._digest = digest
        self._strict = strict
        self._rules: tuple[tuple[Callable[[type], bool], Callable[[type, type], Text]], ...] = (
            (registered.__contains__, lambda kind, base: _Named(_name(kind), _Escaped(registered[base]))),
            (lambda base: base is type, lambda *_: self._class),  # pyright: ignore[reportUnknownLambdaType]  two types
            (hides, lambda kind, _: self._named(kind, self._secret)),
            (is_numpy, lambda kind, _: self._array_of(kind)),
            (is_partial, lambda kind, _: self._doubtful(kind, Doubt.PARTIAL)),
        )
        """The rules for the bases of a type, before its content: when one applies, and the text function then."""
        self._contents: dict[type, Text] = {
            **_SCALARS,
            list: self._list,
            tuple: self._tuple,
            set: self._set,
            frozenset: self._frozenset,
            dict: self._dict,
            OrderedDict: self._ordered,
            defaultdict: self._defaulted,
            deque: lambda value: self.sequence((list(_DEQUE_ITEMS(value)), value.maxlen)),
            MappingProxyType: self.mapping,
            ChainMap: self._maps,
            SimpleNamespace: self._namespace,
            slice: self._slice,
            re.Pattern: self._pattern,
            datetime: lambda value: self._moment(datetime.isoformat(value), value),
            time: lambda value: self._moment(time.isoformat(value), value),
            array.array: lambda value: self._buffer(value.typecode, len(value), value.tobytes()),
            memoryview: lambda value: self._buffer(value.format, value.shape, value.tobytes()),
        }

    def __call__(self, value: object) -> str:
        return self.by_type[type(value)](value)

    def find(self, kind: type) -> Text:
        """Return the exact text function of a type, or one that reports the type if it has none."""
        if text := self.exactly(kind):
            return text
        return _Named(_name(kind), _Escaped(OwnText(kind, self.report, strict=self._strict)))

    def exactly(self, kind: type) -> Text | None:
        """Return the exact text function of a type, `None` if all that is known of its values is their own text."""
        if kind is str:
            return _string
        if enum.Enum in kind.__mro__ and not any(base in self._registered for base in kind.__mro__):
            return self._named(kind, self._member)  # the mixed-in type, if there is one, comes before Enum
        for position, base in enumerate(kind.__mro__):
            for applies, make in self._rules:
                if applies(base):
                    return make(kind, base)
            content = self._contents.get(base) or self._standard(base)
            if content is not None:
                return self._subclass(kind, content, kind.__mro__[:position])
        if is_structure(kind) and (self._strict or not has_own_text(kind)):
            return self._subclass(kind, None, kind.__mro__[:-1])
        return None

    def result(self, value: object) -> str:
        """Return the text of a template function's result, in which text is escaped, too."""
        return _string(value) if type(value) is str else self(value)

    def shown(self, value: object, text: str) -> str:
        """Return a text that a template has made of a value, once it is known to have no address."""
        return checked(value, text, self.report)

    def sequence(self, values: Iterable[object]) -> str:
        by_type = self.by_type
        return ",".join([by_type[type(value)](value) for value in values])

    def mapping(self, values: Mapping[Any, object]) -> str:
        return ",".join(sorted([f"{self(key)}={self(value)}" for key, value in values.items()]))

    # --- the types

    def _standard(self, base: type) -> Text | None:
        if is_from("zoneinfo", base) and base.__name__ == "ZoneInfo":
            return self._zone
        return _by(cast("Text", base.__str__)) if tells_all(base) else None

    def _named(self, kind: type, content: Text) -> Text:
        return _Named(_name(kind), content) if is_sole(kind) else self._doubtful(kind, Doubt.NAME)

    def _subclass(self, kind: type, content: Text | None, bases: tuple[type, ...]) -> Text | None:
        """Return the text function of a type, given that of its base and the classes between them."""
        if content is not None and not bases:
            return _Named(_name(kind), content)
        if not is_python(bases) or hasattr(kind, "n_sequence_fields"):  # it may hold more than we see
            return None
        return self._named(kind, _Fields(content, RecordParts(kind, bases), self.mapping))

    def _array_of(self, kind: type) -> Text:
        # A subclass may hold more than its items: a mask, a unit.
        return self._named(kind, self._array) if kind.__module__ == "numpy" else self._doubtful(kind, Doubt.PARTIAL)

    def _doubtful(self, kind: type, doubt: Doubt) -> Text:
        return _Doubtful(kind, doubt, self.report)

    # --- the content of values

    def _list(self, values: Any) -> str:
        return self.sequence(_LIST_ITEMS(values))

    def _tuple(self, values: Any) -> str:
        return self.sequence(_TUPLE_ITEMS(values))

    def _set(self, values: Any) -> str:
        return ",".join(sorted(map(self, _SET_ITEMS(values))))

    def _frozenset(self, values: Any) -> str:
        return ",".join(sorted(map(self, _FROZENSET_ITEMS(values))))

    def _dict(self, values: Any) -> str:
        return ",".join(sorted([f"{self(key)}={self(value)}" for key, value in _PAIRS(values)]))

    def _ordered(self, values: Any) -> str:
        return ",".join([f"{self(key)}={self(value)}" for key, value in _ORDERED_PAIRS(values)])

    def _defaulted(self, values: Any) -> str:
        return f"{self(values.default_factory)},{self(dict(_PAIRS(values)))}"

    def _maps(self, value: Any) -> str:
        return self.sequence(value.maps)

    def _namespace(self, value: Any) -> str:
        return self.mapping(value.__dict__)

    def _pattern(self, value: Any) -> str:
        return self.sequence((value.pattern, value.flags))

    def _slice(self, value: Any) -> str:
        return self.sequence((value.start, value.stop, value.step))

    def _moment(self, text: str, value: datetime | time) -> str:
        zone = "" if value.tzinfo is None else f",{self(value.tzinfo)}"
        return f"{escape_delimiters(text)}{zone}{',fold' * value.fold}"

    def _zone(self, value: Any) -> str:
        key: object = value.key
        if key is None:  # it was read from a file
            self.report(value.__class__, Doubt.OTHERS)
        return self(key)

    def _member(self, value: enum.Enum) -> str:
        return self(value._value_) if isinstance(value, enum.Flag) else escape_delimiters(value._name_)

    def _secret(self, value: Any) -> str:
        return self._digest(self(value.get_secret_value()).encode("utf-8", "surrogatepass"))

    def _array(self, value: Any) -> str:
        if value.dtype.hasobject:  # its bytes are addresses
            self.report(value.__class__, Doubt.PARTIAL)
        return self._buffer(repr(value.dtype), value.shape, value.tobytes())

    def _buffer(self, form: object, shape: object, content: bytes) -> str:
        return f"{self.sequence((form, shape))},{self._digest(content)}"

    def _class(self, value: type[Any]) -> str:
        if not is_sole(value):
            self.report(value, Doubt.NAME)
        return f"type({_name(value)})"


class OwnText:
    """The text function of a type that is neither known nor registered: its own text, unless that is an address."""

    __slots__ = ("_kind", "_strict", "report")

    def __init__(self, kind: type, report: Report, *, strict: bool = False) -> None:
        self._kind, self.report, self._strict = kind, report, strict

    def __call__(self, value: object) -> str:
        if printer(self._kind) is object.__repr__:
            self.report(self._kind, Doubt.ADDRESS)
            return str(value)
        text = checked(value, str(value), self.report)
        if self._strict:
            self.report(self._kind, Doubt.OTHERS)
        return text


def checked(value: object, text: str, report: Report) -> str:
    """Return the text of a value; report the value's type if the text has an address."""
    if has_address(value, text):
        report(type(value), Doubt.ADDRESS)
    return text


@dataclass(frozen=True, slots=True)
class _Doubtful:
    kind: type
    doubt: Doubt
    report: Report

    def __call__(self, value: object) -> str:
        self.report(self.kind, self.doubt)
        return str(value)


@dataclass(frozen=True, slots=True)
class _Escaped:
    text: Text

    def __call__(self, value: object) -> str:
        return escape_delimiters(self.text(value))


@dataclass(frozen=True, slots=True)
class _Named:
    name: str
    content: Text

    def __call__(self, value: object) -> str:
        return f"{self.name}({self.content(value)})"


@dataclass(frozen=True, slots=True)
class _Fields:
    """The content of a record: that of its base, if it has one, and then its attributes."""

    content: Text | None
    parts: RecordParts
    mapping: Callable[[Mapping[str, object]], str]

    def __call__(self, value: object) -> str:
        fields = self.mapping(self.parts(value))
        if self.content is None:
            return fields
        return f"{self.content(value)}({fields})" if fields else self.content(value)


def _name(kind: type) -> str:
    return escape_delimiters(type_name(kind))


def _string(value: str) -> str:
    # Empty text is written `str()`, since [""] differs from []. Most texts need no escape, and the check is quicker.
    return value if value.isalnum() else value.translate(_ESCAPES) or "str()"


def _nothing(_: object) -> str:
    return ""


def _bool(value: object) -> str:
    return "true" if value else "false"


def _bytes(value: bytes) -> str:
    return escape_delimiters(bytes(value).decode("latin-1"))


def _by(method: Text) -> Text:
    return _Escaped(method)


_SCALARS: Final[dict[type, Text]] = {
    NoneType: _nothing,
    EllipsisType: _nothing,
    NotImplementedType: _nothing,
    bool: _bool,
    int: int.__repr__,
    float: float.__repr__,
    complex: _by(complex.__repr__),
    str: _by(str.__str__),
    bytes: _bytes,
    bytearray: _bytes,
    range: _by(range.__repr__),
    date: _by(date.isoformat),
    timedelta: _by(timedelta.__str__),
    timezone: _by(timezone.__repr__),
}
"""The content of values that are made of no others."""
