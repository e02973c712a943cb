"""The pattern of all keys of a template."""

import pytest

from cashews.exceptions import WrongKeyError
from cashews.keys.compile import get_cache_key_template, template_pattern
from cashews.keys.pattern import matcher
from tests.keys.keys import compile_key


@pytest.mark.parametrize(
    ("template", "pattern"),
    [
        ("user:{user.id}:{x!r:upper}", "user:*:*"),
        ("{a}{b}", "*"),
        ("{{a}}:{a}:*", "{a}:*:*"),
        ("constant", "constant"),
        ("a:{__kwargs__}", "a*"),
        ("a:{b}:{__kwargs__}", "a:*"),
        ("{@:get(client_id)}:x", "*:x"),
    ],
)
def test_every_field_is_a_star(template, pattern):
    assert template_pattern(template) == pattern


def test_a_default_template_s_pattern_matches_its_keys():
    async def get(a, *args, b=1, **kwargs): ...

    matches, key = matcher(template_pattern(get_cache_key_template(get))), compile_key(get)
    assert matches(key(1))
    assert matches(key(1, 2, c=3))


def test_a_wrong_template_has_no_pattern():
    with pytest.raises(WrongKeyError):
        template_pattern("a:{b")
