"""The key context: values besides the arguments, set by `key_context()` and read in templates by `{@:get(name)}`."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, NoReturn

from cashews.exceptions import WrongArgumentError


class ContextValues(dict[str, object]):
    """The values by their names. The error about an unknown name lists the known ones."""

    def __missing__(self, name: str) -> NoReturn:
        message = f"key_context() has no {name!r}; its names: {', '.join(sorted(self)) or 'none'}"
        raise LookupError(message)


_current: Final = ContextVar("cashews_key_context", default=ContextValues())  # noqa: B039  replaced, never changed


def context_values() -> ContextValues:
    """Return the values of all open `key_context()` blocks; those of an inner block replace those of an outer one."""
    return _current.get()


@contextmanager
def carried(values: ContextValues) -> Generator[None, None, None]:
    """Make values that were read in another context the only ones in the block."""
    token = _current.set(values)
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def key_context(**values: object) -> Generator[None, None, None]:
    """Provide values for the keys of all calls in the block; an inner block takes precedence over an outer one."""
    with carried(ContextValues(_current.get() | values)):
        yield


def register_key_context(*names: str) -> None:
    """Accept names that a program written for cashews 7 announces; every name may be used without this.

    :raises WrongArgumentError: if a name cannot be a keyword of `key_context()`
    """
    for name in names:
        if not name.isidentifier():
            raise WrongArgumentError("name", name, "identifiers")
