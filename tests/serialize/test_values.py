"""What goes through a serializer comes back: every codec, compression, signature and record."""

from __future__ import annotations

import enum
import itertools
from dataclasses import dataclass
from datetime import date

import pytest
import sqlalchemy

from cashews.exceptions import DecodeError, EncodeError
from cashews.serialize import HITS, HITS_PREFIX, HITS_SIZE, Serializer, SerializerOptions
from cashews.strategies.entry import Entry, Raised, Returned, StoredRun

CODECS = ["pickle", "json", "dill", "sqlalchemy", "msgpack"]
COMPRESSIONS = [None, "gzip", "zlib", "zstd"]
SECRETS = [None, "secret"]
SHARED = [
    None,
    True,
    False,
    0,
    -5,
    2**63 - 1,
    -(2**63),
    2**80,
    1.5,
    float("inf"),
    "",
    "12",
    "-5",
    "bytes:text",
    "hello:you!",
    "a:" * 40,
    "ключ: \0\n",
    "x" * 5_000,
    b"",
    b"12",
    b"\0H\0\0\0\0\0\0\0\0",
    b"\x1f\x8b\x80\x05bytes:",
    [],
    [1, [2.5, None, "a:b"]],
    {"a": {"b": [True]}},
]
"""What every codec gives back as it was."""


class Colour(enum.IntEnum):
    RED = 1
    MINUS = -7


@dataclass
class Point:
    x: int
    y: int = 0


PICKLED = [
    Colour.RED,
    Colour.MINUS,
    Point(1),
    (),
    (1, "a"),
    {1, 2},
    date(2024, 2, 29),
    bytearray(b"x"),
    {1: 2},
    1j,
    Point,
]
"""What pickles alone give back as it was."""


def serializer(**options):
    return Serializer(SerializerOptions(compress_threshold=0, **options))


@pytest.fixture(
    params=itertools.product(CODECS, COMPRESSIONS, SECRETS), ids=lambda options: "-".join(map(str, options))
)
def options(request):
    return dict(zip(("pickle_type", "compress_type", "secret"), request.param, strict=True))


def test_a_value_comes_back_as_it_went_in(options):
    """Guarantee 26; D98, D99, D100."""
    writer, reader = serializer(**options), serializer(**options)
    pickled = PICKLED if options["pickle_type"] not in {"json", "msgpack"} else []
    for value in SHARED + pickled:
        found = reader.decode("key", writer.encode("key", value))
        assert found == value
        assert type(found) is type(value)


def test_integers_are_decimal_text_whatever_the_options(options):
    """Guarantee 26, reading l; D98."""
    for value in (0, 42, -5, 2**63 - 1, -(2**63)):
        assert serializer(**options).encode("key", value) == b"%d" % value
        assert serializer(**options).decode("key", b"%d" % value) == value


def test_an_entry_comes_back_with_its_outcome_deadline_cost_and_hits(options):
    for value in SHARED:
        entry = Entry(Returned(value), 1_700_000_000.123456, 0.25, 3)
        assert serializer(**options).decode("key", serializer(**options).encode("key", entry)) == entry
    endless = Entry(Returned(1), float("inf"))
    assert serializer(**options).decode("key", serializer(**options).encode("key", endless)) == endless


def test_the_hits_of_an_entry_are_counted_in_place(options):
    """Unsigned, like integers: the store counts in them."""
    stored = bytearray(serializer(**options).encode("key", Entry(Returned("text"), 1.0)))
    assert stored.startswith(HITS_PREFIX)
    stored[HITS] = (513).to_bytes(HITS_SIZE, "big")
    assert serializer(**options).decode("key", bytes(stored)) == Entry(Returned("text"), 1.0, hits=513)


@pytest.mark.parametrize("secret", SECRETS)
def test_hits_stand_in_front_of_entries_alone(secret):
    writer = serializer(secret=secret)
    with pytest.raises(DecodeError, match="it has hits and is no entry"):
        writer.decode("key", HITS_PREFIX + bytes(HITS_SIZE) + writer.encode("key", "text"))


def test_a_remembered_exception_comes_back(options):
    """Guarantee 12."""
    if options["pickle_type"] in {"json", "msgpack"}:
        with pytest.raises(EncodeError, match=r"'key' \(type LookupError\) cannot be encoded"):
            serializer(**options).encode("key", Raised(LookupError("no", 1)))
        return
    for record in (Raised(LookupError("no", 1)), Entry(Raised(LookupError("no", 1)), 5.0)):
        found = serializer(**options).decode("key", serializer(**options).encode("key", record))
        raised = found.outcome if isinstance(found, Entry) else found
        assert type(raised.error) is LookupError
        assert raised.error.args == ("no", 1)


def test_a_run_comes_back_item_by_item(options):
    """Guarantee 13; D8: falsy items too."""
    items = (None, 0, "", False, [1], -5)
    for record in (StoredRun(items), StoredRun(())):
        assert serializer(**options).decode("key", serializer(**options).encode("key", record)) == record


def test_expressions_of_sqlalchemy_come_back():
    codec = serializer(pickle_type="sqlalchemy")
    found = codec.decode("key", codec.encode("key", sqlalchemy.select(sqlalchemy.column("id"))))
    assert str(found) == "SELECT id"


def test_dill_writes_what_pickle_cannot():
    function = lambda number: number + 1  # noqa: E731  what pickle cannot write
    with pytest.raises(EncodeError, match="by pickle"):
        serializer().encode("key", function)
    codec = serializer(pickle_type="dill")
    assert codec.decode("key", codec.encode("key", function))(1) == 2


def test_json_and_msgpack_know_no_classes():
    """Json writes what it has a notation for, msgpack refuses what would lose its class."""
    json, msgpack = serializer(pickle_type="json"), serializer(pickle_type="msgpack")
    assert json.decode("key", json.encode("key", (1, 2))) == [1, 2]
    for codec in (json, msgpack):
        assert codec.decode("key", codec.encode("key", Colour.MINUS)) == -7
        for value in (Point(1), date(2024, 2, 29), {1, 2}, object()):
            with pytest.raises(EncodeError, match=r"'key' \(type \w+\) cannot be encoded by (json|msgpack)"):
                codec.encode("key", value)


@pytest.mark.parametrize("value", [lambda: 0, (each for each in ())], ids=["lambda", "generator"])
def test_a_value_that_cannot_be_encoded_is_one_error_that_names_key_type_and_codec(value):
    for record in (value, Entry(Returned(value), 1.0)):
        with pytest.raises(EncodeError, match=r"'key' \(type (function|generator)\) cannot be encoded by pickle: ."):
            serializer().encode("key", record)


# --- compression


@pytest.mark.parametrize("compress_type", COMPRESSIONS[1:])
@pytest.mark.parametrize("secret", SECRETS)
def test_only_what_reaches_the_threshold_is_compressed(compress_type, secret):
    codec = Serializer(SerializerOptions(compress_type=compress_type, compress_threshold=1_006, secret=secret))
    small, large = codec.encode("key", b"x" * 999), codec.encode("key", b"x" * 1_000)
    assert b"x" * 999 in small
    assert len(large) < 100
    assert codec.decode("key", small) == b"x" * 999
    assert codec.decode("key", large) == b"x" * 1_000


@pytest.mark.parametrize("compress_type", COMPRESSIONS[1:])
def test_equal_values_are_equal_bytes(compress_type):
    codec = serializer(compress_type=compress_type)
    assert codec.encode("key", "text") == codec.encode("key", "text")
    if compress_type == "gzip":
        assert codec.encode("key", "text")[4:8] == bytes(4)  # the time of day, in whole seconds


@pytest.mark.parametrize("compress_type", COMPRESSIONS[1:])
def test_what_could_not_be_read_again_is_not_written(compress_type):
    codec = serializer(compress_type=compress_type, size_limit=100)
    assert codec.decode("key", codec.encode("key", b"x" * 94)) == b"x" * 94
    with pytest.raises(EncodeError, match=r"\(type bytes\) cannot be encoded by pickle: it is larger than 100 bytes"):
        codec.encode("key", b"x" * 95)


# --- check_repr


class Outgrown:
    """A class that was stored before it had the attribute that its text shows."""

    def __repr__(self):
        return f"Outgrown({self.new})"


@pytest.mark.parametrize("codec", ["pickle", "dill", "sqlalchemy"])
def test_an_object_that_its_class_has_outgrown_is_absent(codec):
    for value in (Outgrown(), [Outgrown()], {"a": Outgrown()}):
        for record in (value, Entry(Returned(value), 1.0), StoredRun((value,))):
            stored = serializer(pickle_type=codec).encode("key", record)
            with pytest.raises(DecodeError, match="AttributeError"):
                serializer(pickle_type=codec).decode("key", stored)
            assert type(serializer(pickle_type=codec, check_repr=False).decode("key", stored)) is type(record)
