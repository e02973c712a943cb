"""The options of `disk://`, and where the files are."""

import diskcache
import pytest

from cashews import Cache
from cashews.backends.disk.options import own_directory
from cashews.exceptions import SettingsError, UnknownOptionError

pytestmark = pytest.mark.diskcache


def made(url, **options):
    cache = Cache()
    cache.setup(url, **options)
    return cache


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("disk://", {}),
        ("disk://?directory=/tmp/cache&timeout=1&shards=0", {}),
        ("disk://", {"size_limit": 3 * 1024**3, "shards": 12}),
        ("disk://?eviction_policy=least-frequently-used&cull_limit=0&statistics=1&tag_index=true", {}),
        ("disk://?sqlite_synchronous=2&sqlite_cache_size=100&sqlite_mmap_size=0&disk_min_file_size=1", {}),
        ("disk://?secret=s&digestmod=sha256&compress_type=zlib&value_size_limit=1000&suppress=false", {}),
    ],
)
def test_what_is_allowed(url, options):
    made(url, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": -1},
        {"shards": -1},
        {"shards": "many"},
        {"size_limit": 0},
        {"cull_limit": -1},
        {"eviction_policy": "newest"},
        {"value_size_limit": 0},
        {"sqlite_journal_mode": "off"},
        {"directory": 5},
    ],
)
def test_what_is_not_allowed(options):
    with pytest.raises(SettingsError):
        made("disk://", **options)


@pytest.mark.parametrize("url", ["disk://host", "disk:///tmp/cache"])
def test_a_path_in_the_url_is_refused_rather_than_ignored(url):
    with pytest.raises(SettingsError, match="directory="):
        made(url)


def test_an_unknown_option_is_an_error_that_lists_those_there_are():
    with pytest.raises(UnknownOptionError, match="value_size_limit"):
        made("disk://?size=5")


async def test_settings_are_those_of_diskcache_and_stay_in_the_files(opened, directory):
    async with opened(size_limit=10**6, cull_limit=3, eviction_policy="none", sqlite_cache_size=50) as cache:
        await cache.set("k", 1)
    async with opened(size_limit=10**6) as cache:
        await cache.set("k", 2)
    with diskcache.Cache(str(directory)) as theirs:
        assert (theirs.size_limit, theirs.cull_limit, theirs.eviction_policy) == (10**6, 3, "none")
        assert theirs.sqlite_cache_size == 50


async def test_settings_that_are_given_change_those_of_the_files(opened, directory):
    async with opened(disk_min_file_size=10**6) as cache:
        await cache.set("k", bytes(50_000))
    async with opened(disk_min_file_size=10) as cache:
        await cache.set("k", bytes(50_000))
    assert len(list(directory.rglob("*.val"))) == 1


async def test_shards_share_the_room(opened, directory):
    async with opened(size_limit=8 * 10**6, shards=4) as cache:
        await cache.set_many({f"k{number}": number for number in range(20)})
    assert sorted(path.name for path in directory.iterdir()) == ["000", "001", "002", "003"]
    with diskcache.Cache(str(directory / "003")) as theirs:
        assert theirs.size_limit == 2 * 10**6


async def test_the_directory_is_the_users_own_unless_another_is_given(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    async with Cache.open("disk://", suppress=False) as cache:
        await cache.set("k", 1)
    assert own_directory() == tmp_path / "cashews"
    assert (tmp_path / "cashews" / "cache.db").exists()
    assert (tmp_path / "cashews").stat().st_mode & 0o077 == 0
