"""Values of many types, each different from all others, with types that make, mask or lack a text."""

import array
import dataclasses
import datetime as dt
import enum
import functools
import ipaddress
import pathlib
import re
import types
import typing
import uuid
from collections import ChainMap, Counter, OrderedDict, UserDict, UserList, UserString, defaultdict, deque
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

import attrs
import msgspec
import pydantic


@dataclasses.dataclass
class Plain:
    x: object
    y: object = dataclasses.field(default=None, repr=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    x: object
    y: object = None


@dataclasses.dataclass
class Told:
    """A dataclass with a text of its own, which shows one of two fields."""

    x: object
    y: object = None

    def __str__(self):
        return f"told {self.x}"


@dataclasses.dataclass
class Further(Plain):
    def __post_init__(self):
        self.more = self.y

    @functools.cached_property
    def derived(self):
        return object()


@attrs.define
class Defined:
    x: object
    y: object = attrs.field(default=None, repr=False)


@attrs.define(slots=False)
class Open:
    x: object
    y: object = attrs.field(default=None, repr=lambda _: "***")


class Model(pydantic.BaseModel):
    x: object
    y: object = pydantic.Field(default=None, repr=False)


class Extra(pydantic.BaseModel, extra="allow"):
    x: object
    _hidden: object = pydantic.PrivateAttr(default=None)


class Login(pydantic.BaseModel):
    user: str
    password: pydantic.SecretStr


class Struct(msgspec.Struct):
    x: object
    y: object = None


class Pair(typing.NamedTuple):
    x: object
    y: object = None


class Other(typing.NamedTuple):
    x: object
    y: object = None


class Colour(enum.Enum):
    RED = 1
    BLUE = 2

    def __str__(self):
        return "a colour"


class Text(str, enum.Enum):
    RED = "red"
    BLUE = "blue"


class Number(enum.IntEnum):
    ONE = 1
    TWO = 2


class Bits(enum.Flag):
    A = 1
    B = 2


class Masked(str):
    """A text that masks itself."""

    __slots__ = ()

    def __str__(self):
        return "***"

    __repr__ = __str__


class Tenant(str):  # noqa: SLOT000  it has attributes
    """A text with an attribute."""

    def __new__(cls, text, region=None):
        tenant = super().__new__(cls, text)
        tenant.region = region
        return tenant


class Bag(list):
    """A list with a slot."""

    __slots__ = ("label",)

    def __init__(self, items, label=None):
        super().__init__(items)
        if label is not None:
            self.label = label


class Shelf(dict):
    """A mapping that hides what it holds."""

    def __iter__(self):
        return iter(())

    def items(self):
        return ()


def moment(hour=3, fold=0, zone=None):
    return dt.datetime(2020, 10, 25, hour, fold=fold, tzinfo=zone)


def extra(x, hidden=None, **more):
    model = Extra(x=x, **more)
    model._hidden = hidden
    return model


DIFFERENT = [
    # --- scalars
    *(None, ..., NotImplemented, True, False, 0, 1, -1, 2**70, 0.0, -0.0, 1.0, 0.1, 0.1 + 2**-55, float("inf")),
    *(1j, complex(-0.0, 1), "", "1", "True", "None", "str()", "int(1)", "1:2", "%2A", "*", "é", "\udcc3"),
    *(b"", b"1", b"\xff\x00", bytearray(b"1"), Decimal(1), Decimal("1.0"), Fraction(1, 3), Fraction(1, 2), range(3)),
    *(range(0, 3, 2), slice(1), slice(1, 2), slice(0, 1), uuid.UUID(int=1), uuid.UUID(int=2)),
    *(pathlib.PurePosixPath("a"), pathlib.PurePosixPath("a/b"), pathlib.PureWindowsPath("a"), pathlib.Path("a")),
    *(ipaddress.ip_address("10.0.0.1"), ipaddress.ip_interface("10.0.0.1/8"), ipaddress.ip_network("10.0.0.0/8")),
    *(ipaddress.ip_address("::1"), ipaddress.ip_network("::/8"), "10.0.0.1"),
    *(re.compile("a" * 300 + "b"), re.compile("a" * 300 + "c"), re.compile("a"), re.compile("a", re.IGNORECASE)),
    *(int, str, list, Plain, Slotted, Colour, dt.datetime, "<class 'int'>"),
    # --- time
    *(dt.date(2020, 1, 1), dt.date(2020, 1, 2), dt.time(1), dt.time(1, fold=1), dt.time(1, tzinfo=dt.timezone.utc)),
    *(moment(), moment(fold=1), moment(zone=dt.timezone.utc), moment(zone=ZoneInfo("UTC")), moment(hour=4)),
    *(moment(zone=ZoneInfo("Europe/Paris")), moment(zone=ZoneInfo("Europe/Berlin"))),
    *(moment(zone=ZoneInfo("Europe/Berlin"), fold=1), dt.timedelta(1), dt.timedelta(0, 1), dt.timedelta(0, 0, 1)),
    *(dt.timezone.utc, dt.timezone(dt.timedelta(0), "X"), ZoneInfo("UTC"), ZoneInfo("Europe/Berlin")),
    # --- containers
    *([], (), {}, set(), frozenset(), [[]], [()], ([],), [1, 2], [2, 1], (1, 2), {1, 2}, frozenset({1, 2}), [12]),
    *({1: 2}, {2: 1}, {"a": {"b": 1}}, {"a": "b=1"}, {"a=b": 1}, {1: "1"}, {"1": 1}, OrderedDict(a=1), {"a": 1}),
    *(OrderedDict(a=1, b=2), OrderedDict(b=2, a=1), {"a": 1, "b": 2}, Counter("ab"), Counter("aab"), [None], [""]),
    *(defaultdict(list, a=1), defaultdict(int, a=1), defaultdict(None, a=1), deque([1]), deque([1], 5), deque([1, 2])),
    *(deque([pydantic.SecretStr("a")]), deque([pydantic.SecretStr("b")]), types.MappingProxyType({1: 2})),
    *(ChainMap({1: 2}), ChainMap({1: 2}, {}), UserDict(a=1), UserDict(a=2), UserList([1]), UserString("a")),
    *(types.SimpleNamespace(a=1), types.SimpleNamespace(a=2), array.array("i", [1]), array.array("h", [1, 0])),
    *(array.array("i", [2]), memoryview(b"ab"), memoryview(b"ac"), memoryview(b"abcd").cast("h")),
    # --- records
    *(Plain(1), Plain("1"), Plain(1, 2), Plain(1, pydantic.SecretStr("a")), Plain(1, pydantic.SecretStr("b"))),
    *(Plain([Plain(1)]), Plain(Slotted(1)), Slotted(1), Slotted(2), Slotted(1, 2), Told(1), Told(1, 2), Told("1")),
    *(Further(1), Further(1, 2), Defined(1), Defined(1, 2), Defined("1"), Open(1), Open(1, "a"), Open(1, "b")),
    *(Model(x=1), Model(x="1"), Model(x=1, y=2), Model(x=1, y=None), Model(x=Plain(1)), extra(1), extra(1, z=1)),
    *(extra(1, "a"), extra(1, "b"), Struct(1), Struct(1, 2), Struct("1"), Pair(1), Pair(1, 2), Other(1), Pair("1")),
    *(Login(user="me", password="right"), Login(user="me", password="wrong")),
    # --- secrets, enums, and types that show a part of themselves
    *(pydantic.SecretStr("a"), pydantic.SecretStr("b"), pydantic.SecretBytes(b"a"), pydantic.SecretBytes(b"b")),
    *(pydantic.Secret[int](1), pydantic.Secret[int](2), "**********", [pydantic.SecretStr("a")]),
    *(Colour.RED, Colour.BLUE, Text.RED, Text.BLUE, "red", Number.ONE, Number.TWO, Bits.A, Bits.B, Bits.A | Bits.B),
    *(Bits(0), Masked("a"), Masked("b"), "***", Tenant("a"), Tenant("a", "eu"), Tenant("a", "us"), Bag([1])),
    *(Bag([1], "x"), Bag([1], "y"), Bag([2]), Shelf(a=1), Shelf(a=2), Shelf()),
]
