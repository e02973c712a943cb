"""Copies of exceptions: each waiter, and each call that a remembered exception answers, raises one of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import BuiltinFunctionType, GetSetDescriptorType, MemberDescriptorType
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

from cashews._typing import ABSENT

_OF_ITS_OWN: Final = frozenset({"__traceback__", "__context__", "__dict__", "__weakref__", "__class__"})
"""Attributes that a copy does not share: where it was raised, and the things that Python itself keeps."""


def copied(error: Exception) -> Exception:
    """Return a copy of an exception that equals it: of the same type, with its arguments, fields, notes and cause.

    No code of the class runs that makes exceptions. If its exceptions cannot be copied so, the copy is the
    object without its traceback, which would grow with each raise.
    """
    kind = type(error)
    try:
        plan = _plans.get(kind) or _planned(kind)
        twin = plan.new(kind, *error.args)
        if type(twin) is not kind:  # OSError makes an exception of a class of its own choice
            return error.with_traceback(None)
        twin.args = error.args
        twin.__dict__.clear()
        twin.__dict__.update(error.__dict__)
        if "__notes__" in error.__dict__:
            twin.__dict__["__notes__"] = list(error.__dict__["__notes__"])
        is_equal = all(_carry(error, twin, name) for name in plan.fields)
    except Exception:  # noqa: BLE001  the class is of a kind of its own
        return error.with_traceback(None)
    return twin if is_equal else error.with_traceback(None)


class _Plan(NamedTuple):
    """The way to copy the exceptions of a class: the maker written in C, and the fields to carry over."""

    new: Callable[..., Exception]
    fields: tuple[str, ...]


_plans: WeakKeyDictionary[type, _Plan] = WeakKeyDictionary()


def _planned(kind: type) -> _Plan:
    makers = (vars(each)["__new__"] for each in kind.__mro__ if "__new__" in vars(each))
    plan = _Plan(next(each for each in makers if isinstance(each, BuiltinFunctionType)), tuple(_fields(kind)))
    _plans[kind] = plan
    return plan


def _fields(kind: type) -> Iterator[str]:
    """Give the names of the fields that are not in the dictionary: `__slots__`, and those of classes written in C."""
    for each in kind.__mro__:
        for name, descriptor in vars(each).items():
            if isinstance(descriptor, (MemberDescriptorType, GetSetDescriptorType)) and name not in _OF_ITS_OWN:
                yield name


def _carry(error: Exception, twin: Exception, name: str) -> bool:
    """Give a copy the value of a field; says whether it has it."""
    value = _value(error, name)
    if _is_same(_value(twin, name), value):
        return True
    if value is ABSENT:
        delattr(twin, name)
    else:
        setattr(twin, name, value)
    return _is_same(_value(twin, name), value)


def _is_same(found: object, value: object) -> bool:
    return found is value or (type(found) is type(value) and bool(found == value))


def _value(error: Exception, name: str) -> Any:
    return getattr(error, name, ABSENT)
