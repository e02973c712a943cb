"""Signed values: what an attacker who may write to the store can achieve, which is nothing but absence."""

from __future__ import annotations

import hashlib
import hmac
import pickle
import zlib

import pytest

from cashews.exceptions import DecodeError, WeakDigestWarning, WrongOptionError
from cashews.serialize import HITS, HITS_PREFIX, HITS_SIZE, Serializer, SerializerOptions
from cashews.strategies.entry import Entry, Returned

DIGESTS = ["sum", "md5", "sha1", "sha256", "xxh32", "xxh64", "xxh3_64", "xxh3_128"]
STRONG = ["md5", "sha1", "sha256"]
MAC_AT = 2

pytestmark = pytest.mark.filterwarnings("ignore::cashews.exceptions.WeakDigestWarning")

executed: list[str] = []
"""What payloads have done."""


def execute(name):
    executed.append(name)


class Payload:
    """Executes code when it is unpickled."""

    def __init__(self, name):
        self.name = name

    def __reduce__(self):
        return execute, (self.name,)


@pytest.fixture(autouse=True)
def _nothing_executed():
    executed.clear()


SECRET = "secret"


def serializer(secret=SECRET, digestmod="sha256", **options):
    return Serializer(SerializerOptions(secret=secret, digestmod=digestmod, **options))


def attack(name):
    return pickle.dumps(Payload(name), protocol=5)


def refused(reader, stored, key="key"):
    with pytest.raises(DecodeError) as refusal:
        reader.decode(key, stored)
    return refusal.value


@pytest.mark.parametrize("digestmod", DIGESTS)
def test_a_signed_value_is_the_form_the_mac_and_the_payload(digestmod):
    for secret in ("secret", b"\0\xff", "ключ", "\ud800"):
        codec = serializer(secret, digestmod)
        stored = codec.encode("key", "text")
        assert stored.startswith(b"\0S")
        assert stored.endswith(pickle.dumps("text", protocol=5))
        assert codec.decode("key", stored) == "text"


def test_the_mac_is_the_hmac_of_the_key_in_its_length_and_the_payload():
    """Guarantee 24: framed, so that no byte of the key can pass for the value's."""
    payload = pickle.dumps("text", protocol=5)
    mac = hmac.digest(b"secret", b"\0\0\0\0\0\0\0\x08" + "ключ".encode() + payload, "sha256")
    assert serializer().encode("ключ", "text") == b"\0S" + mac + payload


def test_a_text_and_its_bytes_are_the_same_secret():
    assert serializer(b"secret").decode("key", serializer("secret").encode("key", "text")) == "text"


@pytest.mark.parametrize("digestmod", STRONG)
def test_nothing_is_unpickled_before_its_signature_is_verified(digestmod):
    """Guarantee 24; D96."""
    reader = serializer(digestmod=digestmod)
    mac = hmac.digest(b"guessed", attack("signed by another secret"), digestmod)
    for stored in (
        attack("unsigned"),
        b"\0S" + mac + attack("signed by another secret"),
        b"\0S" + attack("no mac"),
        b"\0S" + bytes(len(mac)) + attack("zeros"),
        HITS_PREFIX + bytes(HITS_SIZE) + attack("behind hits"),
        b"\0E" + bytes(16) + attack("in an entry"),
        b"\0R" + attack("as an exception"),
        b"\0I" + attack("as the items of a run"),
        zlib.compress(attack("compressed")),
        b"sum:%x_" % (sum(b"secret" + b"key") + sum(attack("by sum"))) + attack("by sum"),
        b"md5:" + b"0" * 32 + b"_" + attack("by a digest"),
    ):
        refused(reader, stored)
    assert executed == []
    Serializer(SerializerOptions()).decode("key", attack("the payload works"))
    assert executed == ["the payload works"]


def test_nothing_is_expanded_before_its_signature_is_verified(monkeypatch):
    """Guarantee 24."""
    reader = serializer()

    def never(*_args, **_options):
        raise AssertionError

    monkeypatch.setattr(zlib, "decompressobj", never)
    for stored in (zlib.compress(b"text"), b"\0S" + bytes(32) + zlib.compress(b"text")):
        assert "sign" in str(refused(reader, stored))


@pytest.mark.parametrize("digestmod", STRONG)
def test_what_was_changed_moved_or_cut_is_absent(digestmod):
    """Guarantee 24; D96, D97."""
    reader = serializer(digestmod=digestmod)
    stored = reader.encode("key", "text")
    for at in range(len(stored)):
        refused(reader, stored[:at])
        refused(reader, stored[:at] + bytes([stored[at] ^ 1]) + stored[at + 1 :])
    for changed in (stored + b".", stored + stored, b"\0S" + stored):
        refused(reader, changed)
    for key in ("", "ke", "key ", "key\0", "other"):
        refused(reader, stored, key)


@pytest.mark.parametrize("digestmod", STRONG)
def test_bytes_cannot_move_between_key_and_payload(digestmod):
    """Guarantee 24; D96: not framed, `user:1` and `234` would be signed as `user:12` and `34`."""
    codec = serializer(digestmod=digestmod, pickle_type="json")
    stored = codec.encode("user:1", "x" * 9)
    start = MAC_AT + hashlib.new(digestmod).digest_size
    mac, payload = stored[:start], stored[start:]
    refused(codec, mac + payload[1:], "user:1" + chr(payload[0]))
    refused(codec, mac + b"1" + payload, "user:")


@pytest.mark.parametrize("digestmod", STRONG)
def test_another_secret_or_algorithm_or_none_reads_nothing(digestmod):
    """Guarantee 24; D96, D97."""
    stored = serializer(digestmod=digestmod).encode("key", "text")
    refused(serializer("other", digestmod), stored)
    assert "no secret is set" in str(refused(Serializer(SerializerOptions()), stored))
    for other in DIGESTS:
        if other != digestmod:
            refused(serializer(digestmod=other), stored)


def test_an_unsigned_value_is_absent_where_there_is_a_secret():
    """Guarantee 24, reading l."""
    for value in ("text", None, b"bytes", [1], Entry(Returned(1), 1.0)):
        assert "it is not signed" in str(refused(serializer(), Serializer(SerializerOptions()).encode("key", value)))


def test_integers_are_readable_with_any_secret():
    """Guarantee 26, reading l: the store counts in them."""
    assert serializer().encode("key", -5) == b"-5"
    assert serializer("other").decode("key", b"-5") == -5


def test_the_hits_of_an_entry_are_not_signed_and_everything_else_is():
    codec = serializer()
    stored = codec.encode("key", Entry(Returned("text"), 1.0))
    counted = HITS_PREFIX + (7).to_bytes(HITS_SIZE, "big") + stored[HITS.stop :]
    assert codec.decode("key", counted) == Entry(Returned("text"), 1.0, hits=7)
    for at in range(HITS.stop, len(stored)):
        refused(codec, stored[:at] + bytes([stored[at] ^ 1]) + stored[at + 1 :])


# --- several secrets


def test_the_first_secret_signs_and_all_verify():
    """Guarantee 24: rotation."""
    old, both, new = serializer("old"), serializer(("new", "old")), serializer(["new"])
    assert both.decode("key", old.encode("key", "text")) == "text"
    assert new.decode("key", both.encode("key", "text")) == "text"
    refused(old, both.encode("key", "text"))
    refused(new, old.encode("key", "text"))


@pytest.mark.parametrize("secret", ["", b"", (), [], [""], ["a", ""], ["a", 1], 1, 1.5, {"a": 1}, object()])
def test_what_is_no_secret_is_refused_and_not_shown(secret):
    with pytest.raises(WrongOptionError, match=r"option 'secret' is .*; allowed: text or bytes, not empty"):
        serializer(secret)


def test_secrets_are_in_no_text():
    options = SerializerOptions(secret=["hush", b"quiet"])
    for shown in (repr(options), str(options), repr(Serializer(options))):
        assert "hush" not in shown
        assert "quiet" not in shown
    for wrong in (["hush", 1], {"hush": 1}, {"hush"}):
        with pytest.raises(WrongOptionError) as refusal:
            serializer(wrong)
        assert "hush" not in str(refusal.value)


# --- what is shown


@pytest.mark.parametrize("digestmod", STRONG)
@pytest.mark.parametrize("legacy", [None, "md5"])
def test_no_error_shows_a_valid_mac(digestmod, legacy):
    """Guarantee 24; D96: neither in its text nor in the variables of its traceback."""
    reader = serializer(["new", "secret"], digestmod, legacy_digestmod=legacy)
    payload = attack("payload")
    framed = b"\0\0\0\0\0\0\0\x03key" + payload
    valid = [hmac.digest(secret, framed, digestmod) for secret in (b"new", b"secret")]
    valid += [hmac.digest(secret, b"key" + payload, "md5") for secret in (b"new", b"secret")]
    for stored in (b"\0S" + bytes(len(valid[0])) + payload, b"md5:" + b"0" * 32 + b"_" + payload, payload):
        shown = "".join(everything_in(refused(reader, stored)))
        for mac in valid:
            assert mac.hex() not in shown
            assert repr(mac)[2:-1] not in shown


def everything_in(error):
    """Yield the text of an error, of what caused it, and of every variable on the way."""
    while error is not None:
        yield str(error)
        yield repr(error.args)
        frame = error.__traceback__
        while frame is not None:
            if "tests" not in frame.tb_frame.f_code.co_filename:
                yield repr(frame.tb_frame.f_locals)
            frame = frame.tb_next
        error = error.__cause__ or error.__context__


# --- algorithms


def test_a_sum_warns_that_it_is_forged_easily():
    """Reading e."""
    with pytest.warns(WeakDigestWarning, match="'sum' is easily forged; use sha256"):
        serializer(digestmod="sum")
    with pytest.warns(WeakDigestWarning):
        serializer(legacy_digestmod="sum")


def test_the_default_is_md5():
    """Reading e."""
    md5 = serializer(digestmod="md5")
    assert Serializer(SerializerOptions(secret="secret")).decode("key", md5.encode("key", "text")) == "text"


@pytest.mark.parametrize("name", ["xxh3", "sha512", "SHA256", "", None, 5])
@pytest.mark.parametrize("option", ["digestmod", "legacy_digestmod"])
def test_an_unknown_algorithm_is_refused_at_once(name, option):
    """D101."""
    if (name, option) == (None, "legacy_digestmod"):
        name = False
    with pytest.raises(WrongOptionError, match=f"option '{option}' is .*'sha256'"):
        SerializerOptions(secret="secret", **{option: name})


def test_without_a_secret_no_signature_of_cashews_7_can_be_read():
    with pytest.raises(WrongOptionError, match="option 'legacy_digestmod' is 'md5'"):
        SerializerOptions(legacy_digestmod="md5")
