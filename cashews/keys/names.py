"""Functions by name: their default templates, and the arguments that a function brings along."""

from __future__ import annotations

import functools
from collections.abc import Callable, Container, Iterator, Mapping
from inspect import Parameter, Signature, ismethod, isroutine
from typing import Any, Final, cast
from weakref import ref

from cashews._dataclass import dataclass, replace
from cashews.exceptions import Doubt
from cashews.keys.exact import Report
from cashews.keys.kinds import ByType, Text, is_sole
from cashews.keys.signatures import signature_of
from cashews.keys.template import ARGS, KWARGS

STARRED: Final[dict[object, str]] = {Parameter.VAR_POSITIONAL: ARGS, Parameter.VAR_KEYWORD: KWARGS}
_PLACEHOLDER: Final[object] = getattr(functools, "Placeholder", None)  # since Python 3.14


@dataclass(frozen=True, slots=True)
class Subject:
    """A function for which keys are made: its name, its parameters, and the arguments that it brings along.

    A partial brings the arguments that it was given, a bound method and a callable object bring their object.
    """

    module: str
    qualname: str
    signature: Signature
    """The parameters of a call."""
    parameters: Mapping[str, Parameter]
    """All parameters, with those that the function brings along."""
    bound: Mapping[str, Any]
    """The arguments that the function brings along."""
    left_out: object = None
    """The object of a bound method that is left out of the key, since it has no text of its own."""

    @property
    def name(self) -> str:
        """The name of the function, for errors."""
        return f"{self.module}.{self.qualname}"

    @property
    def place(self) -> str:
        """The beginning of the default key: the module and the name."""
        return f"{self.module}{':' if self.is_method else '.'}{self.qualname}"

    @property
    def is_method(self) -> bool:
        """True if the function is written in a class."""
        return "." in self.qualname.rpartition("<locals>.")[2]

    @property
    def owner(self) -> str | None:
        """The name of the parameter for the object of a method, `None` if the function is no method."""
        first = next(iter(self.parameters), None)
        return first if first is not None and (self.is_method or first in {"self", "cls"}) else None

    @property
    def brought(self) -> Mapping[str, Parameter]:
        """The parameters whose arguments the function brings along."""
        return {name: one for name, one in self.parameters.items() if name not in self.signature.parameters}

    def fields(self, exclude: Container[str | None] = ()) -> str:
        """Return the part of the default template that has the parameters, except for the excluded ones."""
        return "".join([f":{_default_field(one)}" for name, one in self.parameters.items() if name not in exclude])


def subject_of(function: Callable[..., Any]) -> Subject:
    """Return a function's name, parameters, and the arguments that it brings along."""
    inner, args, kwargs = _unbound(function)
    signature, whole = signature_of(function), signature_of(inner)
    named = function_of(function)
    return Subject(
        module=getattr(named, "__module__", None) or type(named).__module__,
        qualname=getattr(named, "__qualname__", type(named).__qualname__),
        signature=signature,
        parameters=whole.parameters,
        bound=_bound(whole, args, kwargs),
    )


def without_textless(subject: Subject, form: Text) -> Subject:
    """Return a function without the object that it brings along, if that has no text of its own."""
    owner = subject.owner
    if owner is None or owner not in subject.bound:
        return subject
    try:
        form(subject.bound[owner])
    except Exception:  # noqa: BLE001  a text is code of the user's, and may fail in any way
        parameters = {name: one for name, one in subject.parameters.items() if name != owner}
        bound = {name: one for name, one in subject.bound.items() if name != owner}
        return replace(subject, parameters=parameters, bound=bound, left_out=subject.bound[owner])
    return subject


def function_of(function: Any) -> Any:
    """Return a function without the arguments that partials and bound methods give it; or a callable object."""
    while True:
        if isinstance(function, functools.partial):
            function = function.func
        elif ismethod(function):
            function = function.__func__
        else:
            return function


def _unbound(function: Any) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
    """Return a plain function, and the arguments that partials, methods and callable objects give it."""
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    while True:
        if isinstance(function, functools.partial):
            args, kwargs = _filled(function.args, args), {**function.keywords, **kwargs}
            function = function.func
        elif ismethod(function):
            function, args = function.__func__, (function.__self__, *args)
        elif _is_object(function):
            function, args = type(function).__call__, (function, *args)
        else:
            return function, args, kwargs


def _filled(given: tuple[Any, ...], further: tuple[Any, ...]) -> tuple[Any, ...]:
    if _PLACEHOLDER is None or _PLACEHOLDER not in given:
        return (*given, *further)
    rest = iter(further)
    return (*[next(rest, one) if one is _PLACEHOLDER else one for one in given], *rest)


def _is_object(function: Any) -> bool:
    # An object that stands for a function has that function's name, and its text says nothing.
    is_named = isroutine(function) or isinstance(function, type) or hasattr(function, "__qualname__")
    return not is_named and not hasattr(function, "__wrapped__") and isroutine(type(function).__call__)


def _bound(signature: Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    try:
        bound = signature.bind_partial(*args, **kwargs).arguments
    except TypeError:  # arguments that the function will refuse
        return {}
    return {name: value for name, value in bound.items() if _PLACEHOLDER is None or value is not _PLACEHOLDER}


def _default_field(parameter: Parameter) -> str:
    starred = STARRED.get(parameter.kind)
    return f"{{{starred}}}" if starred else f"{parameter.name}:{{{parameter.name}}}"


class Owner:
    """The class of a method's object, where `noself` leaves the object out of the key.

    It is not named if the method is written in this class, since the name of the method says so.
    """

    def __init__(self, home: str, report: Report) -> None:
        self._home = home
        self._report = report
        self._names: ByType[str] = ByType(self._find)

    def __call__(self, owner: object) -> str:
        kind = type(owner)
        return self._names[cast("type", owner) if issubclass(kind, type) else kind]

    def _find(self, kind: type) -> str:
        name = f"{kind.__module__}.{kind.__qualname__}"
        if name == self._home:  # another class of this name would have a method of its own, which claims the same key
            return ""
        if not is_sole(kind):
            self._report(kind, Doubt.NAME)
        return f":{name}"


# --- two functions of one name


@dataclass(slots=True)
class _Claim:
    """The first function of a default key."""

    code: object
    cells: tuple[object, ...] | None
    place: str
    function: Callable[[], object]
    owner: Callable[[], object]
    """Returns the object that is left out of the key, while that is alive."""
    is_told: bool = False

    def is_of(self, other: _Claim) -> bool:
        """Say whether another claim is of the same function: of the same object, or of a twin of it."""
        if self.owner() is not other.owner():
            return False
        if self.function() is not None and self.function() is other.function():
            return True
        return self.code == other.code and self.cells is not None and self.cells == other.cells


class Claims:
    """The functions that have the default keys of a cache, so that a second function of a key is noticed."""

    MOST: Final = 10_000
    """The number of default keys that are remembered."""

    def __init__(self) -> None:
        self._claims: dict[str, _Claim] = {}

    def rival(self, key: str, function: Callable[..., Any], left_out: object = None) -> str | None:
        """Claim a default key for a function; returns a sentence, once per key, if another function has it already.

        Two functions are the same if they have the same code, and the variables around them have the same values.

        :param left_out: the object of a bound method, if it is no part of the key
        """
        claim = _claim_of(function, left_out)
        if claim is None:
            return None
        first = self._claims.setdefault(key, claim)
        if first is claim:
            if len(self._claims) > self.MOST:
                del self._claims[next(iter(self._claims))]
            return None
        if first.is_of(claim) or first.is_told:
            return None
        first.is_told = True
        return (
            f"two functions have the default key {key!r}, {first.place} and {claim.place}: each gets what is stored for"
            " the other; give them keys or prefixes of their own"
        )


def _claim_of(function: Any, left_out: object) -> _Claim | None:
    """Return a claim of the function that a user wrote, `None` for a callable that is not written in Python."""
    function = function_of(function)
    function = type(function).__call__ if _is_object(function) else function
    while hasattr(function, "__wrapped__"):
        function = function_of(function.__wrapped__)
    code = getattr(function, "__code__", None)
    if code is None:
        return None
    place = f"{code.co_filename}:{code.co_firstlineno}"
    return _Claim(code, _cells(getattr(function, "__closure__", None) or ()), place, ref(function), _refer(left_out))


def _refer(value: object) -> Callable[[], object]:
    try:
        return _nothing if value is None else ref(value)
    except TypeError:  # it cannot be referred to weakly
        return object


def _nothing() -> None:
    return None


_COMPARED: Final = (str, bytes, int, float, bool, type(None))


def _cells(closure: tuple[Any, ...]) -> tuple[object, ...] | None:
    """Return the values of the variables around a function, `None` if they cannot be compared and kept."""
    values = list(_contents(closure))
    return tuple([(type(one), one) for one in values]) if all(type(one) in _COMPARED for one in values) else None


def _contents(closure: tuple[Any, ...]) -> Iterator[object]:
    for cell in closure:
        try:
            yield cell.cell_contents
        except ValueError:  # the variable has no value yet
            yield None
