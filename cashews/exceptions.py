"""Every error a user can see. Each is raised with facts; the class builds the sentence."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Any


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _shown(value: object) -> str:
    """Return the text of a user's object in an error, which a failure of its `repr()` does not replace."""
    try:
        return repr(value)
    except Exception:  # noqa: BLE001  of the object
        return f"an object of type {type(value).__qualname__} without a text"


def _blank(kind: type[Exception]) -> Exception:
    """Make an error without its facts: these are its state for `copy` and `pickle`."""
    return kind.__new__(kind)


def _parts(self: Exception) -> tuple[Any, ...]:
    """Describe an error to `copy` and `pickle`, which would give its sentence to a class that makes it of facts."""
    return _blank, (type(self),), {**self.__dict__, "args": self.args}


class Doubt(enum.Enum):
    """The reasons for which the text of a value cannot tell it from all others."""

    ADDRESS = "is a memory address"
    PARTIAL = "shows only a part of it"
    OTHERS = "may be that of other values, too"
    NAME = "is the name of another class, too"


def unstable_key(kind: str, doubt: Doubt) -> str:
    """Return the sentence about a text that is no identity, with the cures."""
    return (
        f"the text of {kind} in a cache key {doubt.value}: define {kind}.__str__, register a type_format for it,"
        " name the fields of the key, or leave self out with noself"
    )


class CacheError(Exception):
    """The base of every error of this package. Each can be copied, and sent to another process."""

    __reduce__ = _parts


class NotConfiguredError(CacheError):
    """No backend is mounted for a key."""

    def __init__(self, key: str = "", prefixes: Iterable[str] = ()) -> None:
        self.key = key
        super().__init__(
            f"no backend for the key {key!r}: call cache.setup(url) first"
            f" (prefixes that have a backend: {_listed(repr(prefix) for prefix in prefixes)})"
        )


class CacheClosedError(CacheError):
    """The cache was used after its block had ended, or while it was being closed."""

    def __init__(self, name: str = "") -> None:
        named = f"cache {name!r}" if name else "cache"
        super().__init__(f"the {named} is closed: its scope has ended; open it again with init(), or call setup()")


class EventLoopError(CacheError):
    """The cache was used outside of an event loop, or in one that cannot do this."""


class SettingsError(CacheError, ValueError):
    """A URL or keyword of `setup()` is wrong."""


class UnknownSchemeError(SettingsError):
    """No backend is registered for the scheme of a URL."""

    def __init__(self, url: str, known: Iterable[str]) -> None:
        scheme, separator, _ = url.partition("://")
        named = repr(scheme) if separator else "without a scheme"
        super().__init__(f"unknown backend {named}; known schemes: {_listed(f'{name}://' for name in known)}")


class UnknownOptionError(SettingsError):
    """A backend has no option of this name."""

    def __init__(self, backend: str, option: str, known: Iterable[str]) -> None:
        self.option = option
        super().__init__(f"{backend} has no option {option!r}; its options: {_listed(known)}")


class WrongOptionError(SettingsError):
    """An option has a value that is not allowed."""

    def __init__(self, option: str, value: object, allowed: str) -> None:
        self.option = option
        super().__init__(f"option {option!r} is {_shown(value)}; allowed: {allowed}")


class MissingExtraError(CacheError, ImportError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed; install it with: pip install cashews[{extra}]")


class WeakDigestWarning(UserWarning):
    """Values are signed by an algorithm that detects accidents, but stops no attacker."""

    __reduce__ = _parts

    def __init__(self, digestmod: str) -> None:
        self.digestmod = digestmod
        super().__init__(f"a signature by {digestmod!r} is easily forged; use sha256 where an attacker may write")


class EncodeError(CacheError, TypeError):
    """A value cannot be turned into bytes; it is not stored."""

    def __init__(self, key: str, value: object, codec: str, reason: str) -> None:
        self._rest = f"(type {type(value).__qualname__}) cannot be encoded by {codec}: {reason}"
        super().__init__()
        self.rename(key)

    def rename(self, key: str) -> None:
        """Name the key as its user knows it, and not as the store does."""
        self.key = key
        self.args = (f"the value of key {key!r} {self._rest}",)


class DecodeError(CacheError, ValueError):
    """Stored bytes cannot be decoded, verified or recognised; they count as absent."""

    def __init__(self, key: str = "", reason: str = "its decoder refuses it") -> None:
        self.key, self.reason = key, reason
        super().__init__(f"the stored value of key {key!r} cannot be decoded: {reason}")


class WrongTTLError(CacheError, ValueError):
    """A time to live cannot be understood."""

    def __init__(self, value: object, field: str = "ttl") -> None:
        super().__init__(
            f"{field} is {_shown(value)}; allowed: seconds as a number, a timedelta, None, or text made of numbers with"
            " the units w, d, h, m, s, ms, such as '1h30m', '1.5s' or '500ms'"
        )


class WrongKeyError(CacheError, ValueError):
    """A key template does not fit its function."""

    def __init__(self, function: str, field: str, reason: str) -> None:
        self.function, self.field, self.reason = function, field, reason
        place = f"field {{{field}}}" if "{" not in field else repr(field)
        super().__init__(f"key template of {function}: {place}: {reason}")


class WrongTagError(CacheError, ValueError):
    """A tag cannot be made of the keys that are to carry it."""

    def __init__(self, tag: str, field: str, reason: str) -> None:
        self.tag, self.field, self.reason = tag, field, reason
        super().__init__(f"tag {tag!r}: field {{{field}}}: {reason}")


class WrongTokenError(CacheError, ValueError):
    """A token of a key is no JWT with the wanted field; the token itself is a secret and is not named."""

    def __init__(self, field: str, reason: str) -> None:
        self.field = field
        super().__init__(f"no field {field!r} in the JWT: {reason}")


class UnstableKeyError(WrongKeyError, TypeError):
    """The text of an argument cannot tell it from all others: a memory address, or a part of the argument.

    Such an argument is part of no key. Commands, guards and strict keys raise this; cached functions run uncached.
    """

    def __init__(self, kind: str, doubt: Doubt = Doubt.ADDRESS, function: str = "") -> None:
        self.kind, self.doubt = kind, doubt
        self.function, self.field, self.reason = function, "", unstable_key(kind, doubt)
        CacheError.__init__(self, f"key of {function}: {self.reason}" if function else self.reason)


class UnstableKeyWarning(UserWarning):
    """A key that is shown has a text that cannot tell its value from all others; calls with it are not cached."""

    __reduce__ = _parts

    def __init__(self, kind: str, doubt: Doubt = Doubt.ADDRESS) -> None:
        self.kind, self.doubt = kind, doubt
        super().__init__(unstable_key(kind, doubt))


class NoKeyError(WrongKeyError):
    """A call can have no key: an argument has no text that is its own, or lacks a field of the template."""

    def __init__(self, function: str, reason: str, field: str = "") -> None:
        self.function, self.field, self.reason = function, field, reason
        CacheError.__init__(self, f"no key for a call of {function}: {reason}")


class SharedKeyError(WrongKeyError):
    """With strict keys: another function has the default key of a decorated one already."""

    def __init__(self, function: str, reason: str) -> None:
        self.function, self.field, self.reason = function, "", reason
        CacheError.__init__(self, reason)


class SharedKeyWarning(UserWarning):
    """Two functions have the same default key, so each gets what is stored for the other."""


class NotAsyncError(CacheError, TypeError):
    """A function was decorated that is not a coroutine function (or an async generator, for `iterator`)."""

    def __init__(self, function: object, allowed: str = "async def functions") -> None:
        super().__init__(f"{_shown(function)} cannot be cached; allowed: {allowed}")


class WrongArgumentError(CacheError, ValueError):
    """An argument of a decorator or command has a value that is not allowed."""

    def __init__(self, argument: str, value: object, allowed: str) -> None:
        self.argument = argument
        super().__init__(f"{argument} is {_shown(value)}; allowed: {allowed}")


UnknownArgumentError = TypeError
"""The error of an unknown keyword, which Python itself raises; the name is for programs that catch it."""


class CacheBackendInteractionError(CacheError):
    """A backend could not be reached, or answered with an error.

    `unknown` is true if the connection broke after the command had been sent: the server may have carried it out.
    """

    def __init__(self, *args: object, unknown: bool = False) -> None:
        self.unknown = unknown
        super().__init__(*args)


class WrongTypeError(CacheBackendInteractionError, TypeError):
    """A command met a stored value of another kind; the value stays."""

    def __init__(self, key: str, found: str, expected: str) -> None:
        self.key = key
        super().__init__(f"the key {key!r} holds {found}, the command needs {expected}")


class CounterOverflowError(CacheError, OverflowError):
    """A counter would leave the range of a signed 64-bit integer; its value stays."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(f"the counter {key!r} would leave the range of a signed 64-bit integer")


class LockedError(CacheError):
    """A lock could not be taken, was lost, or is held by another.

    `key` is that of the lock, `waited` the seconds for which it was waited for.
    """

    def __init__(self, key: str = "", reason: str = "it is held by another", waited: float = 0.0) -> None:
        self.key, self.waited = key, waited
        super().__init__(f"the lock {key!r} cannot be taken: {reason}")


class LockRefusedError(LockedError):
    """A store cannot lock: it refuses a lock though nobody holds it, or it does not answer."""

    def __init__(
        self, key: str = "", reason: str = "the store refuses it though nobody holds it", waited: float = 0.0
    ) -> None:
        super().__init__(key, reason, waited)


class LockReenteredError(LockedError):
    """A task asked for a lock that it holds already, and would wait for itself."""

    def __init__(self, key: str = "") -> None:
        super().__init__(key, "this task holds it already, and would wait for itself")


class LockLostError(LockedError):
    """A lock was lost while it was held: its lease could not be renewed, or another has taken it."""

    def __init__(self, key: str = "") -> None:
        self.key, self.waited = key, 0.0
        CacheError.__init__(self, f"the lock {key!r} was lost while it was held")


class TransactionConflictError(LockedError):
    """A commit was refused: there are new keys that a pattern would have found which the transaction has read."""

    def __init__(self, key: str = "*") -> None:
        self.key, self.waited = key, 0.0
        CacheError.__init__(self, f"there are new keys of {key!r} since the transaction read them: run it again")


class TransactionError(CacheError):
    """A transaction was used after its end, or a block was entered twice."""

    def __init__(self, outcome: str, reason: str = "start a new one, in a task that was not started inside it") -> None:
        self.outcome = outcome
        super().__init__(f"the transaction cannot be used any more (it is {outcome}): {reason}")


class CrossSlotError(CacheError):
    """One turn was asked for about keys that lie in several slots of a cluster; nothing was written."""

    def __init__(self, key: str = "", other: str = "") -> None:
        self.key, self.other = key, other
        super().__init__(
            f"{key!r} and {other!r} lie in several slots of the cluster: give all keys of a transaction the same text"
            " in braces"
        )


class LoadTimeoutError(CacheError, TimeoutError):
    """A load took longer than its hard timeout."""

    def __init__(self, key: str = "", seconds: float = 0.0) -> None:
        self.key = key
        super().__init__(f"the load of {key!r} took longer than {seconds:g} s")


class LoadCancelledError(CacheError):
    """A function that ran in the background ended its task: by the event loop's cancellation, or by SystemExit.

    `__cause__` is the exception that it raised.
    """

    def __init__(self, key: str = "") -> None:
        self.key = key
        super().__init__(f"the load of {key!r} was ended from within")


class RateLimitError(CacheError):
    """A rate limit was passed: more than `limit` calls of `key` in `period` seconds.

    `retry_after`: the seconds after which a call is let through again, if no other call takes its place.
    """

    def __init__(self, key: str = "", limit: int = 0, period: float = 0.0, retry_after: float = 0.0) -> None:
        self.key, self.limit, self.period, self.retry_after = key, limit, period, retry_after
        super().__init__(f"more than {limit} calls of {key!r} in {period:g} s: try again in {retry_after:.3g} s")


class CircuitBreakerOpen(CacheError):  # noqa: N818  the specification's name
    """A circuit breaker is open: `errors_rate` percent of the calls of `key` in `period` seconds failed, or more.

    `retry_after`: the seconds until the circuit closes or is half open; 0 if it is half open, and lets the next call
    through.
    """

    def __init__(self, key: str = "", errors_rate: float = 0.0, period: float = 0.0, retry_after: float = 0.0) -> None:
        self.key, self.errors_rate, self.period, self.retry_after = key, errors_rate, period, retry_after
        super().__init__(
            f"{errors_rate:g} % or more of the calls of {key!r} in {period:g} s failed: the circuit is open, try again"
            f" in {retry_after:.3g} s"
        )


class NotSupportedError(CacheError):
    """A backend lacks a feature."""

    def __init__(self, backend: str, feature: str) -> None:
        super().__init__(f"the {backend} backend does not support {feature}")


def __getattr__(name: str) -> object:
    if name.startswith("__"):  # each import of the module asks for its path
        raise AttributeError(name)
    from cashews._deprecated import deprecated  # noqa: PLC0415  hardly anybody asks

    return deprecated(__name__, name)
