"""Decorated methods: what they gain is bound like the method itself, as in ``users.get.invalidate(1)``."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from functools import partial, update_wrapper
from typing import Any

from cashews._typing import Self
from cashews.keys.names import subject_of


class Binding(enum.Enum):
    """The object that a method is called with first."""

    INSTANCE = "instance"
    CLASS = "class"
    NONE = "none"


KINDS: tuple[tuple[Any, Binding], ...] = ((classmethod, Binding.CLASS), (staticmethod, Binding.NONE))


class Method(partial):  # type: ignore[type-arg]  # pyright: ignore[reportMissingTypeArgument]  of any function
    """A decorated function of a class. A `partial` without arguments, since that is called without a frame of its own.

    Reached through an instance, it and its helpers are bound to the instance; a class method is bound to the class.
    """

    __module__ = "functools"
    """The module of `partial`: by its name, pydantic and others tell a method from a field without a type."""
    binding: Binding
    helpers: Mapping[str, Callable[..., Any]]

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        if self.binding is Binding.INSTANCE:
            return self if instance is None else Bound(self, instance)
        return self if self.binding is Binding.NONE else Bound(self, type(instance) if owner is None else owner)

    def __repr__(self) -> str:
        return repr(self.func)


class Bound(partial):  # type: ignore[type-arg]  # pyright: ignore[reportMissingTypeArgument]  likewise
    """A method and its helpers, bound to an instance or a class."""

    __func__: Method

    def __new__(cls, method: Method, owner: object) -> Self:
        bound = super().__new__(cls, method.func, owner)
        bound.__func__ = method
        return bound

    @property
    def __self__(self) -> object:
        return self.args[0]

    def __getattr__(self, name: str) -> Any:
        """Return a helper, bound too, or an attribute of the function."""
        method: Method = self.__dict__["__func__"]
        if name == "__wrapped__":  # the signature would be that of the function, with its first parameter
            raise AttributeError(name)
        helper = method.helpers.get(name)
        return getattr(method, name) if helper is None else partial(helper, self.args[0])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bound) and self.__self__ is other.__self__ and self.func is other.func

    def __hash__(self) -> int:
        return hash((id(self.__self__), self.func))

    def __repr__(self) -> str:
        return f"<bound method {self.func.__qualname__} of {self.__self__!r}>"


def unwrapped(function: Any) -> tuple[Any, Binding | None]:
    """Return the function in a class or static method, and the way in which it is bound; `None` for another one."""
    if isinstance(function, Method):  # one decorator over another
        return function, function.binding
    for kind, binding in KINDS:
        if isinstance(function, kind):
            return function.__func__, binding
    return function, None


def equipped(
    run: Any, function: Any, binding: Binding | None, template: str | None = None, **helpers: Callable[..., Any]
) -> Any:
    """Return a decorated function with its helpers, to be bound if it is a method, and the template of its keys."""
    run.key_template = template
    if binding is None and (isinstance(function, partial) or subject_of(function).owner is None):
        for name, helper in helpers.items():
            setattr(run, name, helper)
        return run
    method = Method(run)
    update_wrapper(method, run)
    every = {**(function.helpers if isinstance(function, Method) else {}), **helpers}
    method.__dict__.update(every, helpers=every, binding=binding or Binding.INSTANCE)
    return method
