"""Fields and stored bytes from strangers: nothing raises, nothing takes more than linear time."""

import json
import pickle
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cashews.contrib.http.conditions import entity_tags, not_modified, part_of
from cashews.contrib.http.dates import parse_date
from cashews.contrib.http.directives import Directives, asked, control_of
from cashews.contrib.http.fields import Fields, split_list
from cashews.contrib.http.policy import Rules, Times, freshened, groups_of, plan
from cashews.contrib.http.record import Reuse, StoredResponse, Variants, unpack
from cashews.contrib.http.reuse import usable
from cashews.contrib.http.structured import parse_dictionary, parse_list
from cashews.contrib.http.vary import NORMALISERS, languages, selection, vary_names

NOW = 1_800_000_000.0
NAMES = b"""
    age authorization cache-control cache-groups cache-tag cdn-cache-control connection content-length content-type
    cookie date etag expires if-modified-since if-none-match if-range last-modified pragma range set-cookie
    surrogate-key vary accept-language accept-encoding
""".split()
WORDS = rb"""
    max-age=60 no-store private public s-maxage=1 no-cache no-cache="x" must-understand stale-if-error=9 * , ; = " \
    W/"a" bytes=0-1 0 -1 gzip;q=0.5 Sun, 06 Nov 1994 08:49:37 GMT
""".split()
VALUES = st.one_of(st.binary(max_size=40), st.lists(st.sampled_from(WORDS), max_size=6).map(b" ".join))
FIELDS = st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=6).map(Fields)
RULES = st.builds(
    Rules,
    safe=st.booleans(),
    targets=st.just(("cdn-cache-control",)),
    default_ttl=st.sampled_from([None, 5.0]),
    trusting=st.booleans(),
)


@settings(max_examples=3_000)
@given(FIELDS, FIELDS, st.integers(0, 999), RULES)
def test_no_field_of_a_stranger_raises(request, response, status, rules):
    planned = plan(request, status, response, Times(NOW, NOW), rules)
    selection(vary_names(response) or (), request, NORMALISERS)
    not_modified(request, status, response, NOW)
    part_of(request, 200, response, 10, NOW)
    if planned is not None:
        stored = planned.complete(b"abc")
        usable(stored, NOW + 9, asked(request))
        freshened(stored, request, response, Times(NOW, NOW), rules)
        assert unpack(stored.pack()) == stored


LONG = 16_384
TEXTS = ["a", '"', "\\", ",", " ", "(", "=", ";", '"a', ',"', '\\"', "a,", '"a",']
TEXTS += ["W/", "9", "%a", ":a", "\t", 'a="b"', "-"]
PREFIXES = ["", '"', "(", ":", '%"', "a=", "@", "bytes="]


def everything(text):
    read = Fields([(b"x", text.encode("latin-1")), (b"cache-control", text.encode("latin-1"))])
    split_list(text)
    Directives.parse([text])
    control_of(read, ["x"])
    parse_list(text)
    parse_dictionary(text)
    parse_date(text, NOW)
    list(entity_tags(text))
    languages(text)
    groups_of(read, "x")
    selection(["x"], read, {})


def seconds_for(texts):
    begin = process_time()
    for text in texts:
        everything(text)
    return process_time() - begin


@pytest.mark.parametrize("text", TEXTS)
def test_time_grows_with_the_length_and_no_faster(text):
    """Eight times as long a text takes eight times as long, and not sixty-four: seconds of the processor, the best."""
    short, long = ([prefix + text * (length // len(text)) for prefix in PREFIXES] for length in (LONG // 8, LONG))
    assert min(seconds_for(long) for _ in range(3)) < 24 * min(seconds_for(short) for _ in range(5))


RESPONSE = StoredResponse(
    200, ((b"a", b"1"), (b"", b"\xff")), b"body\n", 1.5, 60.0, 2.0, 3.0, Reuse.VALIDATED, ("user:1", "ü")
)


def test_a_response_survives_its_bytes():
    for stored in (RESPONSE, StoredResponse(204, (), b"", 0.0, 0.0), RESPONSE.softened(), Variants(("a", "b"), "7")):
        assert unpack(stored.pack()) == stored
        assert pickle.loads(pickle.dumps(stored)) == stored


@pytest.mark.parametrize("stored", [RESPONSE.pack(), Variants(("a",), "7").pack()])
def test_a_value_that_is_cut_off_is_absent(stored):
    assert [unpack(stored[:length]) for length in range(len(stored))] == [None] * len(stored)
    assert unpack(stored + b"x") is None


def test_a_damaged_value_is_absent_but_for_its_body():
    packed = RESPONSE.pack()
    for place in range(len(packed) - len(RESPONSE.body)):
        for flip in range(1, 256):
            damaged = bytearray(packed)
            damaged[place] ^= flip
            assert unpack(bytes(damaged)) is None


@pytest.mark.parametrize("garbage", [None, 7, "text", b"", b"\0hr1", {"a": 1}, json.dumps({}).encode(), RESPONSE])
def test_anything_else_is_absent(garbage):
    assert unpack(garbage) is None
