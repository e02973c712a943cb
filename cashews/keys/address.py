"""Memory addresses in texts: they tell nothing of a value, and another object may have them later."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Final

_SHOWN: Final = re.compile(r"<[^<>]*\bat 0x[0-9a-f]+", re.IGNORECASE)
_NUMBER: Final = re.compile(r"(?<![0-9a-f])[0-9a-f]{7,20}(?![0-9a-f])", re.IGNORECASE)
_NEAR: Final = 200
"""The number of objects around a value that are looked at."""


def has_address(value: object, text: str) -> bool:
    """Say whether a text has the address of its value, or of an object that the value refers to.

    A number that a user wrote is no address: it has to be that of an object at hand, or to stand in the brackets that
    Python's own texts of objects have.
    """
    if _SHOWN.search(text):
        return True
    if f"{id(value):x}" in text.lower() or str(id(value)) in text:
        return True
    numbers = set(_numbers(text))
    return bool(numbers) and any(id(one) in numbers or object.__hash__(one) in numbers for one in _around(value))


def _numbers(text: str) -> Iterator[int]:
    for found in _NUMBER.findall(text):
        yield int(found, 16)
        if found.isdecimal():
            yield int(found)


def _around(value: object) -> Iterator[object]:
    """Yield a value and the objects that it refers to, the nearest first."""
    near, seen = [value], {id(value)}
    for one in near:
        yield one
        if len(near) < _NEAR:
            # Classes, modules and functions lead to the whole program, and belong to no value in particular.
            new = [other for other in gc.get_referents(one) if id(other) not in seen and not _is_program(other)]
            seen.update(map(id, new))
            near += new


def _is_program(value: object) -> bool:
    return issubclass(type(value), (type, ModuleType, FunctionType))
