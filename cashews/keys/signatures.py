"""Which attributes the instances of an annotated class can have, judged without making one."""

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
# A class that has or uses one of these may give its instances any attribute.
_FINDERS = frozenset({"__getattr__", "__getattribute__"})
_DYNAMIC_USES = frozenset({"setattr", "__dict__", "vars"})
_HEAP_TYPE = 1 << 9
_MADE_FROM: dict[type, tuple[str, ...]] = {
    property: ("fget", "fset"),
    cached_property: ("func",),
    staticmethod: ("__func__",),
    classmethod: ("__func__",),
}


def signature_of(function: Callable[..., object]) -> Signature:
    """Return the signature of a function whose annotations need not be resolvable."""
    if sys.version_info >= (3, 14):
        from annotationlib import Format  # noqa: PLC0415  it exists since 3.14

        return signature(function, annotation_format=Format.FORWARDREF)
    return signature(function)


def annotations_of(annotated: object) -> Mapping[str, object]:
    """Return the resolved annotations of a function or class; none if one of them cannot be resolved."""
    try:
        return typing.get_type_hints(annotated)
    except Exception:  # noqa: BLE001  an annotation is any expression, and it may fail in any way
        return {}


def unknown_attribute(annotation: object, field: Field) -> str:
    """Return what is wrong with the attributes of a field whose root is annotated so, or nothing."""
    for step in field.steps:
        kind = _closed_class(annotation)
        if kind is None or not isinstance(step, Attribute):
            return ""
        if step.name not in _known(kind):
            return f"{kind.__qualname__} has no attribute {step.name!r}"
        annotation = _attribute_type(kind, step.name)
    return ""


def _closed_class(annotation: object) -> type | None:
    """Return the annotated class, if its instances have no other attributes than those that it tells."""
    # On Python 3.10 list[int] passes for a type.
    if annotation in _ANYTHING or isinstance(annotation, GenericAlias) or not isinstance(annotation, type):
        return None
    return None if any(map(_opens, annotation.__mro__[:-1])) else annotation


def _opens(base: type) -> bool:
    # Instances of C types with a __dict__ get attributes that nothing announces. That str has a __getattribute__ of
    # its own is CPython's affair; the builtins look attributes up as `object` does.
    foreign = base.__dictoffset__ != 0 and not base.__flags__ & _HEAP_TYPE
    finds = base.__module__ != "builtins" and not _FINDERS.isdisjoint(vars(base))
    return foreign or finds or not _DYNAMIC_USES.isdisjoint(_used(base))


def _known(kind: type) -> set[str]:
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
    """Give the names and texts in the functions of a class: among them is every attribute that they assign."""
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
    """Return what a member of a class was made from."""
    for kind, names in _MADE_FROM.items():
        if isinstance(member, kind):
            return [getattr(member, name) for name in names]
    # Looked up statically: a member may be a proxy that fails when it is touched.
    wrapped = getattr_static(member, "__wrapped__", None)
    return [] if wrapped is None else [wrapped]


def _attribute_type(kind: type, name: str) -> object:
    member = getattr_static(kind, name, None)
    if isinstance(member, (property, cached_property)):
        getter, *_ = _inner(cast("object", member))
        return annotations_of(getter).get("return")
    return annotations_of(kind).get(name)
