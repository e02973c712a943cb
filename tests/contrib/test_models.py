"""Models as values of their own form."""

import msgspec
import pydantic
import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient

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


@pytest.mark.parametrize("place", [0, 1])
async def test_an_application_serves_models_from_each_store(url, place):
    """In its next release the model has a new field; a value from before is loaded anew."""
    calls = []

    def release(cache, **fields):
        model, app = models(**fields)[place], FastAPI()
        register_models(model)

        @cache(ttl="1m", key="user:{number}")
        async def load(number: int):
            calls.append(number)
            return model(**{name: kind(number) for name, (kind, _) in fields.items()})

        @app.get("/users/{number}")
        async def show(number: int):
            user = await load(number)
            assert type(user) is model
            return msgspec.to_builtins(user) if place else user

        return AsyncClient(transport=ASGITransport(app), base_url="http://test")

    async with Cache.open(url, pickle_type="json") as cache:
        async with release(cache, name=(str, ...)) as client:
            assert [(await client.get("/users/7")).json() for _ in range(2)] == [{"name": "7"}] * 2
            assert calls == [7]
        async with release(cache, name=(str, ...), age=(int, ...)) as client:
            assert [(await client.get("/users/7")).json() for _ in range(2)] == [{"name": "7", "age": 7}] * 2
    assert calls == [7, 7]


def test_other_classes_are_refused():
    with pytest.raises(WrongArgumentError):
        register_models(dict)
