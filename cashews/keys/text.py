"""Values as plain text: short, and the same for `1` and `"1"`. Values that are records have their exact text."""

from __future__ import annotations

import enum
import warnings
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from datetime import date, time, timedelta, tzinfo
from types import NoneType
from typing import Final, NoReturn, TypeAlias
from weakref import WeakSet

from cashews.exceptions import Doubt, UnstableKeyError, UnstableKeyWarning
from cashews.keys.exact import Digest, ExactText, OwnText, Report, checked
from cashews.keys.kinds import ByType, Text, has_own_text, hides, is_partial, is_sole, type_name
from cashews.keys.standard import tells_all

_SHORT: Final = (str, int, float, complex, range, enum.Enum, date, time, timedelta)
"""The types, beside those of `cashews.keys.standard`, whose own text tells all of a value but its type."""


class PlainText:
    """The plain text of values.

    :param report: called with the type of a value whose text is no identity
    """

    def __init__(self, registered: Mapping[type, Text], report: Report, digest: Digest) -> None:
        self.by_type: ByType[Text] = ByType(self.find)
        self.exact = ExactText(registered, report, digest, strict=False)
        self._registered = registered
        self.report = report
        self._known: dict[type, Text] = {
            NoneType: _none,
            bool: _bool,
            bytes: _bytes,
            bytearray: _bytes,
            list: self.sequence,
            tuple: self.sequence,
            dict: self.mapping,
            set: self.unordered,
            frozenset: self.unordered,
            type: self._class,
            **dict.fromkeys(_SHORT, str),
        }

    def __call__(self, value: object) -> str:
        return self.by_type[type(value)](value)

    def find(self, kind: type) -> Text:
        """Return the text function of the nearest class that has a registered or known one, else of the type itself."""
        for base in kind.__mro__:
            if text := self._registered.get(base) or self._known.get(base):
                return text
            if tells_all(base):
                return str
            if hides(base):
                return self.exact.find(kind)
        own = OwnText(kind, self.report)
        if (has_own_text(kind) or tzinfo in kind.__mro__) and not any(map(is_partial, kind.__mro__)):
            return own
        return self.exact.exactly(kind) or own

    def result(self, value: object) -> str:
        """Return the text of a template function's result; text stays as it is."""
        return value if type(value) is str else self(value)

    def shown(self, value: object, text: str) -> str:
        """Return a text that a template has made of a value, once it is known to have no address."""
        return checked(value, text, self.report)

    def sequence(self, values: Iterable[object]) -> str:
        by_type = self.by_type
        return ":".join([by_type[type(value)](value) for value in values])

    def mapping(self, values: Mapping[object, object]) -> str:
        by_type = self.by_type
        pairs = [(by_type[type(key)](key), by_type[type(value)](value)) for key, value in values.items()]
        return ":".join([f"{key}:{value}" for key, value in sorted(pairs)])

    def unordered(self, values: AbstractSet[object]) -> str:
        return ":".join(sorted(map(self, values)))

    def _class(self, value: type) -> str:
        if not is_sole(value):
            self.report(value, Doubt.NAME)
        return str(value)


TextForm: TypeAlias = PlainText | ExactText


class Warned:
    """A report by a warning, once per type: for keys that are only shown."""

    def __init__(self) -> None:
        self._kinds: WeakSet[type] = WeakSet()

    def __call__(self, kind: type, doubt: Doubt) -> None:
        if kind not in self._kinds:
            self._kinds.add(kind)
            warnings.warn(UnstableKeyWarning(type_name(kind), doubt), stacklevel=4)


def refuse(kind: type, doubt: Doubt) -> NoReturn:
    """Refuse a value in a key."""
    raise UnstableKeyError(type_name(kind), doubt)


def _none(_: None) -> str:
    return ""


def _bool(value: object) -> str:
    return "true" if value else "false"


def _bytes(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.hex()
