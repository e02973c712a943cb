"""Corrupted bytes: whatever they are, a value comes out or `DecodeError` does, within bounded memory and time.

Unsigned pickles are corrupted here only where they refer to no function: a pickle may call any, and take any memory for
its memo. That is what signatures are for.
"""

from __future__ import annotations

import gzip
import itertools
import tracemalloc
import zlib
from functools import cache

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given
from hypothesis import strategies as st

from cashews._typing import ABSENT
from cashews.backends.encoding import Values
from cashews.exceptions import DecodeError
from cashews.serialize import Pending, Serializer, SerializerOptions, compression, register_type
from cashews.serialize import serializer as serializer_module
from cashews.strategies.entry import Entry, Raised, Returned, StoredRun

OPTIONS = [
    {"pickle_type": codec, "compress_type": compression, "secret": secret, "compress_threshold": 0}
    for codec, compression, secret in itertools.product(
        ["pickle", "json", "dill", "sqlalchemy", "msgpack"], [None, "gzip", "zlib", "zstd"], [None, "secret"]
    )
]
SERIALIZERS = [Serializer(SerializerOptions(**options)) for options in OPTIONS]
MEGABYTE = 2**20
zstd = compression._zstd()

VALUES = [
    42,
    -5,
    None,
    True,
    1.5,
    "text",
    "12",
    b"bytes: \x80\x05\0E",
    ["a", [1, None], {"b": 2.5}],
    Entry(Returned("text"), 1.0, 2.0, 3),
    Entry(Returned(b"x"), 1.0),
    StoredRun((1, None, "a")),
]


def value_or_decode_error(serializer, stored):
    """Return a value, or the one error that may be raised."""
    try:
        found = serializer.decode("key", stored)
        while type(found) is Pending and found.expansion is not None:
            found = serializer.resume("key", found)
    except DecodeError as error:
        return error
    return found


def named(options):
    return "-".join(map(str, options.values()))


@pytest.mark.parametrize("options", OPTIONS, ids=named)
def test_every_single_bit_may_flip(options):
    """Guarantee 24; D100."""
    serializer = Serializer(SerializerOptions(**options))
    signed = options["secret"] is not None
    for value in VALUES:
        stored = serializer.encode("key", value)
        for place in range(8 * len(stored)):
            changed = bytearray(stored)
            changed[place // 8] ^= 1 << place % 8
            found = value_or_decode_error(serializer, bytes(changed))
            if signed and type(value) is not int and not isinstance(value, Entry):
                assert isinstance(found, DecodeError) or type(found) is int  # what is no integer may become one


@pytest.mark.parametrize("options", OPTIONS, ids=named)
def test_everything_may_be_cut_anywhere_and_go_on_anyhow(options):
    """Guarantee 24; D100: truncated gzip, an empty value, more than a value."""
    serializer = Serializer(SerializerOptions(**options))
    for value in VALUES:
        stored = serializer.encode("key", value)
        for length in range(len(stored)):
            value_or_decode_error(serializer, stored[:length])
        for rest in (b"\0", b".", b"\x80", b"0", stored):
            value_or_decode_error(serializer, stored + rest)


@pytest.mark.parametrize("options", OPTIONS, ids=named)
def test_what_another_serializer_has_written_is_a_value_or_absent(options):
    """D100: old pickles read by json, and the like."""
    reader = Serializer(SerializerOptions(**options))
    for value, writer in itertools.product(VALUES, SERIALIZERS):
        value_or_decode_error(reader, writer.encode("key", value))


BEGINNINGS = [b"", b"bytes:", b"\0", b"\0H", b"\0H" + bytes(8), b"\0S", b"\0E", b"\0R", b"\0I", b"\0T", b"-"]
BEGINNINGS += [b"\x1f\x8b", b"x\x9c", b"\x28\xb5\x2f\xfd", b"md5:", b"sum:0_", b"Point:", b"{", b"[", b'"']


@given(st.sampled_from(BEGINNINGS), st.binary(max_size=60).map(lambda rest: rest.translate(None, b"\x80r")))
def test_any_bytes_are_a_value_or_absent(beginning, rest):
    """Guarantee 24; without pickles, see above."""
    for serializer in SERIALIZERS:
        value_or_decode_error(serializer, beginning + rest)


@given(st.binary(max_size=200))
def test_any_signed_bytes_are_absent_unless_they_are_an_integer(stored):
    """Guarantee 24."""
    for options, serializer in zip(OPTIONS, SERIALIZERS, strict=True):
        if options["secret"] is not None:
            assert isinstance(value_or_decode_error(serializer, stored), (DecodeError, int))


@given(st.binary(max_size=100))
def test_any_bytes_in_any_compression_are_a_value_or_absent(payload):
    """Guarantee 24."""
    json = Serializer(SerializerOptions(pickle_type="json"))
    for compress in (gzip.compress, zlib.compress, zstd.compress):
        value_or_decode_error(json, compress(payload))


def raising(error):
    """Return the class of an object that raises when it is unpickled."""

    class Raises:
        def __reduce__(self):
            return raise_this, (error,)

    return Raises


def raise_this(error):
    raise error


@pytest.mark.parametrize(
    "error", [KeyError, AttributeError, EOFError, RecursionError, MemoryError, StopIteration, Warning]
)
def test_what_a_class_raises_when_it_is_unpickled_is_a_decode_error(error):
    """Guarantee 24; D100."""
    serializer = Serializer(SerializerOptions())
    for value in (raising(error)(), [raising(error)()], Entry(Returned(raising(error)()), 1.0)):
        stored = serializer.encode("key", value)
        assert isinstance(value_or_decode_error(serializer, stored), DecodeError)


def test_a_stored_error_that_is_no_exception_is_absent():
    """An interrupt that is raised to a caller would stop more than its call."""
    serializer = Serializer(SerializerOptions())
    for value in (KeyboardInterrupt(), SystemExit(), "text", None):
        stored = b"\0R" + serializer.encode("key", value)
        assert "no exception" in str(value_or_decode_error(serializer, stored))


@pytest.mark.parametrize(
    ("stored", "reason"),
    [
        (b"", "it is empty"),
        (b"<Color.RED: 1>", "not recognised"),
        (b"\0?", "a form that is not known"),
        (b"\0E" + bytes(16) + b"\0E" + bytes(16) + b"1", "an entry of an entry"),
        (b"\0T\0\x01x1", "its type is not registered"),
        (b"\0I\x80\x05N.", "no list of items"),
        (b"x\x9c", "incomplete"),
        (zlib.compress(b"bytes:") + b".", "followed by others"),
        (gzip.compress(gzip.compress(b"bytes:", mtime=0), mtime=0), "not recognised"),
        (b"9" * 5_000, "ValueError"),
    ],
)
def test_the_error_says_why(stored, reason):
    assert reason in str(value_or_decode_error(Serializer(SerializerOptions()), stored))


# --- bombs


COMPRESSORS = {
    "gzip": lambda: zlib.compressobj(wbits=31),
    "zlib": zlib.compressobj,
    "zstd": zstd.ZstdCompressor,
}


@cache
def bomb(kind):
    """Return 500 MB of zeros, compressed."""
    compressor = COMPRESSORS[kind]()
    stored = b"".join([*(compressor.compress(bytes(MEGABYTE)) for _ in range(500)), compressor.flush()])
    assert len(stored) < MEGABYTE
    return stored


@pytest.mark.parametrize("kind", COMPRESSORS)
def test_a_bomb_is_refused_within_bounded_memory(kind):
    """Guarantee 24."""
    stored = bomb(kind)
    serializer = Serializer(SerializerOptions(size_limit=4 * MEGABYTE))
    tracemalloc.start()
    try:
        found = value_or_decode_error(serializer, stored)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert f"larger than {4 * MEGABYTE} bytes" in str(found)
    assert peak < 16 * MEGABYTE


@pytest.mark.parametrize("kind", COMPRESSORS)
def test_a_bomb_is_refused_by_default(kind):
    """Guarantee 24."""
    found = value_or_decode_error(Serializer(SerializerOptions()), bomb(kind))
    assert f"larger than {128 * MEGABYTE} bytes" in str(found)


@pytest.mark.parametrize("kind", COMPRESSORS)
def test_a_bomb_in_a_bomb_is_expanded_once(kind):
    """Guarantee 24."""
    stored = gzip.compress(bomb(kind))
    assert "not recognised" in str(value_or_decode_error(Serializer(SerializerOptions()), stored))


@pytest.mark.parametrize("kind", COMPRESSORS)
def test_what_expands_to_just_the_limit_is_read(kind):
    stored = {"gzip": gzip.compress, "zlib": zlib.compress, "zstd": zstd.compress}[kind](b"bytes:" + bytes(94))
    assert Serializer(SerializerOptions(size_limit=100)).decode("key", stored) == bytes(94)
    assert "larger" in str(value_or_decode_error(Serializer(SerializerOptions(size_limit=99)), stored))


@pytest.mark.parametrize("kind", COMPRESSORS)
async def test_others_run_while_a_bomb_is_expanded(kind):
    """Guarantee 25; with each step a bounded number of bytes."""
    values = Values(SerializerOptions(), None)
    looks = 0

    async def look():
        nonlocal looks
        while True:
            await checkpoint()
            looks += 1

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(look)
        assert await values.decode("key", bomb(kind), "default") == "default"
        tasks.cancel_scope.cancel()
    assert values.failures == 1
    assert looks >= 128 * MEGABYTE // compression.STEP - serializer_module.STEPS - 1


@pytest.mark.parametrize("content", [bytes(3 * MEGABYTE), b"".join(map(str.encode, map(str, range(600_000))))])
@pytest.mark.parametrize("secret", [None, "secret"])
@pytest.mark.parametrize("kind", ["gzip", "zlib", "zstd"])
async def test_values_of_several_steps_come_back(kind, secret, content):
    options = SerializerOptions(compress_type=kind, secret=secret)
    values = Values(options, None)
    entry = Entry(Returned(content), 1.0, 2.0, 3)
    for value in (content, entry, {"a": content}, StoredRun((content, 1))):
        stored = await values.encode("key", value, None)
        assert await values.decode("key", stored, None) == value
        assert await values.decode("key", stored[:-1], "absent") == "absent"
        assert await values.decode("key", stored + b"x", "absent") == "absent"


# --- on its way to a store


@pytest.mark.parametrize(
    ("secret", "reason"), [(None, "UnpicklingError"), ("secret", "its signature is not valid")], ids=str
)
async def test_what_cannot_be_read_is_the_default_and_counted_and_told_once(secret, reason, caplog):
    """Guarantee 24."""
    values = Values(SerializerOptions(secret=secret), None)
    stored = await values.encode("key", ["value"], None)
    for number, (changed, default) in enumerate([(stored[:-1], None), (b"", ABSENT), (b"?" + stored, 5)], 1):
        assert await values.decode("key", changed, default) is default
        assert values.failures == number
    assert await values.decode("key", stored, None) == ["value"]
    assert values.failures == 3
    assert [record.getMessage() for record in caplog.records] == [
        f"the stored value of key 'key' cannot be decoded: {reason}; it counts as absent, as will others like it"
    ]


async def test_a_decoder_that_fails_is_the_default_and_counted():
    """Guarantee 24."""

    class Point:
        pass

    async def encoder(*_):
        return b"5"

    async def decoder(*_):
        raise KeyError

    register_type(Point, encoder, decoder)
    values = Values(SerializerOptions(), None)
    assert await values.decode("key", await values.encode("key", Point(), None), "default") == "default"
    assert values.failures == 1


def test_an_exception_may_be_remembered_of_any_class():
    serializer = Serializer(SerializerOptions())
    found = serializer.decode("key", serializer.encode("key", Raised(DecodeError("other", "a reason"))))
    assert isinstance(found.error, DecodeError)
