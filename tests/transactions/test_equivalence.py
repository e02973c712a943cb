"""In a transaction every command answers what it would answer outside, and its end leaves what would be there.

Random commands on a few keys are asked of two caches: of one plainly, of the other in a transaction, which is committed
now and then. The replies are the same, and what the stores hold in the end.
"""

from __future__ import annotations

from random import Random

import pytest

from cashews.exceptions import CacheError
from cashews.testing.clock import VirtualClock
from tests.subjects import SUBJECTS, each

KEYS = ("a", "b", "ab")
LIVES = (None, 0.5, 2, 10, 0, -1)
STEPS = 12
SEEDS = 100


def a_command(random: Random):
    """Return a command's name, and its arguments."""
    key, life = random.choice(KEYS), random.choice(LIVES)
    value = random.choice([1, -3, "text", b"bytes", [1, {"a": 2}], None])
    members = random.sample(["x", "y", "z"], random.randint(0, 3))
    return random.choice(
        [
            ("get", (key, "nothing"), {}),
            ("get_many", (*random.choices(KEYS, k=3),), {"default": "nothing"}),
            ("exists", (key,), {}),
            ("get_expire", (key,), {}),
            ("set", (key, value), {"expire": life}),
            ("set", (key, value), {"expire": life, "exist": True}),
            ("set", (key, value), {"expire": life, "exist": False}),
            ("set_many", ({"a": value, "b": 7},), {"expire": life}),
            ("set", (key, value), {"expire": life, "tags": random.sample(["t", "u"], random.randint(1, 2))}),
            ("set", (key, 3), {"tags": ["t"]}),
            ("delete_tags", (random.choice(["t", "u"]),), {}),
            ("get_key_tags", (key,), {}),
            ("set_raw", ("raw", b"raw"), {"expire": life}),
            ("get_raw", ("raw", "nothing"), {}),
            ("get_size", ("nowhere",), {}),
            ("exists", ("raw",), {}),
            ("incr", (key, random.choice([1, 5, -2])), {"expire": life}),
            ("incr", (key,), {}),
            ("expire", (key, life), {}),
            ("delete", (key,), {}),
            ("delete_many", (key, "b"), {}),
            ("delete_match", ("a*",), {}),
            ("clear", (), {}),
            ("set_add", (key, *members), {"expire": life}),
            ("set_remove", (key, *members), {}),
            ("set_pop", (key, 5), {}),
            ("get_keys_count", (), {}),
            ("scan", ("*",), {}),
            ("get_match", ("a*",), {}),
        ]
    )


async def ask(cache, name, args, kwargs):
    """Return what a command answers, or how it fails; in no order where there is none."""
    try:
        reply = getattr(cache, name)(*args, **kwargs)
        if name in {"scan", "get_match"}:
            return sorted([repr(item) async for item in reply])
        reply = await reply
    except CacheError as error:
        return type(error)
    return sorted(reply) if name in {"set_pop", "get_key_tags"} else reply


async def everything(cache):
    """Return what a store holds."""
    found = {}
    for key in KEYS:
        left, tags = await cache.get_expire(key), await ask(cache, "get_key_tags", (key,), {})
        members = await ask(cache, "set_pop", (key, 5), {})
        found[key] = (members, await cache.get(key, "nothing"), left, tags)
    found["raw"] = (await cache.get_raw("raw", "nothing"), await cache.get_expire("raw"))
    return found


async def play(plain, inside, clock, mode, seed):
    """Ask both caches the same; the transaction is committed or begun anew at times that the seed decides."""
    random = Random(seed)
    told = []
    for _ in range(random.randint(1, 3)):
        async with inside.transaction(mode) as tx:
            for _ in range(random.randint(1, STEPS)):
                name, args, kwargs = command = a_command(random)
                expected, found = await ask(plain, name, args, kwargs), await ask(inside, name, args, kwargs)
                told.append((*command, expected))
                assert found == expected, "\n".join(map(repr, told))
                if random.random() < 0.15:
                    pause = random.choice([0.1, 0.5, 1.5, 3])
                    await clock.advance(pause)
                    told.append(("passed", pause))
                if random.random() < 0.1:
                    await tx.commit()
                    told.append(("committed",))
        told.append(("ended", tx.outcome))
    expected, found = await everything(plain), await everything(inside)
    assert found == expected, "\n".join(map(repr, told))


@pytest.mark.parametrize("name", ["mem", "mem-copies-watched", "mem-pickled-signed"])
async def test_commands_in_a_transaction_answer_and_leave_what_they_do_outside(name, mode):
    """Guarantees 1, 15; D71 to D75, D81, D82."""
    for seed in range(SEEDS):
        clock = VirtualClock(1_000)
        async with SUBJECTS[name].open(clock) as plain, SUBJECTS[name].open(clock) as inside:
            await play(plain, inside, clock, mode, f"{name}, {mode}, {seed}")


@pytest.mark.parametrize("subject", each(["redis", "disk", "disk-sharded-signed", "disk-sharded"]), indirect=True)
async def test_commands_in_a_transaction_on_a_server_or_a_disk_answer_and_leave_what_they_do_outside(
    clock, cache, mode
):
    """Guarantees 1, 15; the plain cache is one in memory."""
    for seed in range(SEEDS // 4):
        await cache.clear()
        async with SUBJECTS["mem-pickled-signed"].open(clock) as plain:
            await play(plain, cache, clock, mode, f"redis, {mode}, {seed}")
