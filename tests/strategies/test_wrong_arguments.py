"""What a decorator is told wrongly is one error, at decoration, that names the argument and what is allowed."""

import inspect
import math
from datetime import timedelta
from enum import IntEnum

import pytest

from cashews import Cache
from cashews.exceptions import CacheError, NotAsyncError, UnknownArgumentError, WrongArgumentError

FACES = ["__call__", "early", "soft", "hit", "dynamic", "failover"]


@pytest.mark.parametrize("face", FACES)
def test_a_keyword_that_is_not_known_is_an_error_that_names_it(face):
    more = {"cache_hits": 3} if face == "hit" else {}
    with pytest.raises(UnknownArgumentError, match="'jiter'"):
        getattr(Cache(), face)(ttl=10, jiter=0.1, **more)


@pytest.mark.parametrize("face", FACES)
def test_help_shows_the_options_that_all_caching_decorators_take(face):
    common = {"tags", "upper", "lock", "protected", "jitter", "soft_timeout", "hard_timeout"}
    parameters = inspect.signature(getattr(Cache, face)).parameters
    assert {name for name in common if parameters[name].kind is inspect.Parameter.KEYWORD_ONLY} == common
    assert [parameters[name].default for name in sorted(common)] == [None, 0.0, False, True, None, (), False]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"ttl": "1h30"}, "ttl is '1h30'"),
        ({"ttl": True}, "ttl is True"),
        ({"ttl": 1, "jitter": 2}, "jitter is 2"),
        ({"ttl": 1, "condition": "none"}, "condition is 'none'.*'not_none'"),
        ({"ttl": 1, "condition": 3}, "condition is 3"),
        ({"ttl": 1, "time_condition": "soon"}, "time_condition is 'soon'"),
        ({"ttl": 1, "hard_timeout": "soon"}, "hard_timeout is 'soon'"),
        ({"ttl": 1, "lock": "soon"}, "lock is 'soon'"),
    ],
)
def test_a_wrong_value_is_an_error_that_names_the_argument(wrong, named):
    with pytest.raises(CacheError, match=named):
        Cache()(**wrong)


NO_INTEGER = [1.5, True, "a", "1", [1], math.nan, math.inf]
NO_NUMBER = [True, "x", [1], math.nan, math.inf, 10**400, -1]
NO_TEXT = [1, b"k", ["k"], True]
NO_CONDITION = [[], 3, {}, b"not_none", "none", True]
NO_ERRORS = [3, int, "ab", [ValueError, 3], BaseException, KeyboardInterrupt, True]
NO_LENGTH = [0, -1, "0s", -0.5, timedelta(0)]
LONGER = [3_600.5, "2h", timedelta(hours=1, milliseconds=1)]
NO_FLAG = [None, 0, 1, "", "no", "true", [], object()]
NO_DURATION = ["soon", True, [], math.nan, math.inf]

CACHING = {
    "simple": lambda cache, **more: cache(1, **more),
    "early": lambda cache, **more: cache.early(1, **more),
    "soft": lambda cache, **more: cache.soft(1, **more),
    "hit": lambda cache, **more: cache.hit(1, 3, **more),
    "dynamic": lambda cache, **more: cache.dynamic(1, **more),
    "failover": lambda cache, **more: cache.failover(1, **more),
}

COMMON = {
    "key": NO_TEXT,
    "prefix": [*NO_TEXT, None],
    "condition": NO_CONDITION,
    "jitter": [*NO_NUMBER, 1.1, None],
    "lock": [*NO_LENGTH, "soon", [], math.nan],
    "soft_timeout": [-1, -0.5, *NO_DURATION],
    "hard_timeout": [*NO_LENGTH, *NO_DURATION],
    "time_condition": [-1, *NO_DURATION],
    "upper": NO_FLAG,
    "protected": NO_FLAG,
}

OWN = {
    "early beta": ("beta", [*NO_NUMBER, None], lambda cache, wrong: cache.early(1, beta=wrong)),
    "hit cache_hits": ("cache_hits", [*NO_INTEGER, 0, None], lambda cache, wrong: cache.hit(1, wrong)),
    "hit update_after": ("update_after", [*NO_INTEGER, -1, None], lambda cache, wrong: cache.hit(1, 3, wrong)),
    "hit update_after above cache_hits": ("update_after", [3, 4, 100], lambda cache, wrong: cache.hit(1, 2, wrong)),
    "cache strict_keys": ("strict_keys", NO_FLAG, lambda _, wrong: Cache(strict_keys=wrong)),
    "cache name": ("name", [*NO_TEXT, None], lambda _, wrong: Cache(wrong)),
    "early background": ("background", NO_FLAG, lambda cache, wrong: cache.early(1, background=wrong)),
    "hit background": ("background", NO_FLAG, lambda cache, wrong: cache.hit(1, 3, background=wrong)),
    "early early_ttl below 0": ("early_ttl", [-1, -0.5], lambda cache, wrong: cache.early("1h", early_ttl=wrong)),
    "soft soft_ttl below 0": ("soft_ttl", [-1, -0.5], lambda cache, wrong: cache.soft(None, soft_ttl=wrong)),
    "early early_ttl above ttl": ("early_ttl", LONGER, lambda cache, wrong: cache.early("1h", early_ttl=wrong)),
    "soft soft_ttl above ttl": ("soft_ttl", LONGER, lambda cache, wrong: cache.soft("1h", soft_ttl=wrong)),
    "simple ttl": ("ttl", NO_LENGTH, lambda cache, wrong: cache(wrong)),
    "early ttl": ("ttl", NO_LENGTH, lambda cache, wrong: cache.early(wrong)),
    "soft ttl": ("ttl", NO_LENGTH, lambda cache, wrong: cache.soft(wrong)),
    "hit ttl": ("ttl", NO_LENGTH, lambda cache, wrong: cache.hit(wrong, 3)),
    "dynamic ttl": ("ttl", NO_LENGTH, lambda cache, wrong: cache.dynamic(wrong)),
    "failover ttl": ("ttl", NO_LENGTH, lambda cache, wrong: cache.failover(wrong)),
    "iterator ttl": ("ttl", NO_LENGTH, lambda cache, wrong: cache.iterator(wrong)),
    "many ttl": ("ttl", NO_LENGTH, lambda cache, wrong: cache.many(wrong)),
    "many protected": ("protected", NO_FLAG, lambda cache, wrong: cache.many(1, protected=wrong)),
    "many absent": ("absent", NO_FLAG, lambda cache, wrong: cache.many(1, absent=wrong)),
    "failover exceptions": ("exceptions", NO_ERRORS, lambda cache, wrong: cache.failover(1, wrong)),
    "soft exceptions": ("exceptions", NO_ERRORS, lambda cache, wrong: cache.soft(1, exceptions=wrong)),
    "default exceptions": ("exceptions", [3, "a", int], lambda cache, wrong: cache.set_default_fail_exceptions(wrong)),
    "iterator key": ("key", NO_TEXT, lambda cache, wrong: cache.iterator(1, wrong)),
    "iterator condition": ("condition", NO_CONDITION, lambda cache, wrong: cache.iterator(1, condition=wrong)),
    "iterator max_items": ("max_items", [*NO_INTEGER, 0], lambda cache, wrong: cache.iterator(1, max_items=wrong)),
    "locked key": ("key", NO_TEXT, lambda cache, wrong: cache.locked(key=wrong)),
    "locked prefix": ("prefix", NO_TEXT, lambda cache, wrong: cache.locked(prefix=wrong)),
    "locked wait": ("wait", NO_FLAG, lambda cache, wrong: cache.locked(wait=wrong)),
    "lock wait": ("wait", NO_FLAG, lambda cache, wrong: cache.lock("key", wait=wrong)),
    "lock renew": ("renew", NO_FLAG, lambda cache, wrong: cache.lock("key", renew=wrong)),
    "locked ttl": ("ttl", NO_LENGTH, lambda cache, wrong: cache.locked(wrong)),
    "rate_limit limit": ("limit", [*NO_INTEGER, 0, 2**63, 10**400], lambda cache, wrong: cache.rate_limit(wrong, 1)),
    "rate_limit period": ("period", [*NO_LENGTH, None], lambda cache, wrong: cache.rate_limit(1, wrong)),
    "rate_limit action": ("action", [3, "a", [], True], lambda cache, wrong: cache.rate_limit(1, 1, action=wrong)),
    "slice limit": ("limit", [*NO_INTEGER, 0, 10**400], lambda cache, wrong: cache.slice_rate_limit(wrong, 1)),
    "slice action": ("action", [3, "a", [], True], lambda cache, wrong: cache.slice_rate_limit(1, 1, action=wrong)),
    "breaker rate": ("errors_rate", [*NO_NUMBER, 0, 101], lambda cache, wrong: cache.circuit_breaker(wrong, 1, 1)),
    "breaker min_calls": (
        "min_calls",
        [*NO_INTEGER, -1, 2**63, 10**400],
        lambda cache, wrong: cache.circuit_breaker(1, 1, 1, min_calls=wrong),
    ),
    "breaker exceptions": (
        "exceptions",
        NO_ERRORS,
        lambda cache, wrong: cache.circuit_breaker(1, 1, 1, exceptions=wrong),
    ),
    "thunder key": ("key", [*NO_TEXT, print], lambda cache, wrong: cache.thunder_protection(wrong)),
    "bloom name": ("name", NO_TEXT, lambda cache, wrong: cache.bloom(capacity=1, name=wrong)),
    "bloom capacity": (
        "capacity",
        [*NO_INTEGER, 0, 10**8 * 2, 10**400],
        lambda cache, wrong: cache.bloom(capacity=wrong),
    ),
    "bloom false_positives": (
        "false_positives",
        [*NO_NUMBER, 0, 100, 5e-324],
        lambda cache, wrong: cache.bloom(capacity=1, false_positives=wrong),
    ),
    "bloom check": (
        "check_false_positive",
        NO_FLAG,
        lambda cache, wrong: cache.bloom(capacity=1, check_false_positive=wrong),
    ),
    "dual_bloom no_collisions": (
        "no_collisions",
        NO_FLAG,
        lambda cache, wrong: cache.dual_bloom(capacity=1, no_collisions=wrong),
    ),
    "dual_bloom capacity": ("capacity", [*NO_INTEGER, 0, 10**8], lambda cache, wrong: cache.dual_bloom(capacity=wrong)),
    "dual_bloom false": (
        "false",
        [*NO_NUMBER, (1, 2, 3), (), (1,), (1, "a"), (1, 100), None, "12"],
        lambda cache, wrong: cache.dual_bloom(capacity=1, false=wrong),
    ),
    "invalidate key_template": ("key_template", [*NO_TEXT, None], lambda cache, wrong: cache.invalidate(wrong)),
    "invalidate args_map": ("args_map", [3, "ab", ["a"], {"a": 1}], lambda cache, wrong: cache.invalidate("k", wrong)),
    "invalidate defaults": ("defaults", [3, "ab", ["a"]], lambda cache, wrong: cache.invalidate("k", defaults=wrong)),
}


@pytest.mark.parametrize("argument", COMMON)
@pytest.mark.parametrize("face", CACHING)
def test_every_wrong_value_is_an_error_that_names_its_argument(face, argument):
    for wrong in COMMON[argument]:
        with pytest.raises(CacheError, match=rf"^{argument} is .*; allowed: "):
            CACHING[face](Cache(), **{argument: wrong})


@pytest.mark.parametrize("name", OWN)
def test_every_wrong_value_of_one_decorator_is_an_error_that_names_its_argument(name):
    argument, values, decorate = OWN[name]
    for wrong in values:
        with pytest.raises(WrongArgumentError, match="; allowed: ") as caught:
            decorate(Cache(), wrong)
        assert caught.value.argument == argument


@pytest.mark.parametrize("argument", ["lock", "hard_timeout"])
def test_a_duration_without_length_is_told_what_is_allowed(argument):
    for wrong in NO_LENGTH:
        with pytest.raises(WrongArgumentError, match="a duration above 0"):
            Cache()(1, **{argument: wrong})


class Callable:
    """A class whose objects are async functions; it is none itself."""

    async def __call__(self) -> None: ...


@pytest.mark.parametrize("wrong", [3, None, "name", lambda: 1, [], Callable])
def test_what_is_not_async_is_not_decorated(wrong):
    cache = Cache()
    faces = [decorate(cache) for decorate in CACHING.values()]
    faces += [cache.iterator(1), cache.locked(), cache.bloom(capacity=1), cache.invalidate("k"), cache.transaction()]
    faces += [cache.circuit_breaker(1, 1, 1), cache.many(1), cache.batching()]
    for decorate in faces:
        with pytest.raises(NotAsyncError):
            decorate(wrong)


class Count(IntEnum):
    """Integers of another type."""

    THREE = 3


@pytest.mark.parametrize(
    "right",
    [
        {"lock": True},
        {"lock": False},
        {"lock": None},
        {"lock": "1m"},
        {"soft_timeout": None, "hard_timeout": None},
        {"soft_timeout": 0, "hard_timeout": 0.001},
        {"time_condition": None, "condition": None, "key": None},
        {"time_condition": 0, "condition": "skip_none", "key": "k", "prefix": ""},
        {"jitter": 0},
        {"jitter": 1},
    ],
)
def test_what_is_allowed_passes(right):
    for decorate in CACHING.values():
        decorate(Cache(), **right)


def test_what_is_allowed_in_one_decorator_passes():
    cache = Cache()
    cache.hit(1, Count.THREE, Count.THREE)
    cache.hit(1, 1, 1)
    cache.early(None, beta=0)
    cache.early(None, early_ttl="2h")
    cache.early("1h", early_ttl="60m")
    cache.soft("1h", soft_ttl=0)
    cache.soft("1h", soft_ttl=lambda: "2h")
    cache.soft(lambda: 0, soft_ttl="2h")
    cache.failover(1, exceptions=[ValueError, KeyError])
    cache.locked(None)
    cache.rate_limit(Count.THREE, "1m", action=None)
    cache.circuit_breaker(100, 1, 1, min_calls=0)
    cache.circuit_breaker(100, 1, 1, min_calls=Count.THREE, exceptions=ValueError)
    cache.bloom(capacity=Count.THREE, false_positives=0.001)
    cache.dual_bloom(capacity=10, false=(1, 2.5))
    cache.dual_bloom(capacity=10, false=[1, 2.5])
    cache.invalidate("k:{a}", args_map=None, defaults={"a": 1})


def test_a_ttl_of_a_strategy_that_never_passes_is_told_of_the_other():
    with pytest.raises(
        WrongArgumentError, match=r"early_ttl is '2h'; allowed: a duration up to the ttl, which is '1h'"
    ):
        Cache().early("1h", early_ttl="2h")
    with pytest.raises(WrongArgumentError, match="ttl is 0; allowed: a duration above 0, or None for no expiry"):
        Cache()(0)
