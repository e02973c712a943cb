"""`bloom` and `dual_bloom`: filters before functions that say yes or no."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cashews import Cache, Command
from cashews.exceptions import NotAsyncError, WrongArgumentError, WrongKeyError
from cashews.guards.bloom import BloomShape
from cashews.testing.clock import VirtualClock


class Users:
    """Knows some names, and whom it was asked about."""

    def __init__(self, *names):
        self.names = set(names)
        self.asked = []

    async def exists(self, name, realm="home"):
        self.asked.append(name)
        return name in self.names


@pytest.fixture
def users():
    return Users("ann", "bob")


# --- the arithmetic


@pytest.mark.parametrize(
    ("capacity", "percent"), [(1, 50), (10, 1), (10, 10), (100, 1), (300, 0.1), (1000, 5), (20, 90)]
)
def test_a_full_filter_errs_no_more_often_than_its_bound(capacity, percent):
    shape = BloomShape.holding(capacity, percent)
    tried = wrong = 0
    for filled in range(max(10, 10_000 // capacity)):
        bits = {place for own in range(capacity) for place in shape.places(f"own:{filled}:{own}")}
        for other in range(200):
            tried += 1
            wrong += bits.issuperset(shape.places(f"other:{filled}:{other}"))
    expected = tried * percent / 100
    assert wrong <= expected + 4 * expected**0.5


@pytest.mark.parametrize(("capacity", "percent", "bits"), [(100, 1, 960), (10_000, 1, 95_930), (1000, 5, 6247)])
def test_its_size_is_the_best_one(capacity, percent, bits):
    """`-n ln(p) / ln(2)**2`, but for the rounding of the number of hashes."""
    assert bits <= BloomShape.holding(capacity, percent).bits <= bits * 1.006 + 49


@given(items=st.lists(st.text(), max_size=50), percent=st.floats(0.001, 99))
def test_what_was_put_in_is_always_found(items, percent):
    shape = BloomShape.holding(max(1, len(items) // 4), percent)
    bits = {place for item in items for place in shape.places(item)}
    assert all(bits.issuperset(shape.places(item)) for item in items)
    assert all(0 <= place < shape.bits for place in bits)


def test_the_places_of_an_item_are_those_of_every_process_and_installation():
    """D24: two workers share a filter, whatever else is installed."""
    assert BloomShape(1000, 7).places("ann") == PLACES
    hidden = "import sys; sys.modules['xxhash'] = sys.modules['bitarray'] = None\n"
    program = hidden + "from cashews.guards.bloom import BloomShape; print(BloomShape(1000, 7).places('ann'))"
    told = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert told.stdout.strip() == str(PLACES)


PLACES = (988, 857, 727, 599, 474, 353, 237)


# --- bloom


async def test_what_is_not_in_the_filter_is_false_without_running_the_function(cache, users):
    exists = cache.bloom(capacity=100)(users.exists)
    assert await exists.set("ann") is True
    users.asked.clear()
    assert await exists("carl") is False
    assert users.asked == []


async def test_what_is_in_the_filter_is_checked_by_the_function(cache, users):
    exists = cache.bloom(capacity=100)(users.exists)
    await exists.set("ann")
    users.names.clear()
    assert await exists("ann") is False
    assert users.asked == ["ann", "ann"]


async def test_the_check_can_be_left_out(cache, users):
    exists = cache.bloom(capacity=100, check_false_positive=False)(users.exists)
    await exists.set("ann")
    users.asked.clear()
    assert [await exists("ann"), await exists("carl")] == [True, False]
    assert users.asked == []


async def test_what_the_function_says_no_to_is_not_put_in(cache, users):
    exists = cache.bloom(capacity=100)(users.exists)
    await exists.set("ann")
    assert await exists.set("carl") is False
    assert await exists("carl") is False
    assert users.asked == ["ann", "carl"]


async def test_set_returns_what_the_function_returns(cache):
    @cache.bloom(capacity=100)
    async def find(name):
        return {"name": name}

    assert await find.set("ann") == await find("ann") == {"name": "ann"}


async def test_a_call_is_the_same_however_its_arguments_are_given(cache, users):
    exists = cache.bloom(capacity=100, check_false_positive=False)(users.exists)
    await exists.set("ann")
    assert [await exists(name="ann"), await exists("ann", realm="home"), await exists("ann", "abroad")] == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("check", [True, False])
async def test_without_a_filter_the_function_answers(cache, users, check):
    exists = cache.bloom(capacity=100, check_false_positive=check)(users.exists)
    assert [await exists("ann"), await exists("carl")] == [True, False]
    await exists.set("bob")
    await cache.clear()
    assert [await exists("ann"), await exists("carl")] == [True, False]


@pytest.mark.parametrize("check", [True, False])
async def test_with_the_store_switched_off_the_function_answers(cache, users, check):
    """D23: neither "in the set" for everything, nor "not in the set"."""
    exists = cache.bloom(capacity=100, check_false_positive=check)(users.exists)
    await exists.set("ann")
    users.names.add("carl")
    for command in (Command.GET_BITS, *Command):
        with cache.disabling(command):
            expected = [True, command is Command.GET_BITS, False]
            assert [await exists("ann"), await exists("carl"), await exists("dora")] == expected
    with cache.disabling():
        assert await exists.set("carl") is True
    assert await exists("carl") is False


async def test_functions_of_the_same_name_share_a_filter(cache, users):
    exists = cache.bloom(capacity=100, name="users:{name}")(users.exists)
    known = cache.bloom(capacity=100, name="users:{name}", check_false_positive=False)(users.exists)
    await exists.set("ann")
    assert [await known("ann"), await known("carl")] == [True, False]
    assert users.asked == ["ann"]


async def test_filters_of_different_sizes_are_kept_apart(cache, users):
    exists = cache.bloom(capacity=100, name="users:{name}")(users.exists)
    larger = cache.bloom(capacity=200, name="users:{name}")(users.exists)
    await exists.set("ann")
    await larger.set("bob")
    assert [await exists("ann"), await larger("bob"), await larger("ann")] == [True, True, False]
    assert await cache.get_keys_count() == 2


async def test_a_filter_is_one_key_and_one_message_a_call(clock, users, subject):
    seen = []

    async def watch(call, cmd, _backend, *args, **kwargs):
        seen.append(cmd)
        return await call(*args, **kwargs)

    async with subject.open(clock, middlewares=(watch,)) as cache:
        exists = cache.bloom(capacity=100)(users.exists)
        settled = cache.dual_bloom(capacity=100)(users.exists)
        await exists.set("ann")
        await exists("ann")
        await settled("ann")
        await settled("ann")
        assert await cache.get_keys_count() == 2
    assert seen[:-1] == [Command.INCR_BITS, Command.GET_BITS, Command.GET_BITS, Command.INCR_BITS, Command.GET_BITS]


async def test_a_filter_survives_a_flood_of_other_keys(cache, users):
    exists = cache.bloom(capacity=100)(users.exists)
    await exists.set("ann")
    for number in range(300):
        await cache.set(f"other:{number}", number)
    users.asked.clear()
    assert await exists("carl") is False
    assert users.asked == []


async def test_methods_have_their_filter_on_the_class(cache):
    class Realm:
        def __init__(self, *names):
            self.names = names

        def __str__(self):
            return "realm"

        @cache.bloom(capacity=100, name="realm:{name}", check_false_positive=False)
        async def exists(self, name):
            return name in self.names

    realm = Realm("ann")
    await Realm.exists.set(realm, "ann")
    assert [await realm.exists("ann"), await realm.exists("carl")] == [True, False]


@pytest.mark.parametrize(
    ("wrong", "argument"),
    [
        ({"capacity": 0}, "capacity"),
        ({"capacity": 10, "false_positives": 0}, "false_positives"),
        ({"capacity": 10, "false_positives": 100}, "false_positives"),
        ({"capacity": 10, "name": "the same for all"}, "name"),
    ],
)
def test_wrong_arguments_are_refused_at_decoration(users, wrong, argument):
    with pytest.raises(WrongArgumentError) as refused:
        Cache().bloom(**wrong)(users.exists)
    assert refused.value.argument == argument


@pytest.mark.parametrize("false", [0, 100, (1, 0), (0, 1)])
def test_wrong_rates_of_a_dual_filter_are_refused_at_decoration(false):
    with pytest.raises(WrongArgumentError) as refused:
        Cache().dual_bloom(capacity=10, false=false)
    assert refused.value.argument == "false"


@pytest.mark.parametrize("method", ["bloom", "dual_bloom"])
def test_what_cannot_be_decorated_is_refused(users, method):
    decorator = getattr(Cache(), method)
    with pytest.raises(NotAsyncError):
        decorator(capacity=10)(len)
    with pytest.raises(WrongKeyError):
        decorator(capacity=10, name="{nobody}")(users.exists)


# --- dual bloom


async def test_each_call_runs_the_function_once_whatever_it_says(cache, users):
    exists = cache.dual_bloom(capacity=100)(users.exists)
    assert [await exists(name) for name in ("ann", "carl", "ann", "carl")] == [True, False, True, False]
    assert users.asked == ["ann", "carl"]


async def test_the_first_answer_is_the_functions_own(cache):
    @cache.dual_bloom(capacity=100)
    async def find(name):
        return "found" if name == "ann" else None

    assert [await find("ann"), await find("ann"), await find("carl"), await find("carl")] == [
        "found",
        True,
        None,
        False,
    ]


async def test_what_is_in_both_filters_runs_the_function(cache, users):
    exists = cache.dual_bloom(capacity=100)(users.exists)
    await exists("ann")
    shape = BloomShape.holding(100, 1)
    (stored,) = [key async for key in cache.scan("*")]
    places = [shape.bits + place for place in shape.places(exists.key("ann"))]
    await cache.incr_bits(stored, *places)
    users.names.clear()
    assert await exists("ann") is False


async def test_no_collisions_answers_only_if_the_other_filter_knows_nothing(cache, users):
    loose = cache.dual_bloom(capacity=100, name="{name}")(users.exists)
    strict = cache.dual_bloom(capacity=100, name="{name}", no_collisions=True)(users.exists)
    await loose("ann")
    shape = BloomShape.holding(100, 1)
    (stored,) = [key async for key in cache.scan("*")]
    await cache.incr_bits(stored, shape.bits + shape.places(loose.key("ann"))[0])
    users.asked.clear()
    assert [await loose("ann"), users.asked] == [True, []]
    assert [await strict("ann"), users.asked] == [True, ["ann"]]


async def test_a_dual_filter_with_the_store_switched_off_runs_the_function(cache, users):
    """D29."""
    exists = cache.dual_bloom(capacity=100)(users.exists)
    with cache.disabling():
        assert [await exists("ann"), await exists("ann"), await exists("carl")] == [True, True, False]
    assert users.asked == ["ann", "ann", "carl"]


async def test_a_call_that_fails_is_put_in_neither(cache):
    @cache.dual_bloom(capacity=100)
    async def find(name):
        raise ValueError(name)

    for _ in range(2):
        with pytest.raises(ValueError, match="ann"):
            await find("ann")
    assert await cache.get_keys_count() == 0


@given(members=st.sets(st.integers(0, 500), max_size=60), others=st.sets(st.integers(0, 500), max_size=30))
async def test_a_filter_never_denies_what_was_put_in(members, others):
    async with Cache.open("mem://", clock=VirtualClock()) as cache:

        @cache.bloom(capacity=20, name="{number}", check_false_positive=False)
        async def member(number):
            return number in members

        for number in members | others:
            await member.set(number)
        assert all([await member(number) for number in members])


async def test_the_rates_of_a_dual_filter_are_kept(cache):
    @cache.dual_bloom(capacity=1000, false=(1, 5), name="{number}")
    async def even(number):
        return number % 2 == 0

    wrong = [number for number in range(2000) if await even(number) != (number % 2 == 0)]
    assert len(wrong) <= 2000 * (0.01 + 0.05) / 2
