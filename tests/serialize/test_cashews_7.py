"""The bytes of cashews 7.6.0, read and written: a service changes over with a warm cache.

The tables are what cashews 7.6.0 has stored under the key `key`, as hexadecimal text. They were obtained by running it
against a Valkey 9 server, on Python 3.11 with dill 0.4.1, SQLAlchemy 2.1.9 and xxhash 4.1:
``cache.setup("redis://...", **options)`` and ``await cache.set("key", value)``, then ``GET key`` by redis-py. The codec
that it calls ``default`` is ``pickle`` here. Signed values have the secret ``secret``.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import pytest

from cashews import Cache
from cashews.exceptions import DecodeError
from cashews.serialize import Pending, Serializer, SerializerOptions, register_type

SECRET = "secret"


@dataclass(frozen=True)
class Golden:
    """A value, what was stored for it, and the options of `setup()` besides the secret."""

    value: object
    stored: bytes
    options: Mapping[str, str]

    def __str__(self):
        return "-".join([*self.options.values(), repr(self.value)])


def golden(value: object, stored: str, **options: str) -> Golden:
    return Golden(value, bytes.fromhex(stored), options)


PLAIN = [
    golden(42, "3432"),
    golden(-5, "2d35"),
    golden(2**63 - 1, "39323233333732303336383534373735383037"),
    golden(True, "8005882e"),
    golden(None, "80054e2e"),
    golden(1.5, "8005950a00000000000000473ff80000000000002e"),
    golden("text", "80059508000000000000008c0474657874942e"),
    golden(b"raw\x00\xff", "62797465733a72617700ff"),
    golden(b"", "62797465733a"),
    golden([1, "a", None], "8005950c000000000000005d94284b018c0161944e652e"),
    golden(
        {"a": 1, "b": [1.5, True]}, "8005951d000000000000007d94288c0161944b018c0162945d9428473ff80000000000008865752e"
    ),
    golden((1, 2), "80059507000000000000004b014b0286942e"),
    golden(date(2024, 2, 29), "80059520000000000000008c086461746574696d65948c0464617465949394430407e8021d94859452942e"),
    golden(True, "74727565", pickle_type="json"),
    golden(None, "6e756c6c", pickle_type="json"),
    golden(1.5, "312e35", pickle_type="json"),
    golden("text", "227465787422", pickle_type="json"),
    golden(b"raw\x00\xff", "62797465733a72617700ff", pickle_type="json"),
    golden(b"", "62797465733a", pickle_type="json"),
    golden([1, "a", None], "5b312c202261222c206e756c6c5d", pickle_type="json"),
    golden({"a": 1, "b": [1.5, True]}, "7b2261223a20312c202262223a205b312e352c20747275655d7d", pickle_type="json"),
    golden(True, "8004882e", pickle_type="dill"),
    golden(None, "80044e2e", pickle_type="dill"),
    golden(1.5, "8004950a00000000000000473ff80000000000002e", pickle_type="dill"),
    golden("text", "80049508000000000000008c0474657874942e", pickle_type="dill"),
    golden(b"raw\x00\xff", "62797465733a72617700ff", pickle_type="dill"),
    golden(b"", "62797465733a", pickle_type="dill"),
    golden([1, "a", None], "8004950c000000000000005d94284b018c0161944e652e", pickle_type="dill"),
    golden(
        {"a": 1, "b": [1.5, True]},
        "8004951d000000000000007d94288c0161944b018c0162945d9428473ff80000000000008865752e",
        pickle_type="dill",
    ),
    golden((1, 2), "80049507000000000000004b014b0286942e", pickle_type="dill"),
    golden(
        date(2024, 2, 29),
        "80049520000000000000008c086461746574696d65948c0464617465949394430407e8021d94859452942e",
        pickle_type="dill",
    ),
    golden(True, "8005882e", pickle_type="sqlalchemy"),
    golden(None, "80054e2e", pickle_type="sqlalchemy"),
    golden(1.5, "8005950a00000000000000473ff80000000000002e", pickle_type="sqlalchemy"),
    golden("text", "80059508000000000000008c0474657874942e", pickle_type="sqlalchemy"),
    golden(b"raw\x00\xff", "62797465733a72617700ff", pickle_type="sqlalchemy"),
    golden(b"", "62797465733a", pickle_type="sqlalchemy"),
    golden([1, "a", None], "8005950c000000000000005d94284b018c0161944e652e", pickle_type="sqlalchemy"),
    golden(
        {"a": 1, "b": [1.5, True]},
        "8005951d000000000000007d94288c0161944b018c0162945d9428473ff80000000000008865752e",
        pickle_type="sqlalchemy",
    ),
    golden((1, 2), "80059507000000000000004b014b0286942e", pickle_type="sqlalchemy"),
    golden(
        date(2024, 2, 29),
        "80059520000000000000008c086461746574696d65948c0464617465949394430407e8021d94859452942e",
        pickle_type="sqlalchemy",
    ),
]

COMPRESSED = [
    golden("text", "1f8b0800cde0066b02ff6b609dcac100013d2c25a9152553f400cc58b18b13000000", compress_type="gzip"),
    golden(b"raw\x00\xff", "1f8b0800cde0066b02ff4baa2c492db62a4a2c67f80f00ad5072580b000000", compress_type="gzip"),
    golden(
        {"a": 1, "b": [1.5, True]},
        "1f8b0800cde0066b02ff6b609d2acb0001b553347a1813a77833f630264d899da2e16eff0322d1915aaa070070f7338828000000",
        compress_type="gzip",
    ),
    golden("text", "1f8b0800cde0066b02ff532a49ad285102005e80dd3f06000000", pickle_type="json", compress_type="gzip"),
    golden(
        b"raw\x00\xff",
        "1f8b0800cde0066b02ff4baa2c492db62a4a2c67f80f00ad5072580b000000",
        pickle_type="json",
        compress_type="gzip",
    ),
    golden(
        {"a": 1, "b": [1.5, True]},
        "1f8b0800cde0066b02ffab564a54b25230d451504a02d2d1867aa63a0a2545a5a9b1b50059613a241a000000",
        pickle_type="json",
        compress_type="gzip",
    ),
    golden("text", "789c6b609dcac100013d2c25a9152553f4002211043a", compress_type="zlib"),
    golden(b"raw\x00\xff", "789c4baa2c492db62a4a2c67f80f001ada04ab", compress_type="zlib"),
    golden(
        {"a": 1, "b": [1.5, True]},
        "789c6b609d2acb0001b553347a1813a77833f630264d899da2e16eff0322d1915aaa0700bf0c09e9",
        compress_type="zlib",
    ),
    golden("text", "789c532a49ad28510200071c020a", pickle_type="json", compress_type="zlib"),
    golden(b"raw\x00\xff", "789c4baa2c492db62a4a2c67f80f001ada04ab", pickle_type="json", compress_type="zlib"),
    golden(
        {"a": 1, "b": [1.5, True]},
        "789cab564a54b25230d451504a02d2d1867aa63a0a2545a5a9b1b50051a406cd",
        pickle_type="json",
        compress_type="zlib",
    ),
]

SIGNED = [
    golden("text", "73756d3a3830385f80059508000000000000008c0474657874942e", digestmod="sum"),
    golden(b"raw\x00\xff", "73756d3a3837395f62797465733a72617700ff", digestmod="sum"),
    golden(
        "text",
        "6d64353a33623264376638663961366131356562356631303465323038346538643832395f8005950800000000000000"
        "8c0474657874942e",
        digestmod="md5",
    ),
    golden(
        b"raw\x00\xff",
        "6d64353a30643635646630373734303234373634636331303161376436623965316230665f62797465733a72617700ff",
        digestmod="md5",
    ),
    golden(
        "text",
        "736861313a383530323231643037346137353834373736316138353739653930623937353239343263656332665f8005"
        "9508000000000000008c0474657874942e",
        digestmod="sha1",
    ),
    golden(
        b"raw\x00\xff",
        "736861313a616265336661393462303133663930373235323964336461306233333333643433306637613530355f6279"
        "7465733a72617700ff",
        digestmod="sha1",
    ),
    golden(
        "text",
        "7368613235363a3535656139333733663462613266383535616230363535303638383233616434373165313066323638"
        "35386264313961366531323236346561383631626437625f80059508000000000000008c0474657874942e",
        digestmod="sha256",
    ),
    golden(
        b"raw\x00\xff",
        "7368613235363a3230396366623631363166336531356563623231313861386238363631343937616263333031376165"
        "35386431393632333136363738383534376531666233315f62797465733a72617700ff",
        digestmod="sha256",
    ),
    golden("text", "78786833323a66383933313436335f80059508000000000000008c0474657874942e", digestmod="xxh32"),
    golden(b"raw\x00\xff", "78786833323a36363762393234635f62797465733a72617700ff", digestmod="xxh32"),
    golden(
        "text",
        "78786836343a326235663763386537633936616234325f80059508000000000000008c0474657874942e",
        digestmod="xxh64",
    ),
    golden(b"raw\x00\xff", "78786836343a303362346335333535656334666264395f62797465733a72617700ff", digestmod="xxh64"),
    golden(
        "text",
        "787868335f36343a663665626233633331326563643465385f80059508000000000000008c0474657874942e",
        digestmod="xxh3_64",
    ),
    golden(
        b"raw\x00\xff", "787868335f36343a643837316530623463363032666262615f62797465733a72617700ff", digestmod="xxh3_64"
    ),
    golden(
        "text",
        "787868335f3132383a39666165343462393731313864616334376336383764363539343238316230385f800595080000"
        "00000000008c0474657874942e",
        digestmod="xxh3_128",
    ),
    golden(
        b"raw\x00\xff",
        "787868335f3132383a63343638633838393235313763333731326133623437313437333063313037395f62797465733a72617700ff",
        digestmod="xxh3_128",
    ),
    golden(
        "text",
        "6d64353a65663536323632313435326331646561356334356438306335313032653831395f227465787422",
        digestmod="md5",
        pickle_type="json",
    ),
    golden(
        "text",
        "6d64353a61316661373636376364313738623737623065386265333930383661333362615f1f8b0800cde0066b02ff6b"
        "609dcac100013d2c25a9152553f400cc58b18b13000000",
        digestmod="md5",
        compress_type="gzip",
    ),
]

POINT = bytes.fromhex("506f696e743a35")
"""An object of the registered type `Point`, for which its encoder had returned ``b"5"``."""

REMEMBERED_EXCEPTION = bytes.fromhex(
    "8005956a000000000000008c23636173686577732e6465636f7261746f72732e63616368652e5f657863657074696f6e"
    "948c0e5261697365457863657074696f6e9493942981947d948c03657863948c086275696c74696e73948c0a56616c75"
    "654572726f729493948c026e6f948594529473622e"
)
"""What ``@cache(ttl=100, condition=with_exceptions(ValueError))`` kept of a `ValueError`."""

EARLY = bytes.fromhex(
    "8005955d000000000000005d94288c086461746574696d65948c086461746574696d65949394430a07ea0b190d160704"
    "e3109468018c0874696d657a6f6e6594939468018c0974696d6564656c74619493944b004b004b008794529485945294"
    "869452944b01652e"
)
"""What ``@cache.early(ttl=100, early_ttl=50)`` kept of 1, and `soft` likewise: a list of a deadline and the value."""

ITERATOR = bytes.fromhex("8005882e")
"""What ``@cache.iterator(ttl=100)`` kept of a complete run; its items were under keys of their own."""


def serializer(**options):
    return Serializer(SerializerOptions(**options))


@pytest.mark.parametrize("golden", PLAIN + COMPRESSED, ids=str)
def test_what_cashews_7_has_stored_is_read(golden):
    """Guarantee 24."""
    found = serializer(**golden.options).decode("key", golden.stored)
    assert found == golden.value
    assert type(found) is type(golden.value)


@pytest.mark.parametrize("golden", PLAIN, ids=str)
def test_what_is_written_are_the_bytes_of_cashews_7(golden):
    assert serializer(**golden.options).encode("key", golden.value) == golden.stored


@pytest.mark.parametrize("golden", COMPRESSED, ids=str)
def test_compressed_values_differ_from_those_of_cashews_7_at_most_in_how_they_are_compressed(golden):
    """The header of gzip holds the time of day, and builds of zlib differ in their output."""
    expand = {"gzip": gzip.decompress, "zlib": zlib.decompress}[golden.options["compress_type"]]
    written = serializer(**golden.options, compress_threshold=0).encode("key", golden.value)
    assert written[:2] == golden.stored[:2]
    assert expand(written) == expand(golden.stored)


@pytest.mark.parametrize("golden", COMPRESSED, ids=str)
@pytest.mark.parametrize("compress_type", [None, "gzip", "zlib", "zstd"])
def test_every_reader_recognises_what_is_compressed(golden, compress_type):
    options = {**golden.options, "compress_type": compress_type}
    assert serializer(**options).decode("key", golden.stored) == golden.value


# --- signed values: with the option, by one algorithm


@pytest.mark.filterwarnings("ignore::cashews.exceptions.WeakDigestWarning")
@pytest.mark.parametrize("golden", SIGNED, ids=str)
def test_signed_values_are_read_by_the_one_algorithm_that_is_listed(golden):
    """Guarantee 24."""
    options = {**golden.options, "digestmod": "sha256", "legacy_digestmod": golden.options["digestmod"]}
    assert serializer(**options, secret=SECRET).decode("key", golden.stored) == golden.value
    assert serializer(**options, secret=["new", SECRET]).decode("key", golden.stored) == golden.value


@pytest.mark.filterwarnings("ignore::cashews.exceptions.WeakDigestWarning")
@pytest.mark.parametrize("golden", SIGNED, ids=str)
@pytest.mark.parametrize("listed", [None, "sum", "md5", "sha1", "sha256"])
def test_signed_values_are_absent_if_another_algorithm_is_listed_or_none(golden, listed):
    """Guarantee 24; D96."""
    other = listed if listed != golden.options["digestmod"] else "xxh32"
    options = {**golden.options, "legacy_digestmod": other}
    with pytest.raises(DecodeError, match="it is not signed"):
        serializer(**options, secret=SECRET).decode("key", golden.stored)


@pytest.mark.parametrize("golden", [each for each in SIGNED if each.options["digestmod"] != "sum"], ids=str)
def test_signed_values_are_absent_under_another_key_or_secret_or_changed(golden):
    """Guarantee 24."""
    options = {**golden.options, "legacy_digestmod": golden.options["digestmod"]}
    for key, secret, stored in (
        ("other", SECRET, golden.stored),
        ("key", "other", golden.stored),
        ("key", SECRET, golden.stored + b"."),
        ("key", SECRET, golden.stored[:-1]),
    ):
        with pytest.raises(DecodeError, match="its signature is not valid"):
            serializer(**options, secret=secret).decode(key, stored)


@pytest.mark.parametrize("golden", SIGNED, ids=str)
def test_a_reader_without_a_secret_takes_signed_values_for_absent(golden):
    options = {name: value for name, value in golden.options.items() if name != "digestmod"}
    with pytest.raises(DecodeError):
        serializer(**options).decode("key", golden.stored)


# --- registered types


class Point:
    """A class that is registered."""


async def encoded(*_):
    return b"5"


async def decoded(payload, *_):
    return payload


@pytest.mark.parametrize("codec", ["pickle", "json", "msgpack"])
def test_a_registered_type_is_read_by_the_name_of_its_class(codec):
    register_type(Point, encoded, decoded)
    found = serializer(pickle_type=codec).decode("key", POINT)
    assert isinstance(found, Pending)
    assert found.payload == b"5"


@pytest.mark.parametrize("codec", ["pickle", "json", "msgpack"])
def test_a_name_that_no_registered_type_has_or_several_have_is_absent(codec):
    """D101."""
    with pytest.raises(DecodeError, match="not exactly one registered type has its name"):
        serializer(pickle_type=codec).decode("key", POINT)
    register_type(Point, encoded, decoded)
    register_type(type("Point", (), {"__module__": "elsewhere"}), encoded, decoded)
    with pytest.raises(DecodeError, match="not exactly one registered type has its name"):
        serializer(pickle_type=codec).decode("key", POINT)


# --- what its decorators kept


async def counted(cache, decorate, key, stored):
    """Return what a function that answers "new" answers twice, and how often it has run."""
    runs = []

    @decorate
    async def function():
        runs.append(1)
        return "new"

    await cache.set_raw(key, stored)
    return [await function(), await function()], len(runs)


TEXT = serializer().encode("key", "old")


async def test_bare_values_of_decorators_are_served():
    async with Cache.open("mem://", pickle_type="pickle") as cache:
        assert await counted(cache, cache(ttl=100, key="k"), "k", TEXT) == (["old"] * 2, 0)
        assert await counted(cache, cache.hit(ttl=100, cache_hits=3, key="k"), "hit:k", TEXT) == (["old"] * 2, 0)
        assert await counted(cache, cache.dynamic(ttl=100, key="k"), "dynamic:k", TEXT) == (["old"] * 2, 0)

        @cache.failover(ttl=100, key="k")
        async def fails():
            raise LookupError

        await cache.set_raw("fail:k", TEXT)
        assert await fails() == "old"


async def test_what_early_and_soft_kept_is_absent_and_never_served_as_a_value():
    async with Cache.open("mem://", pickle_type="pickle") as cache:
        for strategy, key in ((cache.soft, "soft:k"), (cache.early, "early:k")):
            assert await counted(cache, strategy(ttl=100, key="k"), key, EARLY) == (["new"] * 2, 1)


async def test_remembered_exceptions_are_absent():
    async with Cache.open("mem://", pickle_type="pickle") as cache:
        assert await counted(cache, cache(ttl=100, key="k"), "k", REMEMBERED_EXCEPTION) == (["new"] * 2, 1)
        assert cache.statistics().backends[""]["decode_failures"] == 1


async def test_runs_of_iterators_are_absent():
    async with Cache.open("mem://", pickle_type="pickle") as cache:

        @cache.iterator(ttl=100, key="k")
        async def numbers():
            yield 1
            yield 2

        await cache.set_raw("k", ITERATOR)
        await cache.set_raw("k:0", b"1")
        for _ in range(2):
            assert [number async for number in numbers()] == [1, 2]
