"""Files that diskcache has written itself: what is kept as it is can be read, what it has pickled is absent."""

import math
import pickle

import diskcache
import pytest

pytestmark = pytest.mark.diskcache


class Exploit:
    """Fails the test if it is unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("it was unpickled",))


@pytest.fixture
def theirs(directory):
    """Fill a directory the way cashews 7 does: integers, and the output of a codec, raw or in files."""
    with diskcache.Cache(str(directory)) as cache:
        cache.set("int", -5)
        cache.set("pickle", pickle.dumps({"a": 1}))
        cache.set("bytes", b"bytes:raw", expire=100)
        cache.set("large", pickle.dumps("x" * 100_000))
        cache.set("text", "text")
        cache.set("number", 1.5, expire=math.inf)
        cache.set("pickled by diskcache", Exploit())
        cache.set("large, pickled by diskcache", [Exploit(), "x" * 100_000])
        cache.set("expired", 1, expire=0)
        cache.set(7, "a key that is no text")
        cache.set(("a", "tuple"), "a key that was pickled")
        return cache.directory


@pytest.fixture
async def found(theirs, opened):
    assert theirs
    async with opened(size_limit=2**30) as cache:
        yield cache


async def test_what_is_kept_as_it_is_is_read(found):
    assert await found.get_many("int", "pickle", "bytes", "large", "text", "number") == (
        -5,
        {"a": 1},
        b"raw",
        "x" * 100_000,
        "text",
        1.5,
    )
    assert await found.incr("int") == -4
    assert await found.get_expire("number") == -1


@pytest.mark.parametrize("key", ["pickled by diskcache", "large, pickled by diskcache"])
async def test_what_diskcache_has_pickled_is_absent_for_every_command(found, key):
    """Guarantee 24; CVE-2025-69872."""
    assert await found.get(key) is None
    assert await found.get_raw(key) is None
    assert await found.exists(key) is False
    assert await found.get_expire(key) == -2
    assert key not in [each async for each in found.scan("*")]
    assert key not in [each async for each, _ in found.get_match("*")]
    assert await found.set(key, "ours", exist=False)
    assert await found.get(key) == "ours"


@pytest.mark.parametrize("key", ["pickled by diskcache", "large, pickled by diskcache"])
@pytest.mark.parametrize(
    "remove",
    [
        lambda cache, key: cache.delete(key),
        lambda cache, key: cache.delete_many(key),
        lambda cache, key: cache.delete_match(key),
        lambda cache, key: cache.delete_match("*" + key[-5:]),
        lambda cache, key: cache.expire(key, 0),
        lambda cache, key: cache.set(key, 1, expire=0),
        lambda cache, _: cache.clear(),
    ],
)
async def test_what_is_absent_here_is_removed_for_who_can_read_it(found, directory, key, remove):
    """Cashews 7 beside us does not serve what was invalidated."""
    assert key in in_file(directory)
    assert not await remove(found, key)
    assert key not in in_file(directory)


async def test_a_key_with_a_structure_leaves_nothing_behind(found, directory):
    await found.set_add("pickled by diskcache", "member")
    assert await found.delete("pickled by diskcache")
    assert "pickled by diskcache" not in in_file(directory)
    assert await found.set_pop("pickled by diskcache") == []


async def test_nothing_is_left_once_it_is_cleared(found, directory):
    assert in_file(directory)
    await found.clear()
    assert in_file(directory) == []
    assert list(directory.rglob("*.val")) == []


async def test_what_is_cleared_is_more_than_a_page(opened, directory):
    with diskcache.Cache(str(directory)) as theirs:
        for number in range(1_100):
            theirs.set(number, number)
    async with opened() as cache:
        await cache.clear()
    assert in_file(directory) == []


async def test_what_is_absent_is_not_counted(found, clock):
    """Guarantee 1; what has expired is absent once, whatever else it is."""
    assert await found.get_keys_count() == len([key async for key in found.scan("*")]) == 6
    await found.set_add("set", "member", expire=10)
    await found.set_add("lasting", "member")
    assert await found.get_keys_count() == 8
    await clock.advance(200)
    assert await found.get_keys_count() == len([key async for key in found.scan("*")])


def in_file(directory):
    """Return the keys that a file has for diskcache."""
    with diskcache.Cache(str(directory)) as theirs:
        return list(theirs)


@pytest.mark.usefixtures("theirs")
async def test_with_a_secret_only_integers_are_read(opened):
    async with opened(secret="s", digestmod="sha256") as cache:
        assert await cache.get_many("int", "pickle", "text", "number") == (-5, None, None, None)


async def test_diskcache_reads_what_we_have_written(cache, directory):
    await cache.set("int", 5)
    await cache.set("value", {"a": 1})
    await cache.set("large", "x" * 100_000)
    with diskcache.Cache(str(directory)) as theirs:
        assert theirs.get("int") == 5
        assert pickle.loads(theirs.get("value")) == {"a": 1}
        assert pickle.loads(theirs.get("large")) == "x" * 100_000
        assert theirs.check() == []
        assert len(theirs) == 3


async def test_the_files_of_a_sharded_cache_are_found(directory, opened):
    with diskcache.FanoutCache(str(directory), shards=4) as theirs:
        for number in range(50):
            theirs.set(f"k{number}", number)
    async with opened() as cache:
        assert await cache.get_many(*[f"k{number}" for number in range(50)]) == tuple(range(50))
        assert await cache.get_keys_count() == 50
