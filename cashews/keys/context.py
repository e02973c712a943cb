"""Values that a key may use although they are no arguments: set by `key_context()`, read by `{@:get(name)}`."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, NoReturn

from cashews.exceptions import WrongArgumentError


class ContextValues(dict[str, object]):
    """Names and values; a name that nobody set is told with the names that are."""

    def __missing__(self, name: str) -> NoReturn:
        message = f"key_context() has no {name!r}; its names: {', '.join(sorted(self)) or 'none'}"
        raise LookupError(message)


_current: Final = ContextVar("cashews_key_context", default=ContextValues())  # noqa: B039  replaced, never changed


def context_values() -> ContextValues:
    """Return the values of the innermost `key_context()`, with those of the outer ones below them."""
    return _current.get()


@contextmanager
def carried(values: ContextValues) -> Generator[None, None, None]:
    """Make values that were read in another context the only ones of the block."""
    token = _current.set(values)
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def key_context(**values: object) -> Generator[None, None, None]:
    """Give values to the keys of everything called in the block; an inner block wins over an outer one."""
    with carried(ContextValues(_current.get() | values)):
        yield


def register_key_context(*names: str) -> None:
    """Accept the announcement of names that older programs make; every name may be used without it.

    :raises WrongArgumentError: a name that could not be a keyword of `key_context()`.
    """
    for name in names:
        if not name.isidentifier():
            raise WrongArgumentError("name", name, "identifiers")
