"""Keys of tokens that are verified: a cached function is no way around its own check."""

from contextlib import suppress

import anyio
import jwt
import pytest

from cashews import default_formatter
from tests.strategies.test_calls_without_a_key import every_strategy

SECRET = "a secret of sixty-four bytes" + "." * 36


@pytest.fixture
def _verifying(monkeypatch):
    """A template may verify tokens by the key that is named `accounts`."""
    monkeypatch.setattr(default_formatter.tokens, "_verifiers", {})
    default_formatter.register_jwt_key("accounts", SECRET, algorithms=["HS256"])


@every_strategy
@pytest.mark.usefixtures("_verifying")
@pytest.mark.parametrize("is_loading", [False, True], ids=["", "during a load"])
async def test_a_forged_token_gets_no_answer_of_the_real_one(cache, decorate, is_loading):
    """The function itself judges the token, which no stored value and no load for another caller spares it."""
    real, forged = (jwt.encode({"sub": "me"}, secret, "HS256") for secret in (SECRET, "x" * 64))
    begun, go = anyio.Event(), anyio.Event()

    @decorate(cache, key="{token:jwt(sub, key=accounts)}")
    async def load(token):
        if token != real:
            raise PermissionError
        begun.set()
        await go.wait()
        return "my account"

    answers = []

    async def attempt(token):
        with suppress(PermissionError):
            answers.append(await load(token))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(load, real)
        await begun.wait()
        if not is_loading:
            go.set()
            await load(real)
        for token in (forged, real[:-3], f"{real}x", ".".join((*forged.split(".")[:2], ""))):
            tasks.start_soon(attempt, token)
        await anyio.wait_all_tasks_blocked()
        go.set()
    assert answers == []
    assert await load(real) == "my account"
