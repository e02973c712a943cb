"""Types of values: their names, their texts, and the parts that an instance is made of."""

from __future__ import annotations

import sys
from collections import UserDict, UserList, UserString
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from types import (
    ClassMethodDescriptorType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodDescriptorType,
    WrapperDescriptorType,
)
from typing import Any, Final, TypeAlias, TypeVar, cast
from weakref import WeakValueDictionary

Text: TypeAlias = Callable[[Any], str]
Found = TypeVar("Found")

_HEAP_TYPE: Final = 1 << 9  # the flag of a type made by a class statement, Py_TPFLAGS_HEAPTYPE
_STRUCTURES: Final = frozenset(
    {
        *("__dataclass_fields__", "__attrs_attrs__", "__struct_fields__"),  # dataclasses, attrs, msgspec
        *("__pydantic_fields_set__", "__fields_set__", "__fields__"),  # pydantic 2 and 1
    }
)
"""The attributes of classes whose instances are records of fields."""
_RECORDS: Final = (UserDict, UserList, UserString)
_MAKERS: Final = frozenset({"attr", "attrs", "collections", "dataclasses", "enum", "msgspec", "pydantic", "reprlib"})
"""The modules that write the texts of classes for their users, from some or all of the fields."""
_PARTIAL: Final = frozenset(
    {
        *("__array__", "__array_interface__", "__dataframe__", "__dlpack__"),
        *("__arrow_c_array__", "__arrow_c_stream__"),
    }
)
"""The attributes of arrays and tables, whose texts leave out, or round, most of what they hold."""
_PARTIAL_MODULES: Final = ("sqlalchemy.sql", "scipy.sparse")
"""The modules of statements without their values, and of arrays that have none of these attributes."""
_TRANSPARENT: Final = frozenset({"msgspec", "msgspec._core", "typing", "_typing"})
"""The modules of bases in C that add nothing to the fields of their subclasses."""
_DESCRIPTORS: Final = (ClassMethodDescriptorType, GetSetDescriptorType, MethodDescriptorType, WrapperDescriptorType)
"""The methods and attributes that types in C have, and classes made by a class statement have not."""
_CACHES: Final = frozenset({"_attrs_cached_hash"})


class ByType(dict[type, Found]):
    """A finding for each exact type, looked up once per type; compiled keys `get` those that are there directly.

    Classes that were made at run time are looked up each time: they end with their users, and may be many.
    """

    def __init__(self, find: Callable[[type], Found]) -> None:
        super().__init__()
        self._find = find

    def __missing__(self, kind: type) -> Found:
        found = self._find(kind)
        if is_importable(kind):
            self[kind] = found
        return found


# --- names


_first: Final[WeakValueDictionary[str, type]] = WeakValueDictionary()
"""The first class of each name among those that cannot be imported."""


def type_name(kind: type) -> str:
    """Return the qualified name of a type, with its module unless it is a builtin."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def is_importable(kind: type) -> bool:
    """Say whether a type is written in C, or is found under its name in its module."""
    if not kind.__flags__ & _HEAP_TYPE:
        return True
    found: object = sys.modules.get(kind.__module__)
    for name in kind.__qualname__.split("."):
        found = getattr(found, "__dict__", {}).get(name)
    return found is kind


def is_sole(kind: type) -> bool:
    """Say whether a name is that of one type: it can be imported, or is the first that is alive under its name."""
    return is_importable(kind) or _first.setdefault(type_name(kind), kind) is kind


# --- texts


def printer(kind: type) -> object:
    """Return the method that `str()` calls for a type."""
    own: object = kind.__str__
    return kind.__repr__ if own is object.__str__ else own


def has_own_text(kind: type) -> bool:
    """Say whether the text of a class was written for it: not by Python, nor by a library that makes classes."""
    written = printer(kind)
    if not isinstance(written, FunctionType) or written.__code__.co_filename.startswith("<attrs generated"):
        return False
    return str(written.__globals__.get("__name__")).partition(".")[0] not in _MAKERS


def hides(base: type) -> bool:
    """Say whether a class holds a secret that its text masks, as `SecretStr` of pydantic does."""
    return "get_secret_value" in vars(base)


def is_numpy(base: type) -> bool:
    """Say whether a class is numpy's array, or the base of its scalars."""
    return base.__module__ == "numpy" and base.__name__ in {"ndarray", "generic"}


def is_partial(base: type) -> bool:
    """Say whether the texts of a class show only a part of what its instances hold."""
    return not _PARTIAL.isdisjoint(vars(base)) or base.__module__.startswith(_PARTIAL_MODULES)


# --- parts


def is_structure(kind: type) -> bool:
    """Say whether the instances of a class are records of fields, and nothing else."""
    bases = kind.__mro__[:-1]
    marked = any(base in _RECORDS or not _STRUCTURES.isdisjoint(vars(base)) for base in bases)
    return marked and is_python(bases)


def is_python(bases: tuple[type, ...]) -> bool:
    """Say whether classes keep all that their instances hold in attributes: none of them is written in C."""
    return all(base.__module__ in _TRANSPARENT or not _is_native(base) for base in bases)


def _is_native(base: type) -> bool:
    """Say whether a class is written in C: then it owns methods or attributes that a class statement never makes."""
    if not base.__flags__ & _HEAP_TYPE:
        return True
    if "__slots__" not in vars(base) and any(map(_is_slot, vars(base).values())):
        return True
    own = [one for name, one in vars(base).items() if name not in {"__dict__", "__weakref__"}]
    return any(isinstance(one, _DESCRIPTORS) and one.__objclass__ is base for one in own)


def _is_slot(one: object) -> bool:
    return type(one) is MemberDescriptorType


class RecordParts:
    """The attributes that a class keeps of its instances, except for those that a cached property has worked out."""

    def __init__(self, kind: type, bases: tuple[type, ...]) -> None:
        self._slots = tuple(_slots(bases))
        self._fields: tuple[str, ...] = getattr(kind, "__struct_fields__", ())
        self._has_dict = kind.__dictoffset__ != 0
        self._derived = _CACHES.union(
            name for base in bases for name, one in vars(base).items() if isinstance(one, cached_property)
        )

    def __call__(self, value: object) -> Mapping[str, object]:
        parts = {name: getattr(value, name) for name in self._fields}
        for name, slot in self._slots:
            try:
                parts[name] = slot.__get__(value)
            except AttributeError:  # the slot is empty
                continue
        if self._has_dict:
            parts.update(vars(value))
        return {name: part for name, part in parts.items() if name not in self._derived}


def _slots(bases: tuple[type, ...]) -> Iterator[tuple[str, MemberDescriptorType]]:
    for base in bases:
        for name, one in vars(base).items():
            if _is_slot(one):
                yield name, cast("MemberDescriptorType", one)
