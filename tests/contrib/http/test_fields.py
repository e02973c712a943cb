"""Fields, dates, directives and structured fields, each by the section that says so."""

import http_sf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cashews.contrib.http.dates import parse_date
from cashews.contrib.http.directives import Directives, asked, control_of
from cashews.contrib.http.fields import Fields, delta_seconds, split_list, unquoted
from cashews.contrib.http.structured import Group, Token, parse_dictionary, parse_list, written

NOW = 1_800_000_000.0
"""In January 2027."""
MOMENT = 784_111_777.0


def fields(**lines):
    return Fields([(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in lines.items()])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", MOMENT),
        ("Sunday, 06-Nov-94 08:49:37 GMT", MOMENT),
        ("Sun Nov  6 08:49:37 1994", MOMENT),
        ("Sun Nov 06 08:49:37 1994", MOMENT),
        ("sUN, 06 nOV 1994 08:49:37 gmt", MOMENT),
        ("Sun, 06 Nov 1994 08:49:60 GMT", MOMENT + 23),
        ("Thursday, 18-Aug-50 02:01:18 GMT", 2_544_400_878.0),
        ("Sun, 06 Nov 1994 08:49:37 UTC", None),
        ("Sun, 06 Nov 94 08:49:37 GMT", None),
        ("Sun 06 Nov 1994 08:49:37 GMT", None),
        ("Sun, 06  Nov  1994 08:49:37 GMT", None),
        ("Sun, 06-Nov-1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 1994 8:49:37 GMT", None),
        ("Sun, 06 Nov 1994 08.49.37 GMT", None),
        ("Sun, 31 Feb 1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 1994 25:49:37 GMT", None),
        ("Sun, ٠٦ Nov 1994 08:49:37 GMT", None),
        (" Sun, 06 Nov 1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 1994 08:49:37 GMT\n", None),
        ("0", None),
        ("", None),
    ],
)
def test_dates_are_read_strictly(text, seconds):
    """RFC 9110, 5.6.7."""
    assert parse_date(text, NOW) == seconds


@pytest.mark.parametrize(
    ("text", "members"),
    [
        ("a, b", ["a", "b"]),
        (" , a ,,b,", ["a", "b"]),
        ('a="x, y", b', ['a="x, y"', "b"]),
        (r'a="x\", y", b', [r'a="x\", y"', "b"]),
        ('a="x, y', ['a="x, y']),
        ("", []),
    ],
)
def test_commas_in_quoted_strings_separate_nothing(text, members):
    """RFC 9110, 5.6.1 and 5.6.4."""
    assert split_list(text) == members


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("003600", 3600), (str(2**31), 2**31), ("9" * 60_000, 2**31), ("0" * 60_000 + "7", 7)]
    + [(text, None) for text in ("", "-1", "1.0", "+1", "1 ", "\u0661", "'1'")],
)
def test_seconds_are_digits_up_to_a_bound(text, seconds):
    """RFC 9111, 1.2.2."""
    assert delta_seconds(text) == seconds


def test_lines_of_one_name_are_one_list_and_names_have_no_case():
    """RFC 9110, 5.1 and 5.3."""
    read = Fields([(b"Cache-Control", b"max-age=1"), (b"cache-control", b"public")])
    assert read.get("cache-control") == "max-age=1, public"
    assert read.members("cache-control") == ["max-age=1", "public"]
    assert read.get("vary") is None


def test_a_quoted_string_is_unescaped():
    """RFC 9110, 5.6.4."""
    assert [unquoted(text) for text in (r'"a\"b"', "a", '"', '""')] == ['a"b', "a", '"', ""]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("max-age=5", 5),
        ('MAX-AGE="5"', 5),
        ("max-age=5, max-age=9", 5),
        ("max-age", 0),
        ("max-age=-5", 0),
        ("max-age=x", 0),
        ('x="max-age=9", max-age=5', 5),
        ("s-maxage=5", None),
    ],
)
def test_of_duplicate_directives_the_first_counts_and_an_unreadable_one_means_stale(text, seconds):
    """RFC 9111, 4.2.1 and 5.2."""
    assert Directives.parse([text]).seconds("max-age") == seconds


def test_a_qualified_directive_is_about_fields():
    """RFC 9111, 5.2.2.4 and 5.2.2.7."""
    read = Directives.parse(['no-cache="Set-Cookie, X", private'])
    assert (read.plain("no-cache"), read.fields("no-cache")) == (False, ["set-cookie", "x"])
    assert (read.plain("private"), read.fields("private")) == (True, [])


def test_pragma_counts_where_there_is_no_cache_control():
    """RFC 9111, 5.4."""
    assert "no-cache" in asked(fields(pragma="x, No-Cache"))
    assert "no-cache" not in asked(fields(pragma="no-cache", cache_control="max-age=1"))


@pytest.mark.parametrize(
    ("text", "targeted"),
    [
        ("max-age=7", True),
        ("foobar, max-age=7;x=1", True),
        ("max-age=7, &&&&&", False),
        ('max-age="7"', False),
        ("max-age=7.0", False),
        ("MAX-AGE=7", False),
        ("", False),
    ],
)
def test_a_targeted_field_counts_alone_if_it_is_valid(text, targeted):
    """RFC 9213, 2.1 and 2.2."""
    response = fields(cdn_cache_control=text, cache_control="max-age=1, no-store")
    control, is_targeted = control_of(response, ["cashews-cache-control", "cdn-cache-control"])
    assert (is_targeted, control.seconds("max-age")) == ((True, 7) if targeted else (False, 1))
    assert ("no-store" in control) is not targeted


def test_structured_fields_have_their_types():
    """RFC 9651, 3."""
    text = 'a, b;q=1, "c\\"d", 1, -2.5, ?0, :aGk=:, (x "y";p z), @12, %"f%c3%bc"'
    assert parse_list(text) == [Token("a"), Token("b"), 'c"d', 1, -2.5, False, b"hi", Group(("x", "y", "z")), 12, "fü"]
    assert type(parse_list("a")[0]) is Token
    assert parse_dictionary("a=1, b;x, c=(), a=2") == {"a": 2, "b": True, "c": ()}


TEXTS = st.text(st.sampled_from('ab*1-.,;=?01()"\\:@%A/ \t'), max_size=24)


@given(TEXTS)
def test_the_same_texts_are_structured_lists_as_elsewhere(text):
    try:
        expected = len(http_sf.parse(text.encode(), tltype="list"))
    except http_sf.StructuredFieldError:
        expected = None
    found = parse_list(text)
    assert (None if found is None else len(found)) == expected


@given(TEXTS)
def test_the_same_texts_are_structured_dictionaries_as_elsewhere(text):
    try:
        expected = set(http_sf.parse(text.encode(), tltype="dictionary"))
    except http_sf.StructuredFieldError:
        expected = None
    found = parse_dictionary(text)
    assert (None if found is None else set(found)) == expected


@given(st.text())
def test_any_text_can_be_written_as_a_string(text):
    (read,) = parse_list(written(text))
    assert len(read) == len(text)
