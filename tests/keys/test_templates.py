"""Templates: what fields can say, with every example of the specification."""

import base64
import datetime as dt
import hashlib
import json
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import NamedTuple

import jwt
import pytest

from cashews.exceptions import WrongArgumentError, WrongKeyError
from cashews.keys.formatter import Formatter, Takes, TemplateFunction, default_formatter
from tests.keys.keys import compile_key


@dataclass
class User:
    uuid: str = "u-1"
    name: str = "Dmitry"
    index: str = "dwqsxx"
    tags: dict[str, str] = field(default_factory=lambda: {"team": "red"})


class Item(NamedTuple):
    price: Decimal
    currency: str


@pytest.fixture
def formatter():
    own = Formatter()
    own.functions.update(default_formatter.functions)
    return own


def key_of(template, value, **options):
    async def function(x): ...

    return compile_key(function, template, **options)(value)


def token(**payload):
    parts = [{"alg": "none"}, payload]
    return (
        ".".join([base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]) + ".sig"
    )


def test_a_parameter():
    async def get_info(user_id: str): ...

    assert compile_key(get_info, "user_info:{user_id}")("me") == "user_info:me"


def test_an_attribute():
    async def get_info(user: User): ...

    assert compile_key(get_info, "user_info:{user.uuid}")(User()) == "user_info:u-1"


def test_functions():
    async def get_info(user: User, password: str): ...

    key = compile_key(get_info, "user_info:{user.name:lower}:{password:hash(sha1)}")
    assert key(User(), "secret") == f"user_info:dmitry:{hashlib.sha1(b'secret', usedforsecurity=False).hexdigest()}"


@pytest.mark.parametrize("payload", [{"client_id": "7"}, {"client_id": 7, "x": "ÿ?>~"}, {"client_id": 7, "more": "yy"}])
def test_a_field_of_a_token(payload):
    """D53: real tokens are base64url without padding, whatever their length."""

    async def get_user_by_token(token: str): ...

    assert compile_key(get_user_by_token, "user:{token:jwt(client_id)}")(token(**payload)) == "user:7"


def test_an_own_function_with_an_argument(formatter):
    """D55: the arguments of a template are literals, so that 4 is a number."""

    @formatter.register("prefix")
    def _prefix(value, chars=3):
        return value[:chars].upper()

    async def get_user_servers(user): ...

    for template, expected in (("prefix(4)", "DWQS"), ("prefix", "DWQ"), ("prefix()", "DWQ")):
        key = compile_key(get_user_servers, f"servers-user:{{user.index:{template}}}", formatter=formatter)
        assert key(User()) == f"servers-user:{expected}"


def test_an_own_text_of_a_type(formatter):
    @formatter.type_format(Decimal)
    def _decimal(value: Decimal) -> str:
        return str(value.quantize(Decimal("0.00")))

    async def convert_price(item): ...

    item = Item(Decimal(10), "usd")
    key = compile_key(convert_price, "price-{item.price}:{item.currency:upper}", formatter=formatter)
    assert key(item) == "price-10.00:USD"


def test_an_own_text_holds_for_subclasses_and_for_keys_that_were_compiled_before(formatter):
    class Money(Decimal): ...

    async def pay(money): ...

    key = compile_key(pay, "{money}", formatter=formatter)
    assert key(Money("1.5")) == "1.5"
    formatter.type_format(Decimal)("about {0:.0f}".format)
    assert key(Money("1.6")) == key([Money("1.6")]) == "about 2"


def test_the_arguments_of_a_function_are_literals_and_quotes_are_optional(formatter):
    formatter.register("show", preformat=False)(lambda value, *arguments: repr((value, *arguments)))
    shown = key_of("{x:show(a b, 'c,d', \"e\", 1, -2.5, True, None, sha3-256)}", 0, formatter=formatter)
    assert shown == repr((0, "a b", "c,d", "e", 1, -2.5, True, None, "sha3-256"))


def test_a_function_is_given_the_text_unless_it_wants_the_value(formatter):
    formatter.register("kind")(lambda value: type(value).__name__)
    formatter.register("kind_of_value", preformat=False)(lambda value: type(value).__name__)
    assert key_of("{x:kind} {x:kind_of_value}", 5, formatter=formatter) == "str int"


@pytest.mark.parametrize(
    ("template", "value", "expected"),
    [
        ("{x:lower}", "AbC", "abc"),
        ("{x:upper}", b"AbC", "ABC"),
        ("{x:len}", "four", "4"),
        ("{x:len}", [10, 20], "5"),
        ("{x:hash}", "AbC", hashlib.md5(b"AbC", usedforsecurity=False).hexdigest()),
        ("{x:hash(sha256)}", 1, hashlib.sha256(b"1").hexdigest()),
        ("{x:get(a)}", {"a": 5}, "5"),
        ("{x:get(b, none)}", {"a": 5}, "none"),
        ("{x!r}", "AbC", "'AbC'"),
        ("{x!s}", None, "None"),
        ("{x!a}", "é", "'\\xe9'"),
        ("{x!r:upper}", "a", "'A'"),
        ("{x[0]}{x[1]}", ["a", "b"], "ab"),
        ("{x[name]}", {"name": "n"}, "n"),
        ("{x[0][a].real}", [{"a": 3}], "3"),
        ("{x:>5}|{x:.2f}", 1.5, "  1.5|1.50"),
        ("{x:%Y-%m}", dt.date(2024, 5, 6), "2024-05"),
        ("{{x}}:{x}", 1, "{x}:1"),
        ("{{{x}}}", 1, "{1}"),
        ("{x}{x}:{x:upper}", "a", "aa:A"),
        ('it\'s "{x}" \\ \n', "é", 'it\'s "é" \\ \n'),
        ("constant", 1, "constant"),
        ("", 1, ""),
    ],
)
def test_fields(template, value, expected):
    """D63, D64: format specifications are obeyed, and a field may be used twice or have an index."""
    assert key_of(template, value) == expected


def test_args_and_kwargs():
    async def function(a, *args, **kwargs): ...

    key = compile_key(function, "{__args__}-{__kwargs__}-{z}-{args[0]}-{kwargs}")
    assert key(1, 2, 3, z=1, b=2) == "2:3-b:2:z:1-1-2-b:2:z:1"


def test_a_colon_before_the_last_kwargs_is_theirs():
    async def function(a, **kwargs): ...

    assert compile_key(function, "{a}:{__kwargs__}")(1) == "1"
    assert compile_key(function, "{a}:{__kwargs__}:end")(1) == "1::end"
    assert compile_key(function, ":{__kwargs__}")(1) == ""


def test_a_name_that_is_an_attribute_in_spite_of_being_a_keyword():
    assert key_of("{x.class}{x.a²}", type("Row", (), {"class": "c", "a²": "d"})()) == "cd"


def test_the_annotation_of_kwargs_is_that_of_their_values():
    async def function(*args: User, **kwargs: User): ...

    key = compile_key(function, "{args[0].name}:{me.name}:{kwargs.__class__.__name__}")
    assert key(User(), me=User()) == "Dmitry:Dmitry:dict"


# --- nested fields, and values that are missing


def test_a_nested_field_is_an_argument_of_a_function(formatter):
    formatter.register("join")(lambda text, *more: "+".join([text, *map(str, more)]))

    async def function(a, b, c=3): ...

    key = compile_key(function, "{a:join({b})}-{a:join(x, {b.name}, 7, {c!r}, {c:>3})}", formatter=formatter)
    assert key("a", User()).startswith("a+") is True
    assert key("a", User()).endswith("-a+x+Dmitry+7+3+  3")
    assert compile_key(function, "{a:join({b})}", formatter=formatter)(1, [2, 3]) == "1+2:3"
    assert compile_key(function, "{a:get({b}, '{c}')}")({"x": 1}, "x") == "1"
    assert compile_key(function, "{a:get({b}, '{c}')}")({"x": 1}, "y") == "{c}"


def test_a_nested_field_is_escaped_in_strict_keys():
    async def function(a, b): ...

    key = compile_key(function, "{a:get({b})}", strict=True, in_use=True)
    assert key({"x:y": "1:2"}, "x:y") == "1%3A2"


@pytest.mark.parametrize(
    ("template", "call", "expected"),
    [
        ("{x:default(nobody)}", None, "nobody"),
        ("{x:default(nobody)}", "me", "me"),
        ("{x:default(nobody)}", "", ""),
        ("{x:default(nobody)}", [1, 2], "1:2"),
        ("{x.name:default('no one')}", User(), "Dmitry"),
        ("{x.nick.first:default('no one')}", User(), "no one"),
        ("{x[a]:default(none)}", {}, "none"),
        ("{x[a]:default(none)}", {"a": 1}, "1"),
        ("{x[3]:default(0)}", [1], "0"),
        ("{x[a]:default}", {}, ""),
        ("{@[nobody]:default(anonymous)}", 1, "anonymous"),
    ],
)
def test_a_default_stands_for_a_value_that_is_missing(template, call, expected):
    assert key_of(template, call) == expected


def test_a_default_stands_for_a_keyword_that_is_not_given():
    async def function(**kwargs): ...

    key = compile_key(function, "{lang:default(en)}")
    assert (key(), key(lang="de"), key(other=1)) == ("en", "de", "en")


def test_strict_keys_tell_a_default_from_a_value():
    assert key_of("{x:default(nobody)}", None, strict=True) != key_of("{x:default(nobody)}", "nobody", strict=True)
    assert key_of("{x:default(5)}", 5, strict=True) != key_of("{x:default(5)}", None, strict=True)


# --- tokens that are verified

SECRET = "a secret of sixty-four bytes" + "." * 36


def signed(secret=SECRET, algorithm="HS256", **payload):
    return jwt.encode(payload, secret, algorithm)


def test_a_token_is_verified_before_a_field_of_it_is_part_of_a_key(formatter):
    formatter.tokens.register("main", SECRET, ["HS256"])
    formatter.functions["jwt"] = TemplateFunction(formatter.tokens, Takes.TEXT, formatter.tokens.check)
    key = partial(key_of, "{x:jwt(sub, key=main)}", formatter=formatter)
    assert key(signed(sub="me")) == "me"
    assert key(signed(sub="me", aud="us", exp=2**40)) == "me"
    forged = [token(sub="me"), signed("x" * 64, sub="me"), signed(sub="me", exp=1), "x"]
    for one in [*forged, signed(algorithm="HS512", sub="me"), signed(su="me"), signed(sub="me")[:-2]]:
        with pytest.raises(WrongKeyError) as told:
            key(one)
        assert one not in str(told.value) or one == "x"
        assert SECRET not in str(told.value)


def test_the_key_of_a_token_has_a_name(formatter):
    with pytest.raises(WrongKeyError, match=r"no key 'main'.*register_jwt_key"):
        key_of("{x:jwt(sub, key=main)}", "")
    with pytest.raises(WrongArgumentError, match="algorithms"):
        formatter.register_jwt_key("main", SECRET, algorithms=["none"])
    with pytest.raises(WrongArgumentError, match="name"):
        formatter.register_jwt_key("not a name", SECRET, algorithms=["HS256"])
