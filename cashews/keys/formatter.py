"""The formatter: functions that key templates may call, and text formats that users register for their types."""

from __future__ import annotations

import enum
from collections.abc import Callable, Container, Iterable, Mapping
from functools import partial
from typing import Any, Final, TypeVar

from cashews._dataclass import dataclass
from cashews._typing import ABSENT
from cashews.keys.exact import Digest, ExactText
from cashews.keys.kinds import Text
from cashews.keys.signatures import signature_of
from cashews.keys.text import PlainText, TextForm, Warned, refuse
from cashews.keys.tokens import Tokens

Function = TypeVar("Function", bound=Callable[..., Any])


class Takes(enum.Enum):
    """The kind of the first argument of a template function."""

    VALUE = "the value itself"
    TEXT = "the plain text of the value"
    FORM = "the text of the value as it would stand in the key: in strict keys the exact text"
    OPTIONAL = "the value itself, `None` if an attribute or item on the way to it is missing"


@dataclass(frozen=True, slots=True)
class TemplateFunction:
    """A function that templates may call, such as `lower` in `{name:lower}`."""

    call: Callable[..., object]
    takes: Takes
    check: Callable[..., object] | None
    """Called at decoration with the arguments in the template; raises `ValueError` or `TypeError` for wrong ones."""

    def split(self, arguments: tuple[object, ...]) -> tuple[tuple[object, ...], Mapping[str, object]]:
        """Return the arguments by position and by keyword: ``name=text`` is a keyword if the function has the name."""
        names = _parameters(self.call)
        keywords: dict[str, object] = {}
        for argument in arguments:
            name, is_given, text = argument.partition("=") if isinstance(argument, str) else ("", "", "")
            if is_given and name.strip() in names:
                keywords[name.strip()] = text.strip()
        return arguments[: len(arguments) - len(keywords)], keywords


def _parameters(function: Callable[..., object]) -> Container[str]:
    try:
        return list(signature_of(function).parameters)[1:]
    except ValueError:  # some builtins have no signature
        return ()


class Formatter:
    """The functions of templates and the text formats of types, as one set that caches can share."""

    def __init__(self) -> None:
        self.functions: dict[str, TemplateFunction] = {}
        self.tokens = Tokens()
        self._types: dict[type, Text] = {}
        self._digest = Digest()
        self.text = PlainText(self._types, Warned(), self._digest)
        """The plain text of values, for keys that are shown: it warns where a key for use is refused."""
        self.plain_text = PlainText(self._types, refuse, self._digest)
        """The plain text of values, for keys in use."""
        self.strict_text = ExactText(self._types, refuse, self._digest, strict=True)

    def form(self, *, strict: bool, shown: bool = False) -> TextForm:
        """Return the function that turns values into text, for strict or for ordinary keys."""
        return self.strict_text if strict else self.plain(shown=shown)

    def plain(self, *, shown: bool = False) -> PlainText:
        """Return the function that turns values into plain text, for keys that are shown or for keys in use."""
        return self.text if shown else self.plain_text

    def set_digest_key(self, key: bytes) -> None:
        """Set the key of the digests that stand in keys for masked secrets and for arrays: up to 64 bytes.

        Without it everybody who can read the keys of a store can try passwords. All processes that share a store need
        the same.
        """
        self._digest.key = key

    def register_jwt_key(self, name: str, key: Any, *, algorithms: Iterable[str]) -> None:
        """Give a name to a key that verifies tokens in templates: ``{token:jwt(sub, key=name)}``.

        A token that does not verify, or has expired, makes no key: the function runs, and nothing is stored.

        :param key: a secret or a public key, as PyJWT takes it
        :param algorithms: the algorithms that are accepted, such as ``["HS256"]``; never those that a token names
        :raises MissingExtraError: if PyJWT is not installed
        """
        self.tokens.register(name, key, algorithms)

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
        for form in (self.text, self.text.exact, self.plain_text, self.plain_text.exact, self.strict_text):
            form.by_type.clear()
        return function


def _digest(text: str, algorithm: str = "md5") -> str:
    import hashlib  # noqa: PLC0415  two milliseconds of an import, and few keys need it

    return hashlib.new(algorithm, text.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()


def _get(value: Any, name: object, default: object = ABSENT) -> object:
    try:
        return value[name]
    except LookupError:
        if default is ABSENT:
            raise
        return default


class Missing(str):
    """The text that a template gives for a value that is missing; strict keys tell it from a value of this text."""

    __slots__ = ()


def _default(value: object, text: object = "") -> object:
    return Missing(text) if value is None else value


default_formatter: Final = Formatter()
"""The formatter of all caches that have none of their own."""

default_formatter.functions.update(
    len=TemplateFunction(len, Takes.TEXT, None),
    lower=TemplateFunction(str.lower, Takes.TEXT, None),
    upper=TemplateFunction(str.upper, Takes.TEXT, None),
    hash=TemplateFunction(_digest, Takes.FORM, partial(_digest, "")),
    jwt=TemplateFunction(default_formatter.tokens, Takes.TEXT, default_formatter.tokens.check),
    get=TemplateFunction(_get, Takes.VALUE, None),
    default=TemplateFunction(_default, Takes.OPTIONAL, None),
)
