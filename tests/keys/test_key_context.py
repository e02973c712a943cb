"""Values in keys that are no arguments."""

import contextvars

import pytest

from cashews.engine.key_context import key_context
from cashews.exceptions import CacheError, WrongKeyError
from cashews.keys.context import context_values, register_key_context
from tests.keys.keys import compile_key


async def get_current_user(): ...


def test_a_value_of_the_context_is_in_the_key():
    """D54."""
    key = compile_key(get_current_user, "user:{@:get(client_id)}")
    with key_context(client_id=135356):
        assert key() == "user:135356"


def test_a_name_without_a_value_fails_with_function_and_field():
    key = compile_key(get_current_user, "user:{@:get(client_id)}")
    with (
        key_context(tenant=1),
        pytest.raises(WrongKeyError, match=r"key_context.. has no 'client_id'; its names: tenant"),
    ):
        key()
    with pytest.raises(WrongKeyError, match=r"get_current_user: field \{@:get\(client_id\)\}: .*its names: none"):
        key()


def test_a_default_stands_in():
    key = compile_key(get_current_user, "user:{@:get(client_id, anonymous)}:{@:get(n, 0)}:{@:get(x, None)}")
    assert key() == "user:anonymous:0:"
    with key_context(client_id=None):
        assert key() == "user::0:"


def test_items_and_attributes_of_the_context():
    with key_context(user=3 + 1j, any_name="x"):
        assert compile_key(get_current_user, "{@[user].real}:{@[any_name]}")() == "3.0:x"


def test_an_inner_context_wins_and_is_undone():
    key = compile_key(get_current_user, "{@:get(a)}:{@:get(b, -)}")
    with key_context(a=1):
        with key_context(a=2, b=3):
            assert key() == "2:3"
        assert key() == "1:-"
    assert context_values() == {}


def test_the_context_is_undone_after_an_error():
    with pytest.raises(ZeroDivisionError), key_context(a=1):
        _ = 1 / 0
    assert context_values() == {}


def test_another_context_sees_nothing_of_it():
    outside = contextvars.copy_context()
    with key_context(a=1):
        assert outside.run(context_values) == {}
        assert contextvars.copy_context().run(context_values) == {"a": 1}


def test_strict_keys_tell_the_types_of_context_values_apart():
    key = compile_key(get_current_user, "{@:get(a)}", strict=True)
    with key_context(a=1):
        number = key()
    with key_context(a="1"):
        assert number != key()


def test_names_may_be_announced():
    register_key_context("client_id", "tenant")
    with pytest.raises(CacheError):
        register_key_context("client id")
