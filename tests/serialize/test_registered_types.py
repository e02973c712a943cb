"""Registered types: classes whose objects functions of the user's write and read."""

from __future__ import annotations

import itertools
import threading

import pytest

from cashews import Cache
from cashews.backends.encoding import Values
from cashews.exceptions import DecodeError, EncodeError, WrongArgumentError
from cashews.serialize import Serializer, SerializerOptions, register_type
from cashews.strategies.entry import Entry, Raised, Returned

OPTIONS = [
    {"pickle_type": codec, "compress_type": compression, "secret": secret, "compress_threshold": 0}
    for codec, compression, secret in itertools.product(
        ["pickle", "json", "dill", "sqlalchemy", "msgpack"], [None, "zlib"], [None, "secret"]
    )
]


class Socket:
    """An object that no codec can write."""

    def __init__(self, port):
        self.port, self.lock = port, threading.Lock()


async def write(value, backend, key, expire):
    seen.append((backend, key, expire))
    return b"%d" % value.port


async def read(payload, backend, key):
    seen.append((backend, key))
    return Socket(int(payload))


seen: list[object] = []


@pytest.fixture(autouse=True)
def _sockets():
    seen.clear()
    register_type(Socket, write, read)


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(map(str, options.values())))
async def test_an_object_of_a_registered_type_comes_back_through_every_codec(options):
    """D101."""
    backend = object()
    values = Values(SerializerOptions(**options), backend)
    found = await values.decode("key", await values.encode("key", Socket(80), 2.5), None)
    assert type(found) is Socket
    assert found.port == 80
    assert seen == [(backend, "key", 2.5), (backend, "key")]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(map(str, options.values())))
async def test_the_entry_of_a_registered_type_keeps_what_belongs_to_it(options):
    values = Values(SerializerOptions(**options), None)
    found = await values.decode("key", await values.encode("key", Entry(Returned(Socket(80)), 1.5, 2.5, 7), None), None)
    assert (found.outcome.value.port, found.deadline, found.cost, found.hits) == (80, 1.5, 2.5, 7)


async def test_every_decorator_keeps_objects_of_a_registered_type():
    async with Cache.open("mem://", pickle_type="json") as cache:
        decorators = {
            "k": cache(ttl=100, key="k"),
            "early:k": cache.early(ttl=100, key="k"),
            "soft:k": cache.soft(ttl=100, key="k"),
            "hit:k": cache.hit(ttl=100, cache_hits=9, key="k"),
        }
        for key, decorate in decorators.items():

            @decorate
            async def function():
                return Socket(80)

            first, second, third = [await function() for _ in range(3)]
            assert first.port == second.port == third.port == 80
            assert second is not third
            assert await cache.exists(key)


def test_a_class_is_known_by_its_module_and_qualified_name():
    """D101."""
    other = type("Socket", (), {"__module__": "elsewhere", "__qualname__": "Socket"})
    register_type(other, write, read)
    serializer = Serializer(SerializerOptions())
    assert serializer.decode("key", b"\0T\0\x10elsewhere:Socket80").custom.name == "elsewhere:Socket"
    pending = serializer.decode("key", f"\0T\0{chr(len(named(Socket)))}{named(Socket)}80".encode())
    assert (pending.custom.name, pending.payload) == (named(Socket), b"80")
    with pytest.raises(DecodeError, match="its type is not registered"):
        serializer.decode("key", b"\0T\0\x06Socket80")


def named(klass):
    return f"{klass.__module__}:{klass.__qualname__}"


async def test_what_is_registered_last_holds():
    """A module that is loaded again defines its class anew."""

    async def other(*_):
        return b"1"

    again = type("Socket", (), {"__module__": Socket.__module__, "__qualname__": Socket.__qualname__})
    register_type(again, other, read)
    values = Values(SerializerOptions(), None)
    assert (await values.decode("key", await values.encode("key", again(), None), None)).port == 1
    with pytest.raises(EncodeError, match="by pickle"):
        await values.encode("key", Socket(80), None)


async def test_a_subclass_is_not_registered_by_its_base():
    class Special(Socket):
        pass

    with pytest.raises(EncodeError, match=r"\(type .*Special\) cannot be encoded by pickle"):
        await Values(SerializerOptions(), None).encode("key", Special(80), None)


async def test_a_remembered_exception_is_the_codecs_business():
    register_type(LookupError, write, read)
    values = Values(SerializerOptions(), None)
    found = await values.decode("key", await values.encode("key", Entry(Raised(LookupError("no")), 1.0), None), None)
    assert found.outcome.error.args == ("no",)
    assert seen == []


# --- failures


async def failing(*_):
    raise LookupError(1)


async def returning_text(*_):
    return "text"


@pytest.mark.parametrize("encoder", [failing, returning_text, lambda *_: b"not awaitable", lambda: b"no arguments"])
async def test_an_encoder_that_fails_or_returns_no_bytes_is_one_error(encoder):
    register_type(Socket, encoder, read)
    for record in (Socket(80), Entry(Returned(Socket(80)), 1.0)):
        with pytest.raises(EncodeError, match=r"'key' \(type Socket\) cannot be encoded by its encoder: ."):
            await Values(SerializerOptions(), None).encode("key", record, None)


async def test_a_decoder_that_fails_has_a_value_absent(caplog):
    """Guarantee 24."""
    values = Values(SerializerOptions(), None)
    stored = await values.encode("key", Socket(80), None)
    register_type(Socket, write, failing)
    assert await values.decode("key", stored, "default") == "default"
    assert "'key' cannot be decoded: its decoder failed with LookupError" in caplog.text
    assert values.failures == 1


async def test_a_decoder_may_say_that_a_value_is_absent(caplog):
    async def refusing(*_):
        raise DecodeError

    values = Values(SerializerOptions(), None)
    stored = await values.encode("key", Socket(80), None)
    register_type(Socket, write, refusing)
    assert await values.decode("key", stored, "default") == "default"
    assert "'key' cannot be decoded: its decoder refuses it" in caplog.text


async def test_a_decoder_sees_only_what_is_verified():
    """Guarantee 24."""
    values = Values(SerializerOptions(secret="secret"), None)
    unsigned = Values(SerializerOptions(), None)
    assert await values.decode("key", await unsigned.encode("key", Socket(80), None), None) is None
    assert await values.decode("key", b"Socket:80", None) is None
    assert len(seen) == 1  # the encoder


@pytest.mark.parametrize("klass", [int, bytes, "Socket", None, Socket(1)])
def test_what_is_no_class_or_kept_natively_cannot_be_registered(klass):
    with pytest.raises(WrongArgumentError, match=r"klass is .*; allowed: a class other than int and bytes"):
        register_type(klass, write, read)


def test_what_cannot_be_called_is_no_encoder_and_no_decoder():
    with pytest.raises(WrongArgumentError, match="encoder is None"):
        register_type(Socket, None, read)
    with pytest.raises(WrongArgumentError, match="decoder is b''"):
        register_type(Socket, write, b"")
