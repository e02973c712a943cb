"""The formatter: functions that key templates may call, and text formats that users register for their types."""

from __future__ import annotations

import base64
import enum
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

from cashews._typing import ABSENT
from cashews.exceptions import WrongTokenError
from cashews.keys.text import PlainText, StrictText, Text, TextForm

Function = TypeVar("Function", bound=Callable[..., Any])


class Takes(enum.Enum):
    """The kind of the first argument of a template function."""

    VALUE = "the value itself"
    TEXT = "the plain text of the value"
    FORM = "the text of the value as it would stand in the key: in strict keys the strict text"


@dataclass(frozen=True, slots=True)
class TemplateFunction:
    """A function that templates may call, such as `lower` in `{name:lower}`."""

    call: Callable[..., object]
    takes: Takes
    check: Callable[..., object] | None
    """Called at decoration with the arguments in the template; raises `ValueError` or `TypeError` for wrong ones."""


class Formatter:
    """The functions of templates and the text formats of types, as one set that caches can share."""

    def __init__(self) -> None:
        self.functions: dict[str, TemplateFunction] = {}
        self._types: dict[type, Text] = {}
        self.text = PlainText(self._types)
        self.strict_text = StrictText(self._types)

    def form(self, *, strict: bool) -> TextForm:
        """Return the function that turns values into text, for strict or for ordinary keys."""
        return self.strict_text if strict else self.text

    def register(
        self,
        name: str,
        preformat: bool = True,  # noqa: FBT001, FBT002  the original's position
        *,
        check: Callable[..., object] | None = None,
    ) -> Callable[[Function], Function]:
        """Register the decorated function under a name for templates: `{field:name(argument)}`.

        It is called with the field and the arguments in the template.

        :param preformat: pass the text of the field; if `False`, pass its value
        :param check: called at decoration with the arguments in the template, to refuse wrong ones
        """
        return partial(self._register, name, Takes.TEXT if preformat else Takes.VALUE, check)

    def type_format(self, kind: type) -> Callable[[Function], Function]:
        """Register the decorated function as the text format of a type and its subclasses."""
        return partial(self._register_type, kind)

    def _register(self, name: str, takes: Takes, check: Callable[..., object] | None, function: Function) -> Function:
        self.functions[name] = TemplateFunction(function, takes, check)
        return function

    def _register_type(self, kind: type, function: Function) -> Function:
        self._types[kind] = function
        self.text.by_type.clear()
        self.strict_text.by_type.clear()
        return function


def _digest(text: str, algorithm: str = "md5") -> str:
    return hashlib.new(algorithm, text.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()


def _get(value: Any, name: object, default: object = ABSENT) -> object:
    try:
        return value[name]
    except LookupError:
        if default is ABSENT:
            raise
        return default


def _jwt(token: str, field: str) -> object:
    # The token is not verified: the key only separates users, and the decorated function has to check the token itself.
    try:
        return _jwt_payload(token)[field]
    except KeyError:
        raise WrongTokenError(field, "its payload has no such field") from None
    except (ValueError, TypeError, RecursionError):
        # The original exceptions quote the token, so they are not chained.
        raise WrongTokenError(field, "not three parts with a JSON object in the middle") from None


def _jwt_payload(token: str) -> dict[str, object]:
    _, payload, _ = token.split(".")
    fields: dict[str, object] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return fields


default_formatter: Final = Formatter()
"""The formatter of all caches that have none of their own."""

default_formatter.functions.update(
    len=TemplateFunction(len, Takes.TEXT, None),
    lower=TemplateFunction(str.lower, Takes.TEXT, None),
    upper=TemplateFunction(str.upper, Takes.TEXT, None),
    hash=TemplateFunction(_digest, Takes.FORM, partial(_digest, "")),
    jwt=TemplateFunction(_jwt, Takes.TEXT, None),
    get=TemplateFunction(_get, Takes.VALUE, None),
)
