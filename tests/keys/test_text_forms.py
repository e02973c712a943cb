"""The text of values in ordinary keys."""

import asyncio
import datetime as dt
import enum
import subprocess
import sys
import warnings
from collections import OrderedDict
from decimal import Decimal

import pytest

from cashews.exceptions import UnstableKeyWarning
from cashews.keys.formatter import Formatter


class Plain(enum.Enum):
    A = 1


class Textual(str, enum.Enum):
    A = "x"


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ""),
        (True, "true"),
        (False, "false"),
        (5, "5"),
        (1.5, "1.5"),
        ("AbC", "AbC"),
        (Text("t"), "t"),
        (b"zz", "zz"),
        (b"\xff\x00", "ff00"),
        (bytearray(b"zz"), "zz"),
        ((1, [2, (3,)]), "1:2:3"),
        ([], ""),
        ([None, 1], ":1"),
        ({"a": 1, "B": {"c": 2}}, "B:c:2:a:1"),
        (OrderedDict(b=1, a=2), "a:2:b:1"),
        ({1: "x", "b": 2, None: 3}, ":3:1:x:b:2"),
        ({3, 1, 20}, "1:20:3"),
        (frozenset("cab"), "a:b:c"),
        (Plain.A, "Plain.A"),
        (Textual.A, str(Textual.A)),
        (Decimal("1.50"), "1.50"),
        (dt.datetime(2020, 1, 1, 3), "2020-01-01 03:00:00"),  # noqa: DTZ001  a naive one has a text, too
        (range(3), "range(0, 3)"),
        (int, "<class 'int'>"),
        (ValueError("x"), "x"),
    ],
)
def test_the_text_of_values(value, expected):
    assert Formatter().text(value) == expected


def test_a_set_has_the_same_text_in_every_process():
    """D63: the order of a set depends on the process."""
    program = "from cashews.keys.formatter import Formatter; print(Formatter().text({'a', 'b', ('c', 'd'), 'e'}))"
    texts = [
        subprocess.check_output([sys.executable, "-c", program], env={"PYTHONHASHSEED": seed, "PYTHONPATH": "."})
        for seed in "12"
    ]
    assert texts == [b"a:b:c:d:e\n"] * 2


def test_a_text_function_is_found_once_per_type_and_again_after_a_registration():
    formatter = Formatter()
    assert formatter.text(5) == "5"
    assert int in formatter.text.by_type
    formatter.type_format(int)(hex)
    assert int not in formatter.text.by_type
    assert formatter.text(5) == "0x5"
    assert formatter.text(True) == "true"  # the nearest class wins


class Address:
    pass


class Quoting:
    def __init__(self, text):
        self.text = text

    def __repr__(self):
        return self.text


class Telling:
    def __repr__(self):
        return f"<telling {id(self):#x}>"


@pytest.mark.parametrize(
    "value", [Address(), object(), Telling(), (i for i in ()), [Address()].copy, Address().__init__]
)
def test_a_memory_address_warns_once_per_type(value):
    formatter = Formatter()
    with pytest.warns(UnstableKeyWarning):
        formatter.text([value])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        formatter.text(value)


def test_a_lock_warns():
    with pytest.warns(UnstableKeyWarning, match=r"asyncio\.locks\.Lock"):
        Formatter().text(asyncio.Lock())


def test_an_address_that_somebody_wrote_is_text():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Formatter().text(Quoting("crash at 0xdeadbeef")) == "crash at 0xdeadbeef"


def test_a_registered_text_says_what_an_address_would_not():
    formatter = Formatter()
    formatter.type_format(Address)(lambda _: "home")
    assert formatter.text(Address()) == "home"
