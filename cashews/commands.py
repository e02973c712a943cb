"""The public commands of a cache, and the four kinds of their effect on a store."""

from __future__ import annotations

import enum


class Effect(enum.Enum):
    """The kind of effect that a command has on a store."""

    READ = "read"
    WRITE = "write"
    LOCK = "lock"
    ADMIN = "admin"


class Command(enum.Enum):
    """A public command, as `disable()`, callbacks, metrics and middlewares name it."""

    GET = "get"
    GET_RAW = "get_raw"
    GET_MANY = "get_many"
    GET_MATCH = "get_match"
    SET = "set"
    SET_RAW = "set_raw"
    SET_MANY = "set_many"
    INCR = "incr"
    EXISTS = "exists"
    DELETE = "delete"
    DELETE_MANY = "delete_many"
    DELETE_MATCH = "delete_match"
    DELETE_TAGS = "delete_tags"
    GET_KEY_TAGS = "get_key_tags"
    SCAN = "scan"
    EXPIRE = "expire"
    GET_EXPIRE = "get_expire"
    GET_BITS = "get_bits"
    INCR_BITS = "incr_bits"
    SLICE_INCR = "slice_incr"
    SET_ADD = "set_add"
    SET_REMOVE = "set_remove"
    SET_POP = "set_pop"
    GET_SIZE = "get_size"
    GET_KEYS_COUNT = "get_keys_count"
    SET_LOCK = "set_lock"
    UNLOCK = "unlock"
    IS_LOCKED = "is_locked"
    LOCKS = "locks"
    BREAK_LOCK = "break_lock"
    PING = "ping"
    CLEAR = "clear"

    __hash__ = object.__hash__  # each member is one object, and `Enum` would hash its name in Python
