"""Dataclasses with slots, whose `__init__` is compiled at the first use of the class and not at the import.

The functions have the names, the options and the rules of the standard library's module, with three differences:
`slots=True` is required, assigning to a field of a frozen dataclass raises a plain `AttributeError`, and the generated
methods but for `__init__` are shared by all classes. The standard library compiles up to six methods for each class at
its definition, in 0.15 to 0.3 ms; for the 150 classes of this package that was a third of its import.
`dataclasses.fields`, `asdict` and `replace` take these classes as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn


class Required:
    """The sign that a field has no default."""


class SlotField:
    """A field of a dataclass: its name, its default or the function that makes it, and where it appears."""

    __slots__ = ("annotation", "compare", "default", "factory", "init", "kw_only", "name", "repr")

    def __init__(
        self,
        *,
        default: object = Required,
        default_factory: Any = Required,
        init: bool = True,
        repr: bool = True,  # noqa: A002  # the name of the standard library's option
        compare: bool = True,
    ) -> None:
        self.name = self.annotation = ""
        self.kw_only = False
        self.default, self.factory = default, default_factory
        self.init, self.repr, self.compare = init, repr, compare


class StandardFields:
    """The class attribute by which the standard library knows a dataclass; it is worked out when somebody asks."""

    def __get__(self, instance: object, owner: type) -> object:
        import dataclasses  # noqa: PLC0415  # not needed by an import of the package

        standard: list[Any] = []
        for one in fields_of(owner):
            options: dict[str, Any] = {name: getattr(one, name) for name in ("init", "repr", "compare", "kw_only")}
            if one.default is not Required:
                options["default"] = one.default
            if one.factory is not Required:
                options["default_factory"] = one.factory
            standard.append((one.name, one.annotation, dataclasses.field(**options)))
        return {one.name: one for one in dataclasses.fields(dataclasses.make_dataclass(owner.__name__, standard))}


def fields_of(record: Any) -> tuple[SlotField, ...]:
    """Return the fields of a dataclass or of an instance of one, in order."""
    found: tuple[SlotField, ...] = record.__slot_fields__
    return found


def changed(record: Any, /, **changes: object) -> Any:
    """Return a new instance with the fields of `record`, of which some have other values."""
    for one in record.__slot_fields__:
        if one.init and one.name not in changes:
            changes[one.name] = getattr(record, one.name)
    return record.__class__(**changes)


def slotted(*, slots: bool, frozen: bool = False, eq: bool = True, kw_only: bool = False) -> Callable[[type], type]:
    """Return a decorator that makes a class again with slots for its fields and with the methods of a dataclass."""
    assert slots, "without slots, use dataclasses.dataclass"

    def decorate(cls: type) -> type:
        own = own_fields(cls, kw_only=kw_only)
        known = {one.name: one for base in cls.__mro__[:0:-1] for one in getattr(base, "__slot_fields__", ())}
        namespace = {name: value for name, value in cls.__dict__.items() if name not in own}
        for name in ("__dict__", "__weakref__"):
            namespace.pop(name, None)
        namespace["__slots__"] = tuple([name for name in own if name not in known])
        namespace["__qualname__"] = cls.__qualname__
        namespace["__slot_fields__"] = tuple((known | own).values())
        namespace["__match_args__"] = tuple(
            [one.name for one in namespace["__slot_fields__"] if one.init and not one.kw_only]
        )
        namespace["__dataclass_fields__"] = StandardFields()
        namespace.setdefault("__init__", init_at_first_use(frozen=frozen))
        namespace.setdefault("__repr__", told)
        if eq:
            namespace.setdefault("__eq__", equal)
            namespace.setdefault("__hash__", hashed if frozen else None)
        if frozen:
            namespace |= {"__setattr__": refuse, "__delattr__": refuse}
            namespace |= {"__getstate__": values_of, "__setstate__": restore}
        return type(cls)(cls.__name__, cls.__bases__, namespace)

    return decorate


def own_fields(cls: type, *, kw_only: bool) -> dict[str, SlotField]:
    """Return the fields that the body of a class declares."""
    own: dict[str, SlotField] = {}
    for name, annotation in cls.__annotations__.items():
        if not annotation.startswith("ClassVar"):
            given = cls.__dict__.get(name, Required)
            one = own[name] = given if isinstance(given, SlotField) else SlotField(default=given)
            one.name, one.annotation, one.kw_only = name, annotation, kw_only
    return own


def init_at_first_use(*, frozen: bool) -> Callable[..., None]:
    """Return an `__init__` that compiles the class's own, puts it in its place, and calls it."""

    def __init__(self: object, /, *args: object, **kwargs: object) -> None:  # noqa: N807  # it is one
        cls = next(base for base in type(self).__mro__ if base.__dict__.get("__init__") is __init__)
        own = compiled_init(cls, frozen=frozen)
        cls.__init__ = own  # type: ignore[misc]  # that is the point
        own(self, *args, **kwargs)

    return __init__


def compiled_init(cls: Any, *, frozen: bool) -> Callable[..., None]:
    """Compile the `__init__` of a dataclass; a frozen one sets its fields through the descriptors of the slots."""
    names: dict[str, Any] = {"Required": Required, "__name__": cls.__module__}
    positional, by_name = ["self"], list[str]()
    body = list[str]()
    for one in cls.__slot_fields__:
        name, value = one.name, one.name
        if one.factory is not Required:
            names[f"make_{name}"] = one.factory
            value = f"make_{name}() if {name} is Required else {name}" if one.init else f"make_{name}()"
        elif one.default is not Required:
            names[f"default_{name}"] = one.default
            value = name if one.init else f"default_{name}"
        elif not one.init:
            continue
        if one.init:
            default = "=Required" if one.factory is not Required else f"=default_{name}" * (one.default is not Required)
            (by_name if one.kw_only else positional).append(name + default)
        if frozen:
            names[f"set_{name}"] = getattr(cls, name).__set__
        body.append(f"set_{name}(self, {value})" if frozen else f"self.{name} = {value}")
    if hasattr(cls, "__post_init__"):
        body.append("self.__post_init__()")
    parameters = ", ".join([*positional, *(["*", *by_name] if by_name else [])])
    text = f"def __init__({parameters}):\n " + "\n ".join(body or ["pass"])
    exec(text, names)  # noqa: S102  # the text consists of names of fields
    init: Callable[..., None] = names["__init__"]
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    return init


def values_of(self: Any) -> list[object]:
    """Return the values of all fields, which is also the form in which a frozen dataclass is pickled."""
    return [getattr(self, one.name) for one in self.__slot_fields__]


def restore(self: Any, state: list[object]) -> None:
    """Set the fields of a frozen dataclass to values from `values_of`."""
    for one, value in zip(self.__slot_fields__, state, strict=True):
        object.__setattr__(self, one.name, value)


def told(self: Any) -> str:
    """Tell the fields of a dataclass, but for those that are kept out of texts."""
    shown = ", ".join([f"{one.name}={getattr(self, one.name)!r}" for one in self.__slot_fields__ if one.repr])
    return f"{type(self).__qualname__}({shown})"


def equal(self: Any, other: object) -> Any:
    """Compare two instances of one dataclass by their fields."""
    if type(other) is not type(self):
        return NotImplemented
    return compared(self) == compared(other)


def hashed(self: Any) -> int:
    """Return the hash of a frozen dataclass, from the fields by which it is compared."""
    return hash(compared(self))


def compared(self: Any) -> tuple[object, ...]:
    """Return the values by which a dataclass is compared."""
    return tuple([getattr(self, one.name) for one in self.__slot_fields__ if one.compare])


def refuse(self: object, name: str, *_value: object) -> NoReturn:
    """Refuse to change a field of a frozen dataclass."""
    message = f"{type(self).__qualname__}.{name} is read-only"
    raise AttributeError(message)


if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
    from dataclasses import field as field
    from dataclasses import fields as fields
    from dataclasses import replace as replace
else:
    dataclass, field, fields, replace = slotted, SlotField, fields_of, changed
