"""A decorated method and its helpers are bound alike, on instances, classes, and static methods (guarantee 5)."""

import asyncio
import inspect
import pickle
from typing import get_type_hints

import pydantic
import pytest

from cashews import Cache, noself

DECORATORS = {
    "simple": lambda cache, **options: cache(90, **options),
    "early": lambda cache, **options: cache.early(90, **options),
    "hit": lambda cache, **options: cache.hit(90, 9, **options),
    "failover": lambda cache, **options: cache.failover(90, **options),
}
every_decorator = pytest.mark.parametrize("decorate", DECORATORS.values(), ids=DECORATORS)


class Tenant:
    def __init__(self, name):
        self.name = name
        self.runs = 0

    def __str__(self):
        return self.name


@pytest.fixture
async def memory(clock):
    async with Cache.open("mem://", clock=clock) as opened:
        yield opened


@every_decorator
async def test_the_helpers_of_a_method_are_those_of_its_instance(cache, decorate):
    class Users(Tenant):
        @decorate(cache)
        async def get(self, uid, *, fresh=False):
            self.runs += 1
            return [self.name, uid, fresh]

    one, other = Users("one"), Users("other")
    for users in (one, other):
        assert await users.get(2) == [users.name, 2, False]
    assert one.get.key(2) == Users.get.key(one, 2) != other.get.key(2)
    assert await one.get.peek(2) == ["one", 2, False]
    assert await one.get.invalidate(uid=2) is True
    assert await one.get.peek(2) is None
    assert await Users.get.peek(other, 2) == ["other", 2, False]
    assert await one.get.refresh(2, fresh=True) == ["one", 2, True]
    assert (one.runs, other.runs) == (2, 1)


async def test_an_argument_is_not_taken_for_the_instance(cache):
    class Numbers(Tenant):
        @noself(cache)(90)
        async def get(self, number=1):
            return number

    numbers = Numbers("numbers")
    assert [await numbers.get(1), await numbers.get(2)] == [1, 2]
    assert await numbers.get.invalidate(2) is True
    assert (await numbers.get.peek(1), await numbers.get.peek(2)) == (1, None)


async def test_class_methods_and_static_methods(cache):
    class Base:
        @cache(90, key="over:{cls.__name__}:{uid}")
        @classmethod
        async def over(cls, uid):
            return cls.__name__, uid

        @cache(90, key="static over:{uid}")
        @staticmethod
        async def static_over(uid):
            return uid

        @staticmethod
        @cache(90, key="static under:{uid}")
        async def static_under(uid):
            return uid

        @classmethod
        @cache(90, key="under:{cls.__name__}:{uid}")
        async def under(cls, uid):
            return cls.__name__, uid

    class Derived(Base):
        pass

    for owner, kind in ((Base, Base), (Base(), Base), (Derived, Derived), (Derived(), Derived)):
        assert await owner.over(1) == await owner.under(1) == (kind.__name__, 1)
        assert owner.over.key(1) == f"over:{kind.__name__}:1"
        assert await owner.over.invalidate(1) is True
        assert await owner.static_over(1) == await owner.static_under(1) == 1
        assert owner.static_over.key(1) == "static over:1"
        assert await owner.static_under.invalidate(1) is True


async def test_transactions_around_methods(memory):
    class Numbers(Tenant):
        @memory.transaction()
        @memory(90)
        async def get(self, number):
            return number

        @memory.transaction()
        @classmethod
        async def over(cls, uid):
            await memory.set("over", cls.__name__)
            return uid

        @memory.transaction()
        @staticmethod
        async def static(uid):
            await memory.set("static", uid)
            return uid

    numbers = Numbers("numbers")
    assert await numbers.get(1) == await numbers.over(1) == await numbers.static(1) == 1
    assert await memory.get_many("over", "static") == ("Numbers", 1)
    assert await numbers.get.peek(1) == 1
    assert await numbers.get.invalidate(1) is True


async def test_iterators_filters_and_guards(memory):
    class Users(Tenant):
        @memory.iterator(90)
        async def numbers(self, stop):
            for number in range(stop):
                yield number

        @memory.bloom(capacity=10, name="emails:{email}")
        async def known(self, email):
            return email == "ann"

        @memory.locked()
        @memory(90)
        async def stacked(self, uid):
            return uid

    users = Users("users")
    assert [number async for number in users.numbers(3)] == [0, 1, 2]
    assert users.numbers.key(3) == Users.numbers.key(users, 3)
    assert await users.numbers.invalidate(3) is True
    assert await users.known.set("ann") is True
    assert await users.known("bob") is False
    assert await users.stacked(3) == 3
    assert users.stacked.key(3).startswith("locked:")
    assert await users.stacked.peek(3) == 3


class Described:
    cache = Cache()

    @cache(90)
    async def get(self, uid: int, *, fresh: bool = False) -> str:
        """Get a user."""

    @cache.iterator(90)
    async def numbers(self, stop: int):
        yield stop


def test_a_method_looks_like_one():
    one = Described()
    assert Described.get.__name__ == one.get.__name__ == "get"
    assert Described.get.__doc__ == "Get a user."
    assert one.get.__self__ is one
    assert one.get == one.get
    assert one.get != Described().get
    assert len({one.get, one.get}) == 1
    assert list(inspect.signature(one.get).parameters) == ["uid", "fresh"]
    assert list(inspect.signature(Described.get).parameters) == ["self", "uid", "fresh"]
    assert get_type_hints(Described.get) == {"uid": int, "fresh": bool, "return": str}
    assert "Described.get" in repr(Described.get)
    assert "Described.get" in repr(one.get)
    for function in (one.get, Described.get):
        assert inspect.iscoroutinefunction(function)
        assert asyncio.iscoroutinefunction(function)
    for function in (one.numbers, Described.numbers):
        assert inspect.isasyncgenfunction(function)
    with pytest.raises(AttributeError):
        _ = one.get.no_such_attribute


def test_an_object_with_decorated_methods_is_pickled():
    assert isinstance(pickle.loads(pickle.dumps(Described())), Described)


async def test_a_method_of_a_pydantic_model_is_no_field(memory):
    class Model(pydantic.BaseModel):
        number: int

        def __str__(self) -> str:  # this local class lives once for each store and loop, under one name
            return f"model {self.number}"

        @memory(90)
        async def get(self, uid: int) -> int:
            return self.number + uid

    model = Model(number=1)
    assert await model.get(2) == 3
    assert await model.get.invalidate(2) is True
    assert list(Model.model_fields) == ["number"]


async def test_a_function_that_is_no_method_stays_a_function(memory):
    @memory(90)
    async def load(uid):
        return uid

    assert inspect.isfunction(load)
    assert await load(1) == 1
    assert await load.invalidate(1) is True
