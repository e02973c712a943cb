"""Our dataclasses follow the rules of the standard library's, but for what their module says."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from typing import Any, ClassVar, Generic, TypeVar

import pytest

from cashews import _dataclass
from cashews.messages import Get, Set

V = TypeVar("V")
MODULES = [pytest.param(dataclasses, id="standard"), pytest.param(_dataclass, id="ours")]


def classes(module: Any) -> dict[str, type]:
    """Make classes of every form that the package uses, with either module's decorator."""
    dataclass, field = module.dataclass, module.field

    @dataclass(slots=True)
    class Plain(Generic[V]):
        shared: ClassVar[int] = 7
        first: V
        second: str = "two"
        many: list[int] = field(default_factory=list)
        hidden: object = field(default=None, compare=False, repr=False)

        @property
        def doubled(self):
            return self.second * 2

    @dataclass(slots=True)
    class Derived(Plain[int]):
        second: str = "other"
        third: int = 3

    @dataclass(frozen=True, slots=True)
    class Frozen:
        left: int
        right: int = 2
        made: int = field(init=False, default=0)
        ready: int = field(init=False)

        def __post_init__(self):
            object.__setattr__(self, "ready", self.left + self.right)

    @dataclass(frozen=True, slots=True, kw_only=True)
    class ByName:
        needed: int
        maybe: int = 1

    @dataclass(slots=True, eq=False)
    class ByIdentity:
        value: int

    @dataclass(slots=True)
    class Empty:
        pass

    return {one.__name__: one for one in (Plain, Derived, Frozen, ByName, ByIdentity, Empty)}


CALLS = [
    ("Plain", (1,), {}),
    ("Plain", (1, "b", [1], 5), {}),
    ("Plain", (), {"second": "x", "first": 0}),
    ("Plain", (), {}),
    ("Plain", (1,), {"first": 1}),
    ("Plain", (1, 2, 3, 4, 5), {}),
    ("Plain", (1,), {"unknown": 1}),
    ("Derived", (1,), {}),
    ("Derived", (1, "b", [2], None, 9), {}),
    ("Frozen", (1,), {}),
    ("Frozen", (1, 5), {}),
    ("Frozen", (1,), {"ready": 2}),
    ("ByName", (1,), {}),
    ("ByName", (), {"needed": 1}),
    ("ByName", (), {"maybe": 1}),
    ("ByIdentity", (1,), {}),
    ("Empty", (), {}),
]


def outcome(module, name, args, kwargs):
    """Return all that can be seen of a call: its value, or its error without the place of the class."""
    try:
        made = classes(module)[name](*args, **kwargs)
    except TypeError as error:
        return "error", str(error).rpartition("<locals>.")[2]
    told = repr(made).rpartition("<locals>.")[2]
    copied, deep = copy.copy(made), copy.deepcopy(made)
    replaced = module.replace(made)
    try:
        hashed = hash(made) == hash(copied)
    except TypeError as error:
        hashed = str(error).rpartition(".")[2]
    equalities = (made == copied, made == deep, made == replaced, made == 1, made != copied)
    names = [one.name for one in module.fields(made)]
    return "made", told, equalities, hashed, names, [getattr(made, one) for one in names], type(made).__match_args__


@pytest.mark.parametrize(("name", "args", "kwargs"), CALLS, ids=range(len(CALLS)))
def test_a_dataclass_does_what_the_standard_one_does(name, args, kwargs):
    expected = outcome(dataclasses, name, args, kwargs)
    assert outcome(_dataclass, name, args, kwargs) == expected


@pytest.mark.parametrize("module", MODULES)
def test_a_frozen_one_refuses_to_change(module):
    made = classes(module)["Frozen"](1)
    with pytest.raises(AttributeError):
        made.left = 2
    with pytest.raises(AttributeError):
        del made.left
    assert made.left == 1


@pytest.mark.parametrize("module", MODULES)
def test_instances_have_slots_alone(module):
    kinds = classes(module)
    for made in (kinds["Plain"](1), kinds["Derived"](1), kinds["ByName"](needed=1)):
        assert not hasattr(made, "__dict__")
    with pytest.raises(AttributeError):
        kinds["Plain"](1).unknown = 1
    assert kinds["Plain"].shared == 7


def test_the_standard_library_takes_them():
    message = Set("key", [1], 60)
    assert dataclasses.is_dataclass(message)
    assert dataclasses.asdict(message)["value"] == [1]
    assert dataclasses.replace(message, key="other") == Set("other", [1], 60)
    assert [one.name for one in dataclasses.fields(Get)] == ["key", "default"]


def test_they_are_pickled_with_any_protocol():
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        for made in (Set("key", [1], 60), Reading(1, "b")):
            assert pickle.loads(pickle.dumps(made, protocol)) == made


def test_a_match_takes_fields_by_position():
    match Get("key", 5):
        case Get(key, default):
            assert (key, default) == ("key", 5)


def test_the_signature_is_the_class_s_own_once_it_was_used():
    Get("key")
    assert list(inspect.signature(Get).parameters) == ["key", "default"]


def test_a_subclass_without_the_decorator_uses_its_parent_s_fields():
    class Named(classes(_dataclass)["Plain"]):
        pass

    assert Named(1).second == "two"
    assert type(Named(2)).__mro__[1].__name__ == "Plain"


@_dataclass.dataclass(frozen=True, slots=True)
class Reading:
    """A frozen dataclass that pickle can find."""

    left: int
    right: str
