"""Models as values of their own form."""

import msgspec
import pydantic
import pytest

from cashews import Cache
from cashews.contrib.models import register_models
from cashews.exceptions import WrongArgumentError


@pytest.fixture
async def encoded(clock):
    async with Cache.open("mem://", clock=clock, pickle_type="json") as cache:
        yield cache


def models(**fields):
    model = pydantic.create_model("User", **fields)
    struct = msgspec.defstruct("Account", [(name, kind) for name, (kind, _) in fields.items()])
    return model, struct


@pytest.mark.parametrize("place", [0, 1])
async def test_a_model_comes_back_as_it_went_in(encoded, place):
    model = models(name=(str, ...), age=(int, ...))[place]
    register_models(model)
    user = model(name="Ann", age=7)
    await encoded.set("k", user)
    found = await encoded.get("k")
    assert (found, type(found)) == (user, model)
    assert found is not user

    @encoded.early(ttl="1m", key="e")
    async def load():
        return user

    assert [await load(), await load()] == [user, user]


@pytest.mark.parametrize("place", [0, 1])
async def test_a_value_that_does_not_fit_the_class_of_today_is_absent(encoded, place):
    old, new = models(name=(str, ...))[place], models(name=(str, ...), age=(int, ...))[place]
    register_models(old)
    await encoded.set("k", old(name="Ann"))
    register_models(new)
    assert await encoded.get("k") is None


def test_other_classes_are_refused():
    with pytest.raises(WrongArgumentError):
        register_models(dict)
