"""The failures of requests and connections, as exceptions of redis-py."""

from __future__ import annotations

import re
from typing import Final

import anyio
import hiredis
from redis import exceptions as redis

TROUBLE: Final = (
    OSError,  # TLS's too
    anyio.EndOfStream,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    hiredis.HiredisError,
    redis.RedisError,
)
"""Every error that a connection may break with."""


class LostError(redis.ConnectionError):
    """The connection broke after the request was sent: it may have been carried out, or not."""


class LateError(redis.TimeoutError):
    """The reply did not come in time: the request may have been carried out, or not."""


class WrongReplyError(redis.InvalidResponse):
    """The reply is of a type that the request cannot have: the request may have been carried out, or not."""


class RedirectError(redis.ResponseError):
    """Another node of the cluster has the slot of a request, which was not carried out."""

    @property
    def host(self) -> str:
        """The host of that node, empty for the same as of the one that was asked."""
        return str(self).split()[-1].rpartition(":")[0]

    @property
    def port(self) -> int:
        """The port of that node."""
        return int(str(self).rpartition(":")[2])


class MovedError(RedirectError):
    """Another node has the slot for good."""


class AskError(RedirectError):
    """Another node has the key, or would have it: its slot is on the way there."""


class StayedError(redis.RedisError):
    """A stored value is to be taken back, and its slot has gone; the argument is the command that removes the value."""


REDIRECTED: Final = (MovedError, AskError, redis.TryAgainError, redis.ClusterDownError)
"""Refusals of a request that another node, or the same one a little later, carries out."""
UNKNOWN: Final = (LostError, LateError, WrongReplyError)
OUTAGE: Final = (redis.ConnectionError, redis.TimeoutError)
"""Failures that the connection itself has logged already."""

KINDS: Final[dict[str, type[redis.RedisError]]] = {
    "ASK": AskError,
    "CLUSTERDOWN": redis.ClusterDownError,
    "MASTERDOWN": redis.MasterDownError,
    "MOVED": MovedError,
    "NOPERM": redis.NoPermissionError,
    "NOSCRIPT": redis.NoScriptError,
    "OOM": redis.OutOfMemoryError,
    "READONLY": redis.ReadOnlyError,
    "TRYAGAIN": redis.TryAgainError,
}
"""The first word of an error reply -> its exception. Any other word is a `ResponseError`. None of them is an outage."""
REDIRECT: Final = re.compile(r"[A-Z]+ [0-9]+ [^ ]*:[1-9][0-9]{0,4}")
"""The form of an error reply that names another node: slot, host and port."""
NO_MASTER: Final = ("READONLY", "MASTERDOWN", "LOADING")
"""The first words of the refusals of a write by a server that is no master, or is not ready to be one."""
ECHO: Final = re.compile(r",? with args beginning with.*", re.DOTALL)
"""The part of an error reply that repeats the arguments of an unknown command: values, tokens, or a password."""
HIDDEN: Final = "***"
"""The text that stands for a password that a server has repeated."""
CREDENTIALS: Final = ("NOAUTH", "WRONGPASS")
"""The first words of error replies that refuse our credentials."""


def failure_of(reply: Exception) -> redis.RedisError:
    """Return a new exception to raise, for an error reply or for the failure of a connection."""
    if isinstance(reply, redis.RedisError):
        return type(reply)(*reply.args)
    text = ECHO.sub("", str(reply))
    kind = KINDS.get(text.partition(" ")[0], redis.ResponseError)
    if issubclass(kind, RedirectError) and REDIRECT.fullmatch(text) is None:
        return redis.ResponseError(text)
    return kind(text)


def wrong_reply(reply: object, expected: str) -> WrongReplyError:
    """Return the error for a reply of another type than the one that was expected."""
    return WrongReplyError(f"the reply is of type {type(reply).__name__}, and not {expected}")


def broken(trouble: BaseException) -> redis.RedisError:
    """Return the error of all requests that a broken connection leaves unanswered: always an outage."""
    if isinstance(trouble, OUTAGE):
        return trouble
    if isinstance(trouble, redis.RedisError):
        kind = redis.AuthenticationError if str(trouble).startswith(CREDENTIALS) else redis.ConnectionError
        return kind(*trouble.args)
    return redis.ConnectionError(f"{type(trouble).__name__}: {trouble}" if str(trouble) else type(trouble).__name__)
