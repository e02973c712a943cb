"""The contract of every message, and the shapes that many commands share: one key, many keys, a pattern, a page.

Code between user and store uses only this contract: `command`, `effect`, `keys`, `covers`, `rename`, `renaming`,
`declined`, `split`, `merge`, and, for middlewares, `arguments` and `with_arguments`. Messages are treated as values:
nobody changes one after posting it. They are slotted rather than frozen because a frozen dataclass takes 2.5 times as
long to make.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from cashews._dataclass import dataclass, field, fields, replace
from cashews._steps import Steps, finished, slices_of
from cashews._typing import Self
from cashews.commands import Command, Effect
from cashews.exceptions import WrongArgumentError

R = TypeVar("R")

Item = TypeVar("Item")

Owner = TypeVar("Owner", bound=Hashable)


class Message(Generic[R]):
    """A command with its arguments; the engine answers it with an `R`."""

    __slots__ = ()

    command: ClassVar[Command]
    """The public verb."""
    effect: ClassVar[Effect]
    """The effect on a store."""
    spread: ClassVar[str] = ""
    """The name of the field that the public command takes as ``*args``, if any."""
    hidden: ClassVar[frozenset[str]] = frozenset({"cursor", "permit"})
    """The names of fields that are no arguments of the public command."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that this message names; empty for patterns and for the whole store."""
        raise AssertionError

    @property
    def covers(self) -> str | None:
        """The pattern of this message's keys, `"*"` for the whole store; `None` for a message that names its keys."""
        return None

    def rename(self, name: Callable[[str], str]) -> Self:
        """Return the same message about other keys."""
        raise AssertionError

    def renaming(self, name: Callable[[str], str]) -> Steps[Self]:
        """Return the same message about other keys, in steps: it may name very many."""
        yield from ()
        return self.rename(name)

    def declined(self) -> R:
        """Return the neutral reply, which a disabled cache or a suppressed outage gives."""
        raise AssertionError

    def left_open(self) -> R:
        """Return the reply for a broken connection: the message may have been carried out, or not."""
        return self.declined()

    def split(self, owner: Callable[[str], Owner]) -> Steps[Mapping[Owner, Self]]:
        """Divide this message by the owners of its keys, in steps: returns the part of each owner."""
        yield from ()
        return {owner(key): self for key in self.keys}

    def merge(self, parts: Sequence[tuple[Message[R], R]]) -> Steps[R]:
        """Join the parts' replies to the reply for the whole message, in steps."""
        yield from ()
        return parts[-1][1] if parts else self.declined()

    def with_arguments(self, *args: object, **kwargs: object) -> Self:
        """Return this message with other arguments of the public command.

        :raises WrongArgumentError: if the command has no such argument
        """
        names = public_fields(type(self))
        changed: dict[str, Any] = dict(kwargs)
        if self.spread and args:
            if "key" in names:
                changed["key"], *args = args  # type: ignore[assignment]  # a list serves as well
            changed[self.spread] = tuple(args)
        else:
            changed.update(zip(names, args, strict=False))
        for name in changed.keys() - set(names):
            raise WrongArgumentError(f"{self.command.value}({name}=)", changed[name], ", ".join(names))
        return replace(self, **changed)  # type: ignore[type-var]  # every message is a dataclass


_public_fields: dict[type, tuple[str, ...]] = {}


def public_fields(kind: type[Message[Any]]) -> tuple[str, ...]:
    """Return the names of the fields that are arguments of the public command, in order."""
    names = _public_fields.get(kind)
    if names is None:
        names = tuple(field.name for field in fields(kind) if field.name not in kind.hidden)  # type: ignore[arg-type]  # every message is a dataclass
        _public_fields[kind] = names
    return names


@dataclass(slots=True)
class OneKey(Message[R]):
    """A message about one key."""

    key: str

    @property
    def keys(self) -> tuple[str, ...]:
        return (self.key,)

    def rename(self, name: Callable[[str], str]) -> Self:
        return replace(self, key=name(self.key))


@dataclass(slots=True)
class ManyKeys(Message[R]):
    """A message about several keys, in order; duplicates are allowed."""

    many: tuple[str, ...]
    spread: ClassVar[str] = "many"

    @property
    def keys(self) -> tuple[str, ...]:
        return self.many

    def rename(self, name: Callable[[str], str]) -> Self:
        return finished(self.renaming(name))

    def renaming(self, name: Callable[[str], str]) -> Steps[Self]:
        names: list[str] = []
        for keys in slices_of(self.many):
            if names:
                yield
            names += map(name, keys)
        return replace(self, many=tuple(names))

    def split(self, owner: Callable[[str], Owner]) -> Steps[Mapping[Owner, Self]]:
        parts: dict[Owner, list[str]] = {}
        for keys in slices_of(self.many):
            if parts:
                yield
            for key in keys:
                parts.setdefault(owner(key), []).append(key)
        return {place: replace(self, many=tuple(keys)) for place, keys in parts.items()}


@dataclass(slots=True)
class Matching(Message[R]):
    """A message about the keys that match a pattern; `*` stands for any text, every other character for itself."""

    pattern: str

    @property
    def covers(self) -> str:
        return self.pattern

    @property
    def keys(self) -> tuple[str, ...]:
        return ()

    def rename(self, name: Callable[[str], str]) -> Self:
        return replace(self, pattern=name(self.pattern))


@dataclass(slots=True)
class Paged(Matching["Page[Item]"], Generic[Item]):
    """A message about the keys that match a pattern, answered page by page."""

    batch_size: int = 100
    cursor: object | None = None

    def declined(self) -> Page[Item]:
        return Page([])


class WholeStore(Message[R]):
    """A message about the whole store."""

    __slots__ = ()

    @property
    def keys(self) -> tuple[str, ...]:
        return ()

    @property
    def covers(self) -> str:
        return "*"

    def rename(self, name: Callable[[str], str]) -> Self:
        return self


@dataclass(slots=True)
class Page(Generic[Item]):
    """A part of a scan's result. A message with its `cursor` asks for the next part; `None` marks the last part."""

    items: list[Item] = field(repr=False)
    cursor: object | None = None
