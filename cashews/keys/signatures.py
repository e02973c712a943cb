"""Signatures and annotations: they tell the attributes that an argument can have, without an instance of its class."""

from __future__ import annotations

import sys
import typing
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from inspect import Signature, getattr_static, signature
from types import FunctionType, GenericAlias
from typing import cast

from cashews.keys.template import Attribute, Field

_ANYTHING: tuple[object, ...] = (object, typing.Any)  # since 3.11 Any is a class
# Instances of a class that defines one of the first, or uses one of the second, may have any attribute.
_FINDERS = frozenset({"__getattr__", "__getattribute__"})
_DYNAMIC_USES = frozenset({"setattr", "__dict__", "vars"})
_HEAP_TYPE = 1 << 9  # the flag of a type made by a class statement, Py_TPFLAGS_HEAPTYPE
_MADE_FROM: dict[type, tuple[str, ...]] = {
    property: ("fget", "fset"),
    cached_property: ("func",),
    staticmethod: ("__func__",),
    classmethod: ("__func__",),
}


def signature_of(function: Callable[..., object]) -> Signature:
    """Return the signature of a function, even if its annotations cannot be resolved."""
    if sys.version_info >= (3, 14):
        from annotationlib import Format  # noqa: PLC0415  it exists since 3.14

        return signature(function, annotation_format=Format.FORWARDREF)
    return signature(function)


def annotations_of(annotated: object) -> Mapping[str, object]:
    """Return the resolved annotations of a function or class; an empty mapping if one cannot be resolved."""
    try:
        return typing.get_type_hints(annotated)
    except Exception:  # noqa: BLE001  an annotation is any expression, and it may fail in any way
        return {}


def unknown_attribute(annotation: object, field: Field) -> str:
    """Return a sentence about the first attribute of a field that its annotated root lacks, or an empty text."""
    for step in field.steps:
        kind = _closed_class(annotation)
        if kind is None or not isinstance(step, Attribute):
            return ""
        if step.name not in _known(kind):
            return f"{kind.__qualname__} has no attribute {step.name!r}"
        annotation = _attribute_type(kind, step.name)
    return ""


def _closed_class(annotation: object) -> type | None:
    """Return the annotated class if its attributes are statically known, else `None`."""
    # On Python 3.10 list[int] is an instance of type.
    if annotation in _ANYTHING or isinstance(annotation, GenericAlias) or not isinstance(annotation, type):
        return None
    return None if any(map(_allows_any_attribute, annotation.__mro__[:-1])) else annotation


def _allows_any_attribute(base: type) -> bool:
    # C code can give an instance with a __dict__ attributes that its type does not declare. A __getattribute__ of a
    # builtin, as str has one, is an optimisation: builtins look attributes up as `object` does.
    foreign = base.__dictoffset__ != 0 and not base.__flags__ & _HEAP_TYPE
    finds = base.__module__ != "builtins" and not _FINDERS.isdisjoint(vars(base))
    return foreign or finds or not _DYNAMIC_USES.isdisjoint(_used(base))


def _known(kind: type) -> set[str]:
    """Return the names of all attributes that instances of a class may have."""
    known = set(dir(kind))
    for base in kind.__mro__:
        known.update(_own_annotations(base), _slots(base), _used(base))
    return known


def _own_annotations(base: type) -> Mapping[str, object]:
    if sys.version_info >= (3, 14):
        from annotationlib import Format, get_annotations  # noqa: PLC0415  it exists since 3.14

        return get_annotations(base, format=Format.FORWARDREF)
    annotations: Mapping[str, object] = vars(base).get("__annotations__", {})
    return annotations


def _slots(base: type) -> tuple[str, ...]:
    slots = vars(base).get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _used(base: type) -> Iterator[str]:
    """Yield all names and texts in the functions of a class, which include the attributes that they assign."""
    for member in vars(base).values():
        for function in _functions(member):
            yield from function.__code__.co_names
            yield from (one for one in function.__code__.co_consts if isinstance(one, str))


def _functions(member: object) -> Iterator[FunctionType]:
    if isinstance(member, FunctionType):
        yield member
    for inner in _inner(member):
        yield from _functions(inner)


def _inner(member: object) -> list[object]:
    """Return the functions from which a member of a class was made, such as the getter of a property."""
    for kind, names in _MADE_FROM.items():
        if isinstance(member, kind):
            return [getattr(member, name) for name in names]
    # A static look-up, because a member may be a proxy that fails when it is accessed.
    wrapped = getattr_static(member, "__wrapped__", None)
    return [] if wrapped is None else [wrapped]


def _attribute_type(kind: type, name: str) -> object:
    member = getattr_static(kind, name, None)
    if isinstance(member, (property, cached_property)):
        getter, *_ = _inner(cast("object", member))
        return annotations_of(getter).get("return")
    return annotations_of(kind).get(name)
