"""The rules of a shared cache: each row is a response, and what section of which document says about it."""

import pytest

from cashews.contrib.http.conditions import UNSATISFIABLE, ByteRange, is_confirmed, not_modified, part_of
from cashews.contrib.http.directives import Directives
from cashews.contrib.http.fields import Fields
from cashews.contrib.http.policy import Rules, Times, freshened, groups_of, invalidates, plan
from cashews.contrib.http.record import Reuse, StoredResponse
from cashews.contrib.http.reuse import Use, serves_on_error, usable
from cashews.contrib.http.status import CacheStatus, Forward, item
from cashews.contrib.http.vary import encodings, languages, selection, vary_names

NOW = 1_800_000_000.0
AT_NOW = "Fri, 15 Jan 2027 08:00:00 GMT"
A_DAY_BEFORE = "Thu, 14 Jan 2027 08:00:00 GMT"
AN_HOUR_AFTER = "Fri, 15 Jan 2027 09:00:00 GMT"
TIMES = Times(NOW, NOW)
SAFE, LETTER = Rules(), Rules(safe=False, targets=("cdn-cache-control",))


def fields(**lines):
    return Fields([(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in lines.items()])


def planned(request=None, *, status=200, rules=SAFE, times=TIMES, **response):
    return plan(request or fields(), status, fields(**response), times, rules)


STORED = [
    # section, fields, status, lifetime
    ("9111 5.2.2.1", {"cache_control": "max-age=60"}, 200, 60),
    ("9111 5.2.2.10", {"cache_control": "max-age=1, s-maxage=60"}, 200, 60),
    ("9111 5.3", {"expires": AN_HOUR_AFTER, "date": AT_NOW}, 200, 3600),
    ("9111 5.3", {"expires": AN_HOUR_AFTER}, 200, 3600),
    ("9111 5.3", {"expires": "0", "etag": '"a"'}, 200, 0),
    ("9111 5.3", {"cache_control": "max-age=60", "expires": "0"}, 200, 60),
    ("9111 4.2.2", {"last_modified": A_DAY_BEFORE}, 200, 8640),
    ("9111 4.2.2", {"last_modified": "Thu, 01 Jan 1970 00:00:00 GMT"}, 200, 86_400),
    ("9111 4.2.2", {"last_modified": A_DAY_BEFORE, "cache_control": "public"}, 599, 8640),
    ("9111 4.2.2", {"last_modified": A_DAY_BEFORE}, 404, 8640),
    ("9111 3", {"cache_control": "max-age=60"}, 503, 60),
    ("9111 3", {"etag": '"a"'}, 200, 0),
    ("9111 5.2.2.3", {"cache_control": "no-store, must-understand, max-age=60"}, 200, 60),
    ("9111 5.2.2.7", {"cache_control": 'private="x", max-age=60'}, 200, 60),
    ("9213 2.2", {"cdn_cache_control": "max-age=60", "cache_control": "no-store"}, 200, 60),
    ("9213 2.2", {"cdn_cache_control": "max-age=60", "expires": "0"}, 200, 60),
    ("9111 7.3", {"set_cookie": "a=b", "cache_control": "public, max-age=60"}, 200, 60),
    ("9111 7.3", {"set_cookie": "a=b", "cache_control": 'no-cache="set-cookie", max-age=60'}, 200, 60),
]
NOT_STORED = [
    ("9111 3", {}, 200),
    ("9111 3", {"cache_control": "max-age=60"}, 206),
    ("9111 3", {"cache_control": "max-age=60"}, 304),
    ("9111 3", {"cache_control": "max-age=60"}, 100),
    ("9111 3", {"last_modified": A_DAY_BEFORE}, 403),
    ("9111 3", {"cache_control": "max-age=0"}, 200),
    ("9111 5.2.2.5", {"cache_control": "no-store, max-age=60"}, 200),
    ("9111 5.2.2.3", {"cache_control": "no-store, must-understand, max-age=60"}, 599),
    ("9111 5.2.2.7", {"cache_control": "private, max-age=60"}, 200),
    ("9111 4.1", {"cache_control": "max-age=60", "vary": "a, *"}, 200),
    ("9111 5.2.2.4", {"cache_control": "no-cache, max-age=60"}, 200),
    ("9111 7.3", {"set_cookie": "a=b", "cache_control": "max-age=60"}, 200),
    ("9213 2.2", {"cdn_cache_control": "no-store", "cache_control": "max-age=60"}, 200),
    ("no end", {"content_type": "Text/Event-Stream; charset=utf-8", "cache_control": "max-age=60"}, 200),
    ("a line in a line", {"cache_control": "max-age=60", "x": "a\nset-cookie: b"}, 200),
]


@pytest.mark.parametrize(("section", "response", "status", "lifetime"), STORED)
def test_a_response_is_stored(section, response, status, lifetime):
    rules = Rules(targets=("cdn-cache-control",))
    assert planned(status=status, rules=rules, **response).response.lifetime == pytest.approx(lifetime, rel=1e-3), (
        section
    )


@pytest.mark.parametrize(("section", "response", "status"), NOT_STORED)
def test_a_response_is_not_stored(section, response, status):
    assert planned(status=status, rules=Rules(targets=("cdn-cache-control",)), **response) is None, section


@pytest.mark.parametrize(
    ("directives", "stored"),
    [("max-age=60", False), ("max-age=60, public", True), ("s-maxage=60", True), ("max-age=60, must-revalidate", True)],
)
def test_a_response_to_an_authenticated_request_says_that_it_is_shared(directives, stored):
    """RFC 9111, 3.5."""
    assert (planned(fields(authorization="x"), cache_control=directives) is not None) is stored


def test_without_a_word_about_others_a_response_to_cookies_is_for_their_client():
    """RFC 9111, 7.3, in the safe profile alone."""
    request = fields(cookie="session=1")
    for rules, stored in ((SAFE, False), (LETTER, True)):
        assert (planned(request, rules=rules, etag='"a"') is not None) is stored
        assert (planned(request, rules=rules, last_modified=A_DAY_BEFORE) is not None) is stored
    assert planned(request, rules=Rules(default_ttl=60)) is None
    assert planned(request, cache_control="max-age=60") is not None


def test_a_default_lifetime_is_for_a_200_that_says_nothing():
    rules = Rules(default_ttl=60)
    assert planned(rules=rules).response.lifetime == 60
    assert planned(rules=rules, status=404) is None
    assert planned(rules=rules, cache_control="max-age=5").response.lifetime == 5
    assert planned(rules=rules, cache_control="no-transform") is None


def test_a_client_that_is_trusted_keeps_its_response_from_the_store():
    """RFC 9111, 5.2.1.5."""
    request = fields(cache_control="no-store")
    assert planned(request, cache_control="max-age=60") is not None
    assert planned(request, rules=Rules(trusting=True), cache_control="max-age=60") is None


@pytest.mark.parametrize(
    ("response", "asked", "age"),
    [
        ({}, NOW, 0),
        ({"date": AT_NOW}, NOW, 0),
        ({"date": A_DAY_BEFORE}, NOW, 86_400),
        ({"date": AN_HOUR_AFTER}, NOW, 0),
        ({"date": AT_NOW, "age": "30"}, NOW, 30),
        ({"date": AT_NOW, "age": "30, 90"}, NOW, 30),
        ({"date": AT_NOW, "age": "x"}, NOW, 0),
        ({"date": AT_NOW, "age": "30"}, NOW - 5, 35),
        ({"date": "x"}, NOW - 5, 5),
    ],
)
def test_the_age_of_a_response(response, asked, age):
    """RFC 9111, 4.2.3 and 5.1."""
    stored = planned(times=Times(asked, NOW), cache_control="max-age=100000", **response).response
    assert stored.age(NOW) == age
    assert stored.age(NOW + 7) == age + 7


def test_fields_of_the_connection_and_qualified_ones_are_left_out():
    """RFC 9111, 3.1, 5.2.2.4 and 5.2.2.7."""
    control = 'max-age=60, no-cache="a", private="b"'
    gone = {"connection": "close, c", "keep_alive": "x", "te": "x", "a": "1", "b": "1", "c": "1", "age": "0"}
    kept = planned(cache_control=control, x="1", **gone).response.pairs
    assert [name for name, _ in kept] == [b"cache-control", b"x"]


def test_the_field_for_this_cache_alone_goes_no_further():
    """RFC 9213, 2."""
    kept = planned(cache_control="no-store", cashews_cache_control="max-age=60").response
    assert [name for name, _ in kept.pairs] == [b"cache-control"]


@pytest.mark.parametrize(
    ("directives", "uses"),
    [
        # at 0, 59, 60, 61 and 75 seconds
        ("max-age=60", "serve serve validate validate validate"),
        ("max-age=60, stale-while-revalidate=10", "serve serve refresh refresh validate"),
        ("max-age=60, stale-while-revalidate=10, must-revalidate", "serve serve validate validate validate"),
        ("s-maxage=60, stale-while-revalidate=10", "serve serve validate validate validate"),
        ("max-age=60, stale-while-revalidate=10, no-cache", "validate validate validate validate validate"),
    ],
)
def test_a_response_is_fresh_then_stale(directives, uses):
    """RFC 9111, 4.2 and 4.2.4; RFC 5861, 3."""
    names = {"serve": Use.SERVE, "refresh": Use.SERVE_AND_REFRESH, "validate": Use.VALIDATE}
    stored = planned(cache_control=directives, etag='"a"').response
    assert [usable(stored, NOW + after) for after in (0, 59, 60, 61, 75)] == [names[use] for use in uses.split()]


@pytest.mark.parametrize(
    ("request_directives", "after", "use"),
    [
        ("no-cache", 0, Use.REQUESTED),
        ("max-age=5", 5, Use.SERVE),
        ("max-age=5", 6, Use.REQUESTED),
        ("min-fresh=10", 50, Use.SERVE),
        ("min-fresh=10", 51, Use.REQUESTED),
        ("max-stale", 1000, Use.SERVE),
        ("max-stale=10", 70, Use.SERVE),
        ("max-stale=10", 71, Use.VALIDATE),
        ("other", 0, Use.SERVE),
    ],
)
def test_a_client_that_is_obeyed(request_directives, after, use):
    """RFC 9111, 5.2.1."""
    stored = planned(cache_control="max-age=60", etag='"a"').response
    assert usable(stored, NOW + after, Directives.parse([request_directives])) is use


@pytest.mark.parametrize("directive", ["must-revalidate", "proxy-revalidate", "s-maxage=60", "no-cache"])
def test_nothing_stale_is_served_where_it_must_be_revalidated(directive):
    """RFC 9111, 4.2.4 and 5.2.2; RFC 5861, 4."""
    rules = Rules(while_stale=100.0, on_error=100.0)
    stored = planned(rules=rules, cache_control=f"{directive}, max-age=60, stale-if-error=100", etag='"a"').response
    assert not serves_on_error(stored, NOW + 61)
    assert usable(stored, NOW + 61) is Use.VALIDATE
    assert usable(stored, NOW + 61, Directives.parse(["max-stale"])) is Use.VALIDATE


def test_a_response_that_is_never_served_unasked_stands_in_for_no_failure():
    """RFC 9111, 5.2.2.4: not even as long as it would be fresh."""
    stored = planned(cache_control="no-cache, max-age=60, stale-if-error=100", etag='"a"').response
    assert not serves_on_error(stored, NOW)


def test_a_stale_response_stands_in_for_a_while():
    """RFC 5861, 4."""
    stored = planned(cache_control="max-age=60, stale-if-error=10").response
    assert [serves_on_error(stored, NOW + after) for after in (0, 69, 70)] == [True, True, False]


def test_a_response_purged_softly_is_served_once_more():
    stored = planned(cache_control="max-age=60").response.softened()
    assert usable(stored, NOW) is Use.SERVE_AND_REFRESH
    assert usable(planned(cache_control="max-age=60, must-revalidate").response.softened(), NOW) is Use.VALIDATE


def test_a_304_freshens_all_fields_but_those_of_the_content():
    """RFC 9111, 3.2 and 4.3.4."""
    stored = planned(cache_control="max-age=1", etag='"a"', content_length="3", x="old", y="kept").complete(b"abc")
    update = fields(cache_control="max-age=60", etag='"b"', content_length="9", x="new", connection="x2", x2="1")
    later = Times(NOW + 100, NOW + 100)
    response, kept = freshened(stored, fields(), update, later, SAFE)
    assert kept.complete(b"abc") == response
    read = response.fields()
    found = {name: read.get(name) for name in ("cache-control", "etag", "content-length", "x", "y", "x2")}
    assert list(found.values()) == ["max-age=60", '"a"', "3", "new", "kept", None]
    assert (response.lifetime, response.age(NOW + 101), response.body) == (60, 1, b"abc")


def test_a_304_without_a_date_leaves_no_old_date_standing():
    """RFC 9110, 6.6.1."""
    stored = planned(cache_control="max-age=60", date=A_DAY_BEFORE, etag='"a"').complete(b"")
    response, _ = freshened(stored, fields(), fields(), TIMES, SAFE)
    assert (response.fields().get("date"), response.age(NOW)) == (None, 0)


def test_a_304_with_a_cookie_is_for_its_client():
    """RFC 9111, 7.3."""
    stored = planned(cache_control="max-age=60", etag='"a"').complete(b"")
    response, kept = freshened(stored, fields(), fields(set_cookie="a=b"), TIMES, SAFE)
    assert kept is None
    assert response.fields().get("set-cookie") == "a=b"


@pytest.mark.parametrize(
    ("stored", "update", "confirmed"),
    [
        ({"etag": '"a"'}, {}, True),
        ({"etag": '"a"'}, {"etag": '"a"'}, True),
        ({"etag": '"a"'}, {"etag": '"b"'}, False),
        ({"etag": '"a"'}, {"etag": 'W/"a"'}, True),
        ({"etag": 'W/"a"'}, {"etag": '"a"'}, False),
        ({"last_modified": AT_NOW}, {"last_modified": A_DAY_BEFORE}, False),
        ({"last_modified": AT_NOW}, {"etag": '"a"'}, False),
    ],
)
def test_a_304_is_about_the_response_that_it_names(stored, update, confirmed):
    """RFC 9111, 4.3.4."""
    response = StoredResponse(200, fields(**stored).pairs, b"", NOW, 0)
    assert is_confirmed(response, fields(**update)) is confirmed


@pytest.mark.parametrize(
    ("request_fields", "response", "status", "matches"),
    [
        ({"if_none_match": '"a"'}, {"etag": '"a"'}, 200, True),
        ({"if_none_match": 'W/"a"'}, {"etag": '"a"'}, 200, True),
        ({"if_none_match": '"x", "a,b" , "a"'}, {"etag": '"a"'}, 200, True),
        ({"if_none_match": '"a,b"'}, {"etag": '"a"'}, 200, False),
        ({"if_none_match": "*"}, {}, 200, True),
        ({"if_none_match": '"a"'}, {"etag": '"a"'}, 404, False),
        ({"if_none_match": '"x"', "if_modified_since": AT_NOW}, {"etag": '"a"', "last_modified": AT_NOW}, 200, False),
        ({"if_modified_since": AT_NOW}, {"last_modified": AT_NOW}, 200, True),
        ({"if_modified_since": A_DAY_BEFORE}, {"last_modified": AT_NOW}, 200, False),
        ({"if_modified_since": AT_NOW}, {}, 200, False),
        ({}, {"etag": '"a"'}, 200, False),
    ],
)
def test_a_client_has_the_response_already(request_fields, response, status, matches):
    """RFC 9110, 13.1.2, 13.1.3 and 13.2.2."""
    assert not_modified(fields(**request_fields), status, fields(**response), NOW) is matches


@pytest.mark.parametrize(
    ("request_fields", "part"),
    [
        ({"range": "bytes=0-1"}, ByteRange(0, 1)),
        ({"range": "BYTES=2-"}, ByteRange(2, 9)),
        ({"range": "bytes=-3"}, ByteRange(7, 9)),
        ({"range": "bytes=-99"}, ByteRange(0, 9)),
        ({"range": "bytes=5-99"}, ByteRange(5, 9)),
        ({"range": "bytes=10-"}, UNSATISFIABLE),
        ({"range": "bytes=-0"}, UNSATISFIABLE),
        ({"range": "bytes=3-2"}, None),
        ({"range": "bytes=-"}, None),
        ({"range": "bytes=0-1,3-4"}, None),
        ({"range": "pages=1-2"}, None),
        ({"range": "bytes=0-1", "if_range": '"a"'}, ByteRange(0, 1)),
        ({"range": "bytes=0-1", "if_range": '"b"'}, None),
        ({"range": "bytes=0-1", "if_range": 'W/"a"'}, None),
        ({"range": "bytes=0-1", "if_range": A_DAY_BEFORE}, ByteRange(0, 1)),
        ({"range": "bytes=0-1", "if_range": AT_NOW}, None),
        ({}, None),
    ],
)
def test_a_part_of_a_stored_body(request_fields, part):
    """RFC 9110, 13.1.5 and 14.2."""
    response = fields(etag='"a"', last_modified=A_DAY_BEFORE, date=AT_NOW)
    assert part_of(fields(**request_fields), 200, response, 10, NOW) == part


def test_a_weak_tag_or_a_recent_date_allows_no_part():
    """RFC 9110, 13.1.5."""
    request = {"range": "bytes=0-1"}
    weak, recent = fields(etag='W/"a"'), fields(last_modified=AT_NOW, date=AT_NOW)
    assert part_of(fields(**request, if_range='W/"a"'), 200, weak, 10, NOW) is None
    assert part_of(fields(**request, if_range=AT_NOW), 200, recent, 10, NOW) is None


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("1, 2", " 1,2", True),
        ("1", "2", False),
        ("", None, False),
        (None, None, True),
        ('"1, 2"', '"1,2"', False),
    ],
)
def test_spaces_around_commas_select_nothing(one, other, alike):
    """RFC 9111, 4.1."""
    texts = [selection(["x"], Fields() if value is None else fields(x=value), {}) for value in (one, other)]
    assert (texts[0] == texts[1]) is alike


def test_languages_and_encodings_have_no_order_among_equals():
    """RFC 9110, 12.5.3 and 12.5.4."""
    assert languages("en, DE") == languages(" de ,en;q=1.0") != languages("en, de;q=0.5")
    assert encodings("gzip, br") == encodings("br,gzip") != encodings("gzip")
    assert languages(None) is None
    assert languages("en;x=1") == "en;x=1"


def test_the_names_in_vary():
    """RFC 9110, 12.5.5."""
    assert vary_names(fields(vary="B, a ,b")) == ("a", "b")
    assert vary_names(fields(vary="a, *")) is None
    assert vary_names(fields()) == ()


def test_a_normaliser_that_fails_leaves_the_text():
    def failing(text):
        raise ValueError(text)

    assert selection(["x"], fields(x="1"), {"x": failing}) == selection(["x"], fields(x="1"), {})


@pytest.mark.parametrize(
    ("method", "status", "invalid"),
    [("POST", 201, True), ("M-SEARCH", 302, True), ("POST", 404, False), ("OPTIONS", 200, False), ("GET", 200, False)],
)
def test_an_unsafe_method_that_succeeds_invalidates(method, status, invalid):
    """RFC 9111, 4.4."""
    assert invalidates(method, status) is invalid


def test_groups_are_strings_and_nothing_else():
    """RFC 9875, 2."""
    assert groups_of(fields(cache_groups='"a", "b c";x')) == ["a", "b c"]
    assert groups_of(fields(cache_groups='"a", b')) == ["a"]
    assert groups_of(fields(cache_groups='"a')) == []


def test_tags_are_words_or_a_list():
    response = planned(
        cache_control="max-age=60", cache_tag="a, b c", surrogate_key="d  e", cache_groups='"g"'
    ).response
    assert response.tags == ("a", "b c", "d", "e")


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (CacheStatus(hit=True, ttl=3.7), b"c; hit; ttl=3"),
        (CacheStatus(hit=True, ttl=-0.5), b"c; hit; ttl=-1"),
        (
            CacheStatus(forward=Forward.URI_MISS, forward_status=200, stored=True),
            b"c; fwd=uri-miss; fwd-status=200; stored",
        ),
        (CacheStatus(forward=Forward.STALE, collapsed=True), b"c; fwd=stale; collapsed"),
        (CacheStatus(key='a"é', detail="x y"), b'c; key="a\\"?"; detail="x y"'),
    ],
)
def test_the_account_of_a_cache(status, text):
    """RFC 9211, 2."""
    assert status.member(item("c")) == text


def test_limits_of_reuse_are_kept_with_the_response():
    stored = planned(cache_control="no-cache", etag='"a"').response
    assert stored.reuse == Reuse.VALIDATED | Reuse.NEVER_STALE
