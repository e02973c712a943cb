"""The values of the key context: set by `key_context()`, and read in templates by `{@:get(name)}`."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, NoReturn

from cashews.exceptions import WrongArgumentError


class ContextValues(dict[str, object]):
    """The values by their names, those of inner blocks over those of outer ones.

    The error about an unknown name lists the known ones.
    """

    __slots__ = ("layers",)

    def __init__(self, *layers: Mapping[str, object]) -> None:
        super().__init__()
        self.layers = layers
        """The values of each open block, the outermost first."""
        for layer in layers:
            self.update(layer)

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


def add_layer(values: Mapping[str, object]) -> Mapping[str, object]:
    """Have the keys made in this context see more values; returns the layer that takes them back."""
    layer = dict(values)
    _current.set(ContextValues(*_current.get().layers, layer))
    return layer


def take_layer_back(layer: Mapping[str, object]) -> None:
    """Take a layer back, wherever it stands among others; in a context without it nothing happens."""
    _current.set(ContextValues(*(each for each in _current.get().layers if each is not layer)))


def register_key_context(*names: str) -> None:
    """Accept names that a program written for cashews 7 announces; every name may be used without this.

    :raises WrongArgumentError: if a name cannot be a keyword of `key_context()`
    """
    for name in names:
        if not name.isidentifier():
            raise WrongArgumentError("name", name, "identifiers")
