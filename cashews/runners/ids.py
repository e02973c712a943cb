"""The parameter of a function that takes many ids: calls of one id are calls of many with that id in its place."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from inspect import Parameter
from typing import Any

from cashews._dataclass import dataclass
from cashews.exceptions import WrongArgumentError
from cashews.keys.signatures import annotations_of, signature_of
from cashews.keys.template import Field, parse_template
from cashews.runners.call import Call


@dataclass(frozen=True, slots=True)
class Ids:
    """The place of the ids among the arguments, and the name of one of them in templates."""

    name: str
    place: int
    one: str

    def of(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Hashable]:
        """Return the ids of a call, each once, in their order.

        :raises TypeError: if the call has none, as the function itself would say, or one has no hash
        """
        given = args[self.place] if len(args) > self.place else kwargs.get(self.name)
        if given is None:
            message = f"missing the argument {self.name!r}"
            raise TypeError(message)
        return list(dict.fromkeys(given))

    def one_of(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Hashable:
        """Return the id of a call that takes one.

        :raises TypeError: if the call has none, as a function itself would say
        """
        if len(args) <= self.place and self.one not in kwargs:
            message = f"missing the argument {self.one!r}"
            raise TypeError(message)
        one: Hashable = args[self.place] if len(args) > self.place else kwargs[self.one]
        return one

    def call(self, one: Hashable, args: tuple[Any, ...], kwargs: Mapping[str, Any], key: str) -> Call:
        """Return the call of one id, as if the function took that alone."""
        if len(args) > self.place:
            return Call((*args[: self.place], one, *args[self.place + 1 :]), kwargs, key)
        others = {name: value for name, value in kwargs.items() if name != self.name}
        return Call(args, {**others, self.one: one}, key)

    def keys(
        self,
        key_of: Callable[..., str],
        ids: Iterable[Hashable],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> list[str]:
        """Return the key of each id of a call.

        :raises NoKeyError: if one can have none
        """
        if len(args) > self.place:
            before, after = args[: self.place], args[self.place + 1 :]
            if not (before or after or kwargs):
                return list(map(key_of, ids))
            return [key_of(*before, one, *after, **kwargs) for one in ids]
        others = {name: value for name, value in kwargs.items() if name != self.name}
        return [key_of(*args, **{self.one: one}, **others) for one in ids]

    def with_place_of_many(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments of a call of one id without it: `None` stands in its place."""
        if len(args) > self.place:
            return (*args[: self.place], None, *args[self.place + 1 :]), dict(kwargs)
        return args, {name: value for name, value in kwargs.items() if name != self.one}

    async def run(
        self,
        function: Callable[..., Any],
        ids: Sequence[Hashable],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> Mapping[Hashable, Any]:
        """Run the function for some of the ids."""
        if len(args) > self.place:
            args = (*args[: self.place], list(ids), *args[self.place + 1 :])
        else:
            kwargs = {**kwargs, self.name: list(ids)}
        found: Mapping[Hashable, Any] = await function(*args, **kwargs)
        return found


def ids_of(function: Callable[..., Any], name: str, template: str | None) -> Ids:
    """Return the place of a function's ids. A field of the template that is no parameter is the name of one of them.

    :raises WrongArgumentError: if the function has no such parameter, or the template no field for one of its ids
    """
    parameters = signature_of(function).parameters
    if name not in parameters:
        raise WrongArgumentError("ids", name, "the name of a parameter of the function")
    roots = [root for part in parse_template(template or "") if isinstance(part, Field) for root in part.roots]
    others = [root for root in roots if root not in parameters and root.isidentifier()]
    if template is not None and not others and name not in roots:
        raise WrongArgumentError("key", template, "a template with a field for one id, such as 'user:{id}'")
    return Ids(name, list(parameters).index(name), others[0] if others else name)


def single(function: Callable[..., Any], ids: Ids) -> Callable[..., Any]:
    """Return a stand-in for a function of many ids, with the signature of a function of one; keys are made from it."""

    async def one(*args: Any, **kwargs: Any) -> Any: ...

    signature = signature_of(function)
    one.__dict__["__signature__"] = signature.replace(
        parameters=[
            each.replace(name=ids.one, annotation=Parameter.empty) if each.name == ids.name else each
            for each in signature.parameters.values()
        ]
    )
    one.__annotations__ = {name: kind for name, kind in annotations_of(function).items() if name != ids.name}
    one.__module__, one.__name__, one.__qualname__ = function.__module__, function.__name__, function.__qualname__
    return one
