"""`many`: each id is cached by itself, hits are read in one message, and what is missing is loaded in one run."""

from random import Random

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cashews import Cache, CacheBackendInteractionError, WrongArgumentError, WrongKeyError, invalidate_further
from tests.subjects import each


class Source:
    """A function of many ids that notes its runs; it may take time, fail, and know nothing of some ids."""

    def __init__(self, clock):
        self.clock = clock
        self.runs = []
        self.takes = 0.0
        self.error = None
        self.unknown = set()

    async def __call__(self, ids, lang="en"):
        self.runs.append(list(ids))
        run = len(self.runs)
        if self.takes:
            await self.clock.sleep(self.takes)
        if self.error is not None:
            raise self.error
        return {one: f"{one} {lang} {run}" for one in ids if one not in self.unknown}


@pytest.fixture
def source(clock):
    return Source(clock)


@pytest.fixture
def users(cache, source):
    return cached(cache, source)


def cached(cache, source, **options):
    @cache.many(**{"ttl": 90, "key": "user:{id}:{lang}", **options})
    async def users(ids, lang="en"):
        return await source(ids, lang)

    return users


async def test_only_what_is_missing_is_loaded(users, source):
    assert await users([1, 2]) == {1: "1 en 1", 2: "2 en 1"}
    assert list((await users([3, 2, 1, 3])).items()) == [(3, "3 en 2"), (2, "2 en 1"), (1, "1 en 1")]
    assert await users(ids=(1, 2), lang="de") == {1: "1 de 3", 2: "2 de 3"}
    assert await users([]) == {}
    assert source.runs == [[1, 2], [3], [1, 2]]


async def test_each_value_has_its_own_key_and_end(cache, users, source, clock):
    await users([1])
    await clock.advance(50)
    await users([1, 2])
    assert users.key(2) == "user:2:en"
    assert await cache.get("user:1:en") == "1 en 1"
    assert [await cache.get_expire(users.key(one)) for one in (1, 2)] == [40, 90]
    await clock.advance(40)
    await users([1, 2])
    assert source.runs == [[1], [2], [1]]


async def test_ids_are_removed_one_by_one(users, source):
    await users([1, 2, 3])
    await users.invalidate([1, 3])
    await users([1, 2, 3])
    assert source.runs == [[1, 2, 3], [1, 3]]


@pytest.mark.parametrize("absent", [False, True])
async def test_ids_that_the_function_leaves_out_are_absent_and_remembered_if_asked(cache, source, absent):
    users = cached(cache, source, absent=absent)
    source.unknown = {2}
    for _ in range(2):
        assert list(await users([1, 2])) == [1]
    assert source.runs == ([[1, 2]] if absent else [[1, 2], [2]])


async def test_ids_that_another_calls_function_leaves_out_are_no_answers(cache, source, clock):
    """No detector is told of them, and no ttl is worked out for them."""
    users = cached(cache, source, ttl=lambda *_, result, **__: len(result))
    source.unknown, source.takes = {2}, 1.0
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(users, [1, 2])
        await clock.advance(0.1)
        with cache.detect as detector:
            tasks.start_soon(users, [1, 2])
            await clock.advance(2)
    assert list(detector.calls) == [users.key(1)]
    assert users.statistics().uncached == {}


async def test_without_the_option_none_is_a_value(cache):
    @cache.many(ttl=90, key="{id}")
    async def load(ids):
        return dict.fromkeys(ids)

    for _ in range(2):
        assert await load([1]) == {1: None}


async def test_concurrent_callers_share_what_is_being_loaded(users, source, clock):
    source.takes = 1.0
    found = {}

    async def ask(*ids):
        found[ids] = await users(ids)

    async with anyio.create_task_group() as tasks:
        for ids in ((1, 2), (2, 3), (3, 1), (4,)):
            tasks.start_soon(ask, *ids)
            await clock.advance(0.1)
        await clock.advance(2)
    assert source.runs == [[1, 2], [3], [4]]
    assert found[3, 1] == {3: "3 en 2", 1: "1 en 1"}
    assert users.statistics().shared == 3


async def test_a_cancelled_leader_is_followed_by_its_waiters(users, source, clock):
    """Two calls wait for two loads each, in opposite order: each takes over what it is given, and none is stuck."""
    source.takes = 1.0
    found = {}

    async def ask(*ids):
        found[ids] = await users(ids)

    leading = {1: anyio.CancelScope(), 2: anyio.CancelScope()}

    async def lead(one):
        with leading[one]:
            await users([one])

    async with anyio.create_task_group() as tasks:
        for one in (1, 2):
            tasks.start_soon(lead, one)
            await clock.advance(0.05)
        tasks.start_soon(ask, 1, 2)
        tasks.start_soon(ask, 2, 1)
        await clock.advance(0.1)
        for scope in leading.values():
            scope.cancel()
        await clock.advance(5)
    assert sorted(found[1, 2]) == [1, 2]
    assert found[1, 2] == found[2, 1]


async def test_a_waiter_that_fails_when_it_is_to_lead_hands_the_lead_on(cache, source, clock):
    """Its tags are worked out first, and an error there may be one that its caller has to see."""
    source.takes, out = 1.0, []

    def tags_of(*_, **__):
        if out:
            raise out.pop()
        return ["users"]

    users = cached(cache, source, key="user:{id}", tags=[tags_of])
    found = []

    async def ask():
        try:
            found.append(await users([1]))
        except CacheBackendInteractionError as error:
            found.append(error)

    async with anyio.create_task_group() as tasks:
        leading = anyio.CancelScope()
        with leading:
            async with anyio.create_task_group() as leaders:
                leaders.start_soon(users, [1])
                await clock.advance(0.1)
                for _ in range(2):
                    tasks.start_soon(ask)
                    await clock.advance(0.1)
                out.append(outage := CacheBackendInteractionError("out of reach"))
                leading.cancel()
        await clock.advance(5)
        tasks.cancel_scope.cancel()
    assert found == [outage, {1: "1 en 2"}]
    assert cache.statistics().loads == 0


async def test_a_cancelled_waiter_touches_nobody(users, source, clock, cache):
    source.takes = 1.0
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(users, [1])
        await clock.advance(0.1)
        async with anyio.create_task_group() as waiters:
            waiters.start_soon(users, [1, 2])
            await clock.advance(0.1)
            waiters.cancel_scope.cancel()
        await clock.advance(3)
    assert await users([1]) == {1: "1 en 1"}
    assert (cache.statistics().loads, cache.statistics().load_waiters) == (0, 0)


async def test_an_id_that_is_deleted_during_its_load_is_not_stored(cache, users, source, clock):
    """Guarantee 10: the others are, and every caller gets its answer."""
    source.takes = 1.0
    found = {}

    async def ask():
        found.update(await users([1, 2, 3]))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        await clock.advance(0.5)
        await cache.delete("user:2:en")
        await clock.advance(1)
    assert sorted(found) == [1, 2, 3]
    assert await cache.get_many(*map(users.key, (1, 2, 3))) == ("1 en 1", None, "3 en 1")


async def test_a_failure_is_every_callers_and_stores_nothing(users, source, clock, cache):
    source.takes, source.error = 1.0, ValueError("no")
    errors = []

    async def ask(*ids):
        with pytest.raises(ValueError, match="no") as caught:
            await users(ids)
        errors.append(caught.value)

    async with anyio.create_task_group() as tasks:
        for ids in ((1, 2), (2,)):
            tasks.start_soon(ask, *ids)
            await clock.advance(0.1)
        await clock.advance(1)
    assert len(set(map(id, errors))) == 2
    assert source.runs == [[1, 2]]
    assert (await cache.get_keys_count(), cache.statistics().loads) == (0, 0)


async def test_conditions_tags_and_ttls_are_those_of_each_id(cache, source):
    users = cached(
        cache,
        source,
        ttl=lambda id, *_: id,  # noqa: A006  the field of the template
        condition=lambda result, *_, **__: "3 en" not in result,
        tags=["all", "user:{id}", "said:{result[0]}"],
    )
    await users([5, 6, 3])
    assert [await cache.get_expire(users.key(one)) for one in (5, 6, 3)] == [5, 6, -2]
    assert sorted(await cache.get_key_tags(users.key(5))) == ["all", "said:5", "user:5"]
    await cache.delete_tags("user:5")
    await users([5, 6])
    assert source.runs == [[5, 6, 3], [5]]
    assert users.statistics().refused == 1


async def test_a_condition_may_remember_an_exception_for_one_id(cache, source):
    """Guarantee 12."""
    lost = ValueError("lost")
    users = cached(cache, source, condition=lambda result, *_, **__: lost if result.startswith("2") else True)
    await users([1, 2])
    with pytest.raises(ValueError, match="lost"):
        await users([1, 2])
    assert await users([1]) == {1: "1 en 1"}
    with cache.detect as detector, pytest.raises(ValueError, match="lost"):
        await users([3, 1, 2])
    assert sorted(detector.calls) == [users.key(1), users.key(2)]
    figures = users.statistics()
    assert (figures.calls, figures.hits) == (8, 5)


async def test_ids_without_a_key_are_loaded_and_not_stored(cache):
    """Guarantee 29."""
    runs = []

    @cache.many(ttl=90)
    async def load(ids):
        runs.append(len(ids))
        return dict.fromkeys(ids, 1)

    thing = object()
    for _ in range(2):
        assert await load([1, thing]) == {1: 1, thing: 1}
    assert runs == [2, 1]
    assert load.statistics().uncached == {"no key": 2}


@pytest.mark.parametrize("subject", each(["mem-pickled-signed", "redis", "disk"]), indirect=True)
async def test_a_value_that_cannot_be_stored_costs_the_others_nothing(cache):
    @cache.many(ttl=90, key="{id}")
    async def load(ids):
        return {one: (lambda: 1) if one == 2 else one for one in ids}

    assert sorted(await load([1, 2, 3])) == [1, 2, 3]
    assert await cache.get_many("1", "2", "3") == (1, None, 3)
    assert load.statistics().uncached == {"not encoded": 1}


@pytest.mark.parametrize("absent", [False, True])
async def test_an_answer_without_the_cache_is_the_same(clock, absent):
    """Guarantee 29: it has the ids of the call, in their order, and `None` only where that is a value."""
    async with Cache.open("mem://", clock=clock) as cache:

        @cache.many(ttl=90, key="{id}", absent=absent)
        async def load(ids):
            return {"other": 0, **{one: one or None for one in reversed(ids)}}

        answers = [await load([3, 0, 1])]
    answers.append(await load([3, 0, 1]))
    expected = {3: 3, 1: 1} if absent else {3: 3, 0: None, 1: 1}
    assert [list(answer.items()) for answer in answers] == [list(expected.items())] * 2


async def test_a_load_that_asks_for_its_own_id_runs_once_more(cache):
    depth = []

    @cache.many(ttl=90, key="{id}")
    async def load(ids):
        depth.append(ids)
        if len(depth) == 1:
            await load([2, 3])
        return {one: one for one in ids}

    with anyio.fail_after(10):
        assert await load([1, 2]) == {1: 1, 2: 2}
    assert depth == [[1, 2], [2, 3]]


async def test_it_takes_part_in_a_transaction(cache, users, source):
    async with cache.transaction() as tx:
        await users([1, 2])
        await users([1, 2])
        await tx.rollback()
    await users([1, 2])
    assert source.runs == [[1, 2], [1, 2]]


async def test_invalidate_further_loads_anew(users):
    await users([1, 2])
    with invalidate_further():
        await users([1, 2])
    assert await users([1]) == {1: "1 en 2"}


async def test_the_hits_are_counted_and_detected(cache, users):
    await users([1, 2])
    with cache.detect as detector:
        await users([1, 2, 3])
    found = users.statistics()
    assert (found.calls, found.hits, found.loads) == (5, 2, 2)
    assert sorted(detector.calls) == ["user:1:en", "user:2:en"]


async def test_methods_are_bound(cache):
    class Users:
        @cache.many(ttl=90, key="user:{id}")
        async def load(self, ids):
            return {one: (self.name, one) for one in ids}

        name = "a"

    users = Users()
    assert await users.load([1]) == {1: ("a", 1)}
    assert users.load.key(1) == "user:1"
    await users.load.invalidate([1])
    users.name = "b"
    assert await users.load(ids=[1]) == {1: ("b", 1)}
    assert Users.load.statistics().loads == 2


async def test_the_default_key_names_the_function_and_one_id(cache):
    @cache.many(ttl=90)
    async def load(ids, lang="en"):
        return dict.fromkeys(ids, lang)

    place = f"{__name__}.test_the_default_key_names_the_function_and_one_id.<locals>.load"
    assert load.key(5) == f"{place}:ids:5:lang:en"
    assert await load([1, 2]) == {1: "en", 2: "en"}
    assert await load(ids=[1, 2], lang="en") == {1: "en", 2: "en"}
    assert load.statistics().loads == 1


def test_mistakes_are_errors_at_decoration():
    cache = Cache()

    async def load(numbers):  # noqa: ARG001  a signature
        return {}

    with pytest.raises(WrongArgumentError, match="ids is 'ids'; allowed: the name of a parameter"):
        cache.many(ttl=90)(load)
    with pytest.raises(WrongKeyError, match="other"):
        cache.many(ttl=90, key="{id}:{other}", ids="numbers")(load)
    with pytest.raises(WrongArgumentError, match="key is 'users'; allowed: a template with a field for one id"):
        cache.many(ttl=90, key="users", ids="numbers")(load)  # all ids would have one value


@pytest.mark.redis
@pytest.mark.parametrize("subject", each(["redis"]), indirect=True)
async def test_a_call_is_two_round_trips(cache, users):
    """One for all hits, one for all that was loaded."""
    await users(list(range(90)))
    before = cache.statistics().backends[""]
    await users(list(range(100)))
    after = cache.statistics().backends[""]
    assert after["batches"] - before["batches"] == 2
    assert after["commands"] - before["commands"] <= 2 + 10


async def test_many_calls_at_random_agree(cache):
    """Each answer is that of some run that began before the call ended, and after its key was last removed."""
    random, versions, removed = Random(5), {}, {}
    count = 0

    @cache.many(ttl=9_000, key="{id}")
    async def load(ids):
        nonlocal count
        count += 1
        mine = count
        for _ in range(random.choice([0, 0, 3])):
            await checkpoint()
        return dict.fromkeys(ids, mine)

    async def reader():
        for _ in range(60):
            ids = random.sample(range(6), random.randint(1, 4))
            floors = {one: removed.get(one, 0) for one in ids}
            with anyio.CancelScope() as scope:
                if random.random() < 0.2:
                    scope.cancel()
                found = await load(ids)
                assert sorted(found) == sorted(ids)
                assert all(found[one] > floors[one] for one in ids), (found, floors)
            if random.random() < 0.3:
                one = random.choice(ids)
                begun = count
                await load.invalidate([one])
                removed[one] = max(removed.get(one, 0), begun)
            versions.update(found if not scope.cancel_called else {})

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(reader)
    assert cache.statistics().loads == 0


async def test_ids_with_one_key_are_one_load(cache):
    """Guarantee 9."""
    runs = []

    @cache.many(ttl="1m", key="user:{id}")
    async def users(ids):
        runs.append(ids)
        return {one: f"user {one}" for one in ids}

    assert await users([1, "1", 2]) == {1: "user 1", "1": "user 1", 2: "user 2"}
    assert runs == [[1, 2]]


@pytest.mark.parametrize("strategy", ["early", "soft", "hit"])
async def test_it_understands_what_other_strategies_have_stored(cache, users, source, strategy):
    """Guarantee 12: a function of one user may have the keys of a function of many."""
    options = {"cache_hits": 9} if strategy == "hit" else {}

    @getattr(cache, strategy)(ttl=90, key="user:{uid}:en", prefix="", **options)
    async def user(uid):
        return f"{uid} alone"

    @getattr(cache, strategy)(ttl=90, key="user:{uid}:en", condition=lambda *_, **__: KeyError(3), prefix="", **options)
    async def failing(uid):
        return uid

    await user(1)
    assert await users([1, 2]) == {1: "1 alone", 2: "2 en 1"}
    assert source.runs == [[2]]
    await failing(3)
    with pytest.raises(KeyError):
        await users([1, 3])
