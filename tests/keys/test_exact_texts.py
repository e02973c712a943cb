"""Exact texts: values of any type are told apart, or are no part of a key (guarantee 5)."""

import dataclasses
import gc
import itertools
import random
import threading
import weakref
from collections import defaultdict

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cashews.exceptions import NoKeyError, UnstableKeyError, WrongKeyError
from cashews.keys.formatter import Formatter, default_formatter
from tests.keys.keys import compile_key
from tests.keys.samples import DIFFERENT, Colour, Further, Masked, Plain, Tenant, Told


async def two(x, y=None): ...


@dataclasses.dataclass
class Holder:
    held: object


@dataclasses.dataclass
class Dice(random.Random):
    """A record with the state of a type in C beneath it."""

    seed: int

    def __post_init__(self):
        super().seed(self.seed)


class Textless:
    pass


class Textual:
    def __init__(self, text):
        self.text = text

    def __str__(self):
        return self.text


class Proxy:
    """An object that says that it is of another class."""

    def __init__(self, value):
        object.__setattr__(self, "_value", value)

    @property
    def __class__(self):
        return type(self._value)


class Liar:
    @property
    def __class__(self):
        raise RuntimeError


class Unhashable(type):
    def __eq__(cls, other):
        return NotImplemented

    __hash__ = None


class Odd(metaclass=Unhashable):
    pass


class Failing:
    def __str__(self):
        raise ZeroDivisionError


class Hashed:
    def __str__(self):
        return f"number {hash(self)}"


class Array:
    """An object whose text is short, since it is an array."""

    def __array__(self):
        raise NotImplementedError

    def __repr__(self):
        return "[0 ... 1]"


def nested(depth=5000):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def circular():
    value = []
    value.append(value)
    return value


NO_KEY = [
    *(Textless(), object(), lambda: None, Textless().__init__, (i for i in ()), threading.Lock(), iter([1])),
    *(
        [Textless()],
        {1: Textless()},
        Holder(Textless()),
        Holder([Textless()]),
        Holder(defaultdict(lambda: 1)),
        Proxy(Textless()),
    ),
    *(Textual(str(Textless())), Hashed(), Array(), Holder(Array()), Odd(), Failing(), Liar()),
    *(nested(), circular(), Holder(Failing()), pydantic.RootModel[object](Textless())),
]


def test_values_that_are_told_apart():
    texts = [(default_formatter.strict_text(value), value) for value in DIFFERENT]
    assert len(texts) > 190
    same = [(one, other) for (text, one), (again, other) in itertools.combinations(texts, 2) if text == again]
    assert not same


def test_calls_that_are_told_apart():
    """Every two calls with one different argument, as positional and as keyword arguments."""
    key = compile_key(two, strict=True)
    keys = {key(value) for value in DIFFERENT} | {key(None, y=value) for value in DIFFERENT}
    assert len(keys) == 2 * len(DIFFERENT) - 1


def test_records_and_secrets_are_told_apart_in_ordinary_keys_too():
    records = [one for one in DIFFERENT if hasattr(type(one), "__dataclass_fields__") and type(one) is not Told]
    hidden = [*records, *(one for one in DIFFERENT if isinstance(one, (pydantic.BaseModel, pydantic.SecretStr)))]
    assert len({default_formatter.text(one) for one in hidden}) == len(hidden) > 20


def test_a_secret_stands_in_no_key():
    value = [
        pydantic.SecretStr("hunter2"),
        Plain(pydantic.SecretStr("hunter2")),
        {"a": pydantic.SecretBytes(b"hunter2")},
    ]
    for form in (default_formatter.text, default_formatter.strict_text):
        assert "hunter2" not in form(value)
        assert "*" not in form(value)


def test_the_digest_of_a_secret_depends_on_the_key_of_digests():
    mine, yours = Formatter(), Formatter()
    yours.set_digest_key(b"k" * 64)
    assert mine.text(pydantic.SecretStr("a")) != yours.text(pydantic.SecretStr("a"))


def test_a_text_that_a_user_wrote_for_a_record_is_its_ordinary_text():
    assert default_formatter.text(Told(1, 2)) == "told 1"
    assert default_formatter.strict_text(Told(1, 2)) != default_formatter.strict_text(Told(1, 3))


def test_a_property_that_was_worked_out_changes_no_key():
    value = Further(1)
    before = default_formatter.strict_text(value)
    assert value.derived
    assert default_formatter.strict_text(value) == before


@pytest.mark.parametrize("number", range(len(NO_KEY)))  # pytest would look at the values themselves
def test_a_value_without_an_identity_is_refused(number):
    value = NO_KEY[number]
    for strict, error in ((False, NoKeyError), (True, WrongKeyError)):
        key = compile_key(two, in_use=True, strict=strict)
        for call in (lambda key=key: key(value), lambda key=key: key(1, y=value)):
            with pytest.raises(error) as told:
                call()
            assert "tests.keys.test_exact_texts.two" in str(told.value)


@pytest.mark.parametrize("template", ["{x!r}", "{x:>90}", "{x:lower}", "{x:hash}", "{x:hash(sha1)}", "{y:prefix({x})}"])
@pytest.mark.parametrize("strict", [False, True])
def test_an_address_comes_into_no_key_through_a_template(template, strict):
    formatter = Formatter()
    formatter.functions.update(default_formatter.functions)
    formatter.register("prefix")(lambda text, more: text + more)
    key = compile_key(two, template, in_use=True, strict=strict, formatter=formatter, answers=False)
    assert key("abc", "d")
    with pytest.raises(WrongKeyError):
        key(Textual(f"<Textual at {id(two):#x}>"), "d")


def test_strict_keys_refuse_a_text_that_nobody_vouches_for():
    with pytest.raises(UnstableKeyError, match="may be that of other values"):
        compile_key(two, strict=True)(Textual("same"))
    assert compile_key(two, in_use=True)(Textual("same")).endswith(":x:same:y:")


def test_strict_keys_refuse_a_record_that_holds_more_than_its_fields():
    for value in (Dice(1), Dice(2), OSError(2, "no", "file")):
        with pytest.raises(UnstableKeyError):
            compile_key(two, strict=True)(value)


def test_an_address_that_a_user_wrote_is_text():
    for text in ("crash at 0x7f2b4c0d1e20", "140234567890123", "deadbeef", "<b>bold</b>"):
        assert compile_key(two, "{x}", in_use=True)(Textual(text)) == text


@given(st.text(alphabet="0123456789abcdefx <>-at", max_size=30))
def test_a_text_without_brackets_is_never_taken_for_an_address(text):
    if "<" not in text:
        assert compile_key(two, "{x}", in_use=True)(Textual(text)) == text


SHAPES = st.recursive(
    st.just("{}"),
    lambda inner: st.sampled_from(["<X at {}>", "({},)", "X({})", "a {} b", "{}"]).flatmap(
        lambda outer: inner.map(lambda shape: outer.replace("{}", shape))
    ),
)


@given(SHAPES, st.sampled_from(["{:#x}", "{:x}", "{:X}", "{}"]))
def test_the_address_of_an_object_at_hand_is_found_in_any_text(shape, number):
    held = Textless()
    for value, address in ((Textual(""), None), (Textual(""), held)):
        value.held = [held]
        value.text = shape.replace("{}", number.format(id(value if address is None else address)))
        with pytest.raises(NoKeyError, match="memory address"):
            compile_key(two, in_use=True)(value)


def test_the_error_of_a_refused_key_quotes_no_argument():
    class Quoting:
        def __str__(self):
            raise ValueError("hunter2")

    with pytest.raises(NoKeyError) as told:
        compile_key(two, in_use=True)(Quoting())
    assert "hunter2" not in str(told.value)
    formatter = Formatter()
    formatter.register("checked")(int)
    with pytest.raises(NoKeyError, match=r"field \{x:checked\}: ValueError") as told:
        compile_key(two, "{x:checked}", in_use=True, formatter=formatter)("hunter2")
    assert "hunter2" not in str(told.value)


# --- classes


def made(name="Made", **fields):
    kind = type(name, (), {"__slots__": (), "__module__": __name__, "__str__": lambda _: "made", **fields})
    return dataclasses.dataclass(kind)


def test_classes_that_are_made_at_run_time_end_with_their_users():
    formatter = Formatter()
    kinds = []
    for number in range(100):
        kind = made(f"Made{number}")
        for form in (formatter.plain_text, formatter.strict_text):
            form([kind(), kind, {kind: 1}])
        kinds.append(weakref.ref(kind))
    del kind
    gc.collect()
    assert [one() for one in kinds] == [None] * 100
    assert not any(one.__module__ == __name__ for one in formatter.strict_text.by_type)


def test_two_classes_of_one_name_are_not_taken_for_each_other():
    first, second = made(), made()
    assert default_formatter.strict_text(first()) == default_formatter.strict_text(first())
    for value in (second(), second, [second]):
        with pytest.raises(UnstableKeyError, match="name of another class"):
            default_formatter.strict_text(value)
    with pytest.raises(UnstableKeyError):
        default_formatter.plain_text(second)


def test_subclasses_of_plain_types_are_told_from_them_in_strict_keys():
    assert default_formatter.strict_text(Masked("a")).endswith("Masked(a)")
    assert default_formatter.strict_text(Tenant("a", "eu")).endswith("Tenant(a(region=eu))")
    assert default_formatter.strict_text(Colour.RED).endswith("Colour(RED)")
