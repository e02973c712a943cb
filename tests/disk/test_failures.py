"""A disk that is full, read-only, of another kind or damaged: an error or the neutral answer, and nothing is lost."""

from time import monotonic

import anyio
import pytest

from cashews.exceptions import CacheBackendInteractionError
from tests.disk.conftest import writing

pytestmark = pytest.mark.diskcache
PAGES = 60


async def fill(cache):
    """Store values until there is no room; returns the keys of those that were stored."""
    stored = []
    for number in range(1_000):
        try:
            if not await cache.set(f"k{number}", bytes(8_000)):
                return stored
        except CacheBackendInteractionError:
            return stored
        stored.append(f"k{number}")
    pytest.fail("there was room for everything")


async def test_a_full_disk_is_an_error_and_loses_nothing(opened):
    async with opened(sqlite_max_page_count=PAGES) as cache:
        stored = await fill(cache)
        assert stored
        with pytest.raises(CacheBackendInteractionError, match="full"):
            await cache.set("one more", bytes(8_000))
        assert all(found == bytes(8_000) for found in await cache.get_many(*stored))
        assert await cache.get("one more") is None
        await cache.delete_many(*stored[:10])
        assert await cache.set("one more", bytes(8_000))


async def test_a_full_disk_is_answered_neutrally_if_that_is_wished(opened, caplog):
    async with opened(sqlite_max_page_count=PAGES, suppress=True) as cache:
        stored = await fill(cache)
        assert await cache.set("one more", bytes(8_000)) is False
        assert await cache.get(stored[0]) == bytes(8_000)
    assert sum("full" in record.message for record in caplog.records) == 1


async def test_who_does_not_fit_fails_alone(opened):
    async with opened(sqlite_max_page_count=PAGES) as cache:
        await fill(cache)
        await cache.delete_many("k0")
        failed = []

        async def store(key, value):
            try:
                await cache.set(key, value)
            except CacheBackendInteractionError:
                failed.append(key)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(store, "small", b"x")
            tasks.start_soon(store, "large", bytes(30_000))
            tasks.start_soon(store, "small too", b"y")
        assert failed == ["large"]
        assert await cache.get_many("small", "small too", "large") == (b"x", b"y", None)


async def test_a_transaction_that_does_not_fit_leaves_nothing(opened):
    async with opened(sqlite_max_page_count=PAGES) as cache:
        stored = await fill(cache)
        transaction = cache.transaction()
        await transaction.__aenter__()
        await cache.set("small", 1)
        await cache.delete(stored[0])
        await cache.set("large", bytes(30_000))
        with pytest.raises(CacheBackendInteractionError):
            await transaction.__aexit__(None, None, None)
        assert await cache.get("small") is None
        assert await cache.get(stored[0]) == bytes(8_000)


@pytest.fixture(params=["a file", "in a file", "of the system"])
def unusable(request, tmp_path):
    """Return a directory in which nobody can write, whatever rights he has."""
    (tmp_path / "file").write_text("a file")
    places = {"a file": tmp_path / "file", "in a file": tmp_path / "file" / "cache", "of the system": "/proc/cashews"}
    return places[request.param]


async def test_a_directory_that_cannot_be_used_is_an_error(opened, unusable):
    async with opened(directory=unusable) as cache:
        with pytest.raises(CacheBackendInteractionError):
            await cache.set("k", 1)
        with pytest.raises(CacheBackendInteractionError):
            await cache.get("k")


async def test_a_directory_that_cannot_be_used_is_answered_neutrally_if_that_is_wished(opened, unusable):
    async with opened(directory=unusable, suppress=True) as cache:
        assert await cache.set("k", 1) is False
        assert await cache.get("k", 5) == 5
        assert await cache.set_lock("k", "token", 10) is False
        assert await cache.incr("k") == 0


async def test_a_file_that_is_no_database_is_set_aside_as_it_is(opened, directory):
    directory.mkdir()
    (directory / "cache.db").write_bytes(b"something else " * 1_000)
    async with opened() as cache:
        assert await cache.set("k", 1)
    assert (directory / "cache.db.damaged1").read_bytes() == b"something else " * 1_000


async def test_another_process_that_writes_for_too_long_is_an_error(opened, directory):
    async with opened(timeout=0.2) as cache:
        await cache.set("k", 1)
        with writing(directory), pytest.raises(CacheBackendInteractionError, match="another process"):
            await cache.set("k", 2)
        assert await cache.get("k") == 1
        assert await cache.set("k", 3)


async def test_without_a_write_ahead_log_reads_wait_for_others_as_long_as_writes_do(opened, directory):
    async with opened(sqlite_journal_mode="delete", timeout=0.3) as cache:
        await cache.set("k", 1)
        with writing(directory) as other:
            other.execute("COMMIT")
            other.execute("BEGIN EXCLUSIVE")
            began = monotonic()
            with pytest.raises(CacheBackendInteractionError, match="another process"):
                await cache.get("k")
            assert monotonic() - began > 0.25
        assert await cache.get("k") == 1


async def test_a_value_whose_file_has_gone_is_absent(opened, directory):
    async with opened(disk_min_file_size=1) as cache:
        await cache.set("k", "text")
        for path in directory.rglob("*.val"):
            path.unlink()
        assert await cache.get("k") is None
        assert await cache.set("k", "again")
        assert await cache.get("k") == "again"


@pytest.mark.parametrize("fault", ["missing", "cut"])
async def test_a_value_whose_file_has_a_fault_is_absent_for_every_command(opened, directory, fault):
    """Guarantee 24."""
    async with opened(disk_min_file_size=1) as cache:
        for key in ("k", "set if absent", "counter", "transaction"):
            await cache.set(key, "text", tags=["t"])
        for path in directory.rglob("*.val"):
            path.unlink() if fault == "missing" else path.write_bytes(b"x")
        assert await cache.get("k") is None
        assert await cache.exists("k") is False
        assert await cache.get_expire("k") == -2
        assert await cache.get_size("k") == 0
        assert await cache.expire("k", 10) is False
        assert await cache.get_key_tags("k") == ()
        assert [key async for key in cache.scan("*")] == []
        assert await cache.set("k", "other", exist=True) is False
        assert await cache.set_add("k", "member") is None
        assert await cache.set("set if absent", "other", exist=False) is True
        assert await cache.incr("counter") == 1
        async with cache.transaction():
            assert await cache.exists("transaction") is False
            assert await cache.incr("transaction") == 1
        assert await cache.delete("k") is True
