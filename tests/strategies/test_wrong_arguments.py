"""What a decorator is told wrongly is one error, at decoration, that names the argument and what is allowed."""

import pytest

from cashews import Cache
from cashews.exceptions import CacheError

FACES = ["__call__", "early", "soft", "hit", "dynamic", "failover"]


@pytest.mark.parametrize("face", FACES)
def test_a_keyword_that_is_not_known_is_an_error_that_lists_the_known(face):
    more = {"cache_hits": 3} if face == "hit" else {}
    with pytest.raises(CacheError, match=r"no argument 'jiter'.*hard_timeout, jitter, lock"):
        getattr(Cache(), face)(ttl=10, jiter=0.1, **more)


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
