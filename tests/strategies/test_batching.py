"""`batching`: single calls that come close together are one run of a function of many ids."""

import anyio
import pytest

from cashews import Cache, WrongArgumentError


@pytest.fixture
def runs():
    return []


@pytest.fixture
def user(cache, runs):
    @cache.batching(window=1, size=3)
    async def user(ids, lang="en"):
        runs.append(ids)
        if 13 in ids:
            raise ValueError("13")
        return {one: f"{one} {lang}" for one in ids if one >= 0}

    return user


def sets(runs):
    """Return the ids of each run; trio starts tasks in an order of its own."""
    assert all(len(set(ids)) == len(ids) for ids in runs)
    return list(map(set, runs))


async def gathered(function, clock, *calls, seconds=2):
    """Make calls at the same time; returns their results and errors, in order."""
    found = [None] * len(calls)

    async def call(place, args):
        try:
            found[place] = await function(*args)
        except ValueError as error:
            found[place] = error

    async with anyio.create_task_group() as tasks:
        for place, args in enumerate(calls):
            tasks.start_soon(call, place, args)
        await clock.advance(seconds)
    return found


async def test_calls_of_a_window_are_one_run(user, runs, clock):
    assert await gathered(user, clock, (1,), (2,)) == ["1 en", "2 en"]
    assert await gathered(user, clock, (1,)) == ["1 en"]
    assert sets(runs) == [{1, 2}, {1}]


async def test_a_call_without_an_id_is_a_wrong_call(user, runs):
    for wrong in ({}, {"ids": [1]}, {"lang": "de"}):
        with pytest.raises(TypeError, match="missing the argument 'id'"):
            await user(**wrong)
    assert runs == []


async def test_a_full_batch_does_not_wait(user, runs, clock):
    found = await gathered(user, clock, *[(n,) for n in range(6)], seconds=0.1)
    assert found == [f"{n} en" for n in range(6)]
    assert list(map(len, runs)) == [3, 3]


async def test_the_same_id_is_asked_for_once_and_an_unknown_one_is_none(user, runs, clock):
    assert await gathered(user, clock, (1,), (1,), (-1,)) == ["1 en", "1 en", None]
    assert sets(runs) == [{1, -1}]


async def test_calls_with_other_arguments_are_gathered_apart(user, runs, clock):
    assert await gathered(user, clock, (1,), (2, "de"), (3,)) == ["1 en", "2 de", "3 en"]
    assert sorted(map(sorted, runs)) == [[1, 3], [2]]


async def test_equal_ids_and_arguments_of_other_types_are_gathered_apart(cache, clock):
    """Guarantee 5."""

    @cache.batching(window=1)
    async def load(ids, *others):
        return {one: repr((one, *others)) for one in ids}

    calls = [(1,), (True,), (1.0,), (2, 1), (2, True), (2, (1, 0)), (2, (1, False))]
    assert await gathered(load, clock, *calls) == [repr(call) for call in calls]


async def test_a_failure_is_each_callers_own(user, clock):
    one, other = await gathered(user, clock, (13,), (2,))
    assert str(one) == str(other) == "13"
    assert one is not other


async def test_a_result_that_is_no_mapping_is_an_error_of_each_call(cache, clock):
    """None of them waits for a value that does not come."""

    @cache.batching(window=1)
    async def load(ids):
        return ids

    found = []

    async def call(one):
        try:
            await load(one)
        except AttributeError as error:
            found.append(error)

    async with anyio.create_task_group() as tasks:
        for one in range(3):
            tasks.start_soon(call, one)
        await clock.advance(2)
        answered = len(set(map(id, found)))
        tasks.cancel_scope.cancel()
    assert answered == 3


@pytest.mark.parametrize("seconds", [0.5, 1.5], ids=["while it gathers", "while it runs"])
async def test_a_cancelled_leader_is_followed_by_the_next_call(cache, clock, seconds):
    runs = []

    @cache.batching(window=1)
    async def load(ids):
        runs.append(ids)
        await clock.sleep(1)
        return {one: one for one in ids}

    found = []

    async def call(one):
        found.append(await load(one))

    leading = anyio.CancelScope()

    async def lead():
        with leading:
            await call(1)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lead)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(call, 2)
        tasks.start_soon(call, 3)
        await clock.advance(seconds)
        leading.cancel()
        await clock.advance(5)
    assert sorted(found) == [2, 3]
    assert sorted(runs[-1]) == [2, 3]


async def test_a_cancelled_call_is_left_out(user, runs, clock):
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(user, 1)
        await anyio.wait_all_tasks_blocked()
        async with anyio.create_task_group() as cancelled:
            cancelled.start_soon(user, 2)
            await anyio.wait_all_tasks_blocked()
            cancelled.cancel_scope.cancel()
        await clock.advance(2)
    assert runs == [[1]]


async def test_under_a_caching_decorator_only_misses_are_gathered(cache, user, runs, clock):
    cached = cache(ttl=90, key="user:{id}")(user)
    assert await gathered(cached, clock, (1,), (2,)) == ["1 en", "2 en"]
    assert await gathered(cached, clock, (1,), (3,), (2,)) == ["1 en", "3 en", "2 en"]
    assert sets(runs) == [{1, 2}, {3}]
    assert await cache.get("user:1") == "1 en"


async def test_keywords_methods_and_arguments_without_a_hash(cache, clock):
    runs = []

    class Users:
        @cache.batching(window=1, size=2)
        async def load(self, ids, options=()):
            runs.append(ids)
            return {one: (one, len(options)) for one in ids}

    users = Users()
    assert await users.load(1, []) == (1, 0)
    found = []

    async def call(**kwargs):
        found.append(await users.load(**kwargs))

    async with anyio.create_task_group() as tasks:
        for one in (5, 6):
            tasks.start_soon(lambda one=one: call(id=one))
        await clock.advance(2)
    assert sorted(found) == [(5, 0), (6, 0)]
    assert sets(runs) == [{1}, {5, 6}]


def test_mistakes_are_errors_at_decoration():
    cache = Cache()

    async def load(numbers):  # noqa: ARG001  a signature
        return {}

    with pytest.raises(WrongArgumentError, match="ids"):
        cache.batching()(load)
    with pytest.raises(WrongArgumentError, match="size"):
        cache.batching(size=0)
    with pytest.raises(WrongArgumentError, match="window"):
        cache.batching(window=-1)
