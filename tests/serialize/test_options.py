"""The options of a serializer: in the URL and as keywords, checked at once, and the extras that they need."""

from __future__ import annotations

import sys

import pytest

from cashews import Cache
from cashews.exceptions import MissingExtraError, WrongOptionError
from cashews.serialize import Serializer, SerializerOptions
from tests.internals import inside


@pytest.mark.parametrize(
    ("module", "extra", "options"),
    [
        ("dill", "dill", {"pickle_type": "dill"}),
        ("sqlalchemy.ext.serializer", "sqlalchemy", {"pickle_type": "sqlalchemy"}),
        ("msgspec.msgpack", "msgpack", {"pickle_type": "msgpack"}),
        ("backports.zstd" if sys.version_info < (3, 14) else "compression.zstd", "zstd", {"compress_type": "zstd"}),
        ("xxhash", "speedup", {"secret": "s", "digestmod": "xxh3_64"}),
        ("xxhash", "speedup", {"secret": "s", "legacy_digestmod": "xxh64"}),
    ],
)
def test_what_is_not_installed_is_an_error_at_setup_that_names_the_extra(monkeypatch, module, extra, options):
    """D101."""
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"install it with: pip install cashews\[{extra}\]"):
        Serializer(SerializerOptions(**options))
    with pytest.raises(MissingExtraError):
        Cache().setup("mem://", **options)


@pytest.mark.parametrize(
    ("url", "module", "extra"), [("redis://", "redis", "redis"), ("disk://", "diskcache", "diskcache")]
)
def test_a_store_that_is_not_installed_is_an_error_at_setup(monkeypatch, url, module, extra):
    for name in [name for name in sys.modules if name.startswith(f"cashews.backends.{extra.removesuffix('cache')}")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"install it with: pip install cashews\[{extra}\]"):
        Cache().setup(url)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("pickle_type", "yaml"),
        ("pickle_type", None),
        ("compress_type", "lzma"),
        ("compress_type", ""),
        ("compress_threshold", -1),
        ("compress_threshold", "1kB"),
        ("size_limit", 0),
        ("size_limit", True),
        ("check_repr", "maybe"),
        ("check_repr", None),
        ("secret", ""),
        ("secret", 5),
        ("digestmod", "sha512"),
    ],
)
def test_a_wrong_value_is_an_error_that_says_what_is_allowed(option, value):
    """D51."""
    with pytest.raises(WrongOptionError, match=rf"option '{option}' is .*; allowed: ..."):
        Cache().setup("mem://", **{option: value})


def test_options_are_read_from_a_url():
    """D51."""
    cache = Cache.open(
        "mem://?size=7&pickle_type=json&secret=1234&secret=new&digestmod=sha256&compress_type=gzip"
        "&compress_threshold=5&size_limit=6&check_repr=false&legacy_digestmod=md5"
    )
    serializer = inside(cache).store()._values._serializer
    assert serializer._options == SerializerOptions(
        pickle_type="json",
        secret=("1234", "new"),
        digestmod="sha256",
        compress_type="gzip",
        compress_threshold=5,
        size_limit=6,
        check_repr=False,
        legacy_digestmod="md5",
    )


def test_the_defaults_have_more_than_one_name():
    pickle = Serializer(SerializerOptions())
    for options in ({"pickle_type": "default"}, {"compress_type": "null"}, {"compress_type": None}):
        assert Serializer(SerializerOptions(**options)).encode("key", "x" * 5_000) == pickle.encode("key", "x" * 5_000)
