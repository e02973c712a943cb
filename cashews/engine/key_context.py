"""The block of the key context: values besides the arguments, for the keys that are made in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cashews.engine.blocks import Block
from cashews.keys.context import add_layer, take_layer_back


class KeyContext(Block[None]):
    """The block of `key_context()`."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, object]) -> None:
        super().__init__()
        self._values = values

    def begin(self) -> tuple[Mapping[str, object], None]:
        return add_layer(self._values), None

    def end(self, entry: Any) -> None:
        take_layer_back(entry)


def key_context(**values: object) -> KeyContext:
    """Provide values for the keys of all calls in the block; an inner block takes precedence over an outer one.

    It is also a decorator: ``@key_context(tenant=1)`` holds while an async function runs.
    """
    return KeyContext(values)
