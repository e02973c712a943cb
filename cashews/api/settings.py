"""Backends by URL: the scheme names the store, options come as URL text or keywords."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from importlib import import_module
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints

from cashews._arguments import runnable, text
from cashews._dataclass import dataclass, fields
from cashews.backends.interface import Backend, Environment
from cashews.backends.modes import without_modes_off
from cashews.exceptions import (
    MissingExtraError,
    UnknownOptionError,
    UnknownSchemeError,
    WrongOptionError,
    WrongTTLError,
)
from cashews.ttl import seconds

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    BackendFactory: TypeAlias = Callable[[SplitResult, Mapping[str, Any], Environment], Backend]
else:  # the module of the type of a URL takes two milliseconds
    BackendFactory = Callable[..., Backend]
"""``factory(url, options, environment)``; the options are those of the URL's query and the keywords together."""

Options = TypeVar("Options")
LIST = re.compile(r"(?P<scheme>[a-z]+\+[a-z]+)://(?P<hosts>[^/?]*)(?P<path>/[^?]*)?(?:\?(?P<query>.*))?", re.DOTALL)
"""A URL with a list of hosts, which `urlsplit` refuses if some of them are addresses of IPv6."""
_OF_SERIALIZER = {"value_size_limit": "size_limit"}
"""Options of the serializer that have another name where the store has an option of their own name."""
_HERE = frozenset({"", "localhost", "127.0.0.1", "[::1]"})
"""The hosts of URLs whose store is in this process or on its disk."""
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})
_factories: dict[str, BackendFactory | str] = {
    "mem": "cashews.api.settings:memory",
    "disk": "cashews.api.settings:disk",
    **dict.fromkeys(("redis", "rediss", "unix"), "cashews.api.settings:redis"),
    **dict.fromkeys(("redis+sentinel", "rediss+sentinel"), "cashews.api.settings:redis"),
    **dict.fromkeys(("redis+cluster", "rediss+cluster"), "cashews.api.settings:redis"),
}


def register_backend(scheme: str, factory: BackendFactory | str) -> None:
    """Register the factory that makes the stores of a URL scheme.

    :param factory: the function, or its place as ``"package.module:name"``, from where it is imported at its first use
    :raises WrongArgumentError: if it is neither, or the scheme is not text
    """
    _factories[text("scheme", scheme)] = factory if isinstance(factory, str) else runnable("factory", factory)


@dataclass(frozen=True, slots=True)
class Setup:
    """The settings of one `setup()`: the factory of the backend, and whether its commands are switched on or off."""

    factory: Callable[[Environment], Backend]
    enabled: bool | None
    """`None` if the user did not say."""


def parse_setup(url: str, keywords: Mapping[str, Any]) -> Setup:
    """Return the settings in the URL and keywords of `setup()`.

    An empty URL stands for a cache that is switched off, and nobody asks for the options of its store.

    :raises UnknownSchemeError: if no backend is registered for the scheme
    :raises UnknownOptionError: if the backend has no such option
    :raises WrongOptionError: if the value of an option is not allowed
    """
    if url == "":
        url, keywords = "mem://?disable=1", {name: keywords[name] for name in keywords if name == "enable"}
    split = _split(url)
    if "://" not in url or split.scheme not in _factories:
        raise UnknownSchemeError(url, _factories)
    options = {**_query(split), **keywords}
    enabled = _pop_switch(options)
    factory = _load(_factories[split.scheme])
    return Setup(lambda environment: factory(split, options, environment), enabled)


def _split(url: object) -> SplitResult:
    from urllib.parse import SplitResult, urlsplit  # noqa: PLC0415  loads when a URL is read

    if not isinstance(url, str):
        raise WrongOptionError("url", url, "text such as 'mem://?size=500'")
    if "#" in url:  # the rest of the URL may hold a password, and so may the message of an error
        raise WrongOptionError(
            "url", _scheme_of(url), "a URL without '#', the special characters of a password percent-encoded"
        )
    listed = LIST.fullmatch(url)
    if listed is not None:
        scheme, hosts, path, query = listed.group("scheme", "hosts", "path", "query")
        return SplitResult(scheme, hosts, path or "", query or "", "")
    try:
        return urlsplit(url)
    except ValueError:
        raise WrongOptionError("url", _scheme_of(url), "a URL") from None


def _scheme_of(url: str) -> str:
    return url.partition("://")[0] + "://..."


def _query(url: SplitResult) -> dict[str, Any]:
    """Return the options of a URL; one that is given several times has all its values."""
    from urllib.parse import parse_qsl  # noqa: PLC0415  likewise

    options: dict[str, Any] = {}
    for name, value in parse_qsl(url.query, keep_blank_values=True):
        if not name.isidentifier():  # the end of a password, maybe
            allowed = "options as name=value after '?'; a '?' of a password is written %3F"
            raise WrongOptionError("url", f"{url.scheme}://...", allowed)
        options.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else tuple(values) for name, values in options.items()}


def _load(factory: BackendFactory | str) -> BackendFactory:
    if not isinstance(factory, str):
        return factory
    module, _, name = factory.partition(":")
    loaded: BackendFactory = getattr(import_module(module), name)
    return loaded


def memory(url: SplitResult, options: Mapping[str, Any], environment: Environment) -> Backend:
    """Make the store of ``mem://``."""
    from cashews.backends.memory.store import MemoryOptions, MemoryStore  # noqa: PLC0415  stores load when they are used

    _check_place(url, "mem:// and options after '?'")
    options = without_modes_off(options)
    own = {field.name for field in fields(MemoryOptions)}
    if own.issuperset(options):
        return MemoryStore(parse_options("mem://", MemoryOptions, options), environment)
    return _encoded_memory(own, options, environment)


def _encoded_memory(own: Collection[str], options: Mapping[str, Any], environment: Environment) -> Backend:
    from cashews.backends.memory.encoded import EncodedStore  # noqa: PLC0415  likewise
    from cashews.backends.memory.store import MemoryOptions  # noqa: PLC0415  codecs load when they are used
    from cashews.serialize import SerializerOptions  # noqa: PLC0415  likewise

    others = {name: value for name, value in options.items() if name not in own}
    serializer = parse_options("mem://", SerializerOptions, others, besides=own)
    read = parse_options("mem://", MemoryOptions, {name: options[name] for name in options if name in own})
    return EncodedStore(read, serializer, environment)


def disk(url: SplitResult, options: Mapping[str, Any], environment: Environment) -> Backend:
    """Make the store of ``disk://``. Its `size_limit` is that of the files; `value_size_limit` is the serializer's.

    :raises MissingExtraError: if diskcache is not installed
    """
    try:
        from cashews.backends.disk import DiskOptions, DiskStore  # noqa: PLC0415  stores load when they are used
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "diskcache", "diskcache") from error
    from cashews.serialize import SerializerOptions  # noqa: PLC0415  likewise

    _check_place(url, "disk:// and options after '?', such as 'disk://?directory=/tmp/cache'")
    options = without_modes_off(options)
    own = {field.name for field in fields(DiskOptions)}
    others = {_OF_SERIALIZER.get(name, name): value for name, value in options.items() if name not in own}
    serializer = parse_options("disk://", SerializerOptions, others, besides={*own, *_OF_SERIALIZER})
    read = parse_options("disk://", DiskOptions, {name: options[name] for name in options if name in own})
    return DiskStore(read, serializer, environment)


def _check_place(url: SplitResult, allowed: str) -> None:
    """Check that a URL names no other host, and no path.

    :raises WrongOptionError: if it does
    """
    if url.netloc.lower() not in _HERE or url.path.strip("/"):
        raise WrongOptionError("url", f"{url.scheme}://...", allowed)


def redis(url: SplitResult, options: Mapping[str, Any], environment: Environment) -> Backend:
    """Make the store of ``redis://``, ``rediss://``, ``unix://``, and of these with ``+sentinel`` or ``+cluster``.

    :raises MissingExtraError: if redis or hiredis is not installed
    """
    try:
        from cashews.backends.redis import (  # noqa: PLC0415  likewise
            RedisOptions,
            own_options,
            store_of,
        )
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "redis", "redis") from error
    read = parse_options(f"{url.scheme}://", RedisOptions, own_options(options))
    return store_of(url, read, environment)


def parse_options(backend: str, kind: type[Options], given: Mapping[str, Any], besides: Iterable[str] = ()) -> Options:
    """Make an options record; text is converted to the type of the field's annotation.

    :param besides: the options in other records of the backend
    :raises UnknownOptionError: if the record has no such field
    :raises WrongOptionError: if a value is not allowed
    """
    hints = get_type_hints(kind)
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]  # options are dataclasses
    for name in given:
        if name not in known:
            raise UnknownOptionError(backend, name, [*known, *besides, "enable", "disable"])
    return kind(**{name: _read(name, value, hints[name]) for name, value in given.items()})


def _read(name: str, value: object, kind: Any) -> object:
    if get_origin(kind) in {Union, UnionType}:
        if value is None and type(None) in get_args(kind):
            return None
        named = [each for each in get_args(kind) if each is not type(None)]
        kind = named[0] if len(named) == 1 else object
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise WrongOptionError(name, value, ", ".join(map(repr, get_args(kind))))
        return value
    return _READERS.get(kind, _as_it_is)(name, value)


def _as_it_is(_: str, value: object) -> object:
    return value


def _read_text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise WrongOptionError(name, type(value), "text, given once")  # it may be a secret
    return value


def _read_flag(name: str, value: object) -> bool:
    text = str(value).strip().lower()
    if text not in _TRUE | _FALSE:
        raise WrongOptionError(name, value, ", ".join(sorted(_TRUE | _FALSE)))
    return text in _TRUE


def _read_int(name: str, value: object) -> int:
    try:
        return int(str(value))  # the text, so that neither 1.5 nor True passes
    except ValueError:
        raise WrongOptionError(name, value, "an integer") from None


def _read_seconds(name: str, value: object) -> float:
    try:
        read = seconds(float(value) if isinstance(value, str) and _is_number(value) else value, name)
    except WrongTTLError as error:
        raise WrongOptionError(name, value, str(error).partition("allowed: ")[2]) from None
    if read is None:
        raise WrongOptionError(name, value, "seconds")
    return read


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


_READERS: Mapping[object, Callable[[str, object], object]] = {
    bool: _read_flag,
    int: _read_int,
    float: _read_seconds,
    str: _read_text,
}


def _pop_switch(options: dict[str, Any]) -> bool | None:
    """Take `enable` and `disable` out of the options, and say whether the cache is switched on.

    :raises WrongOptionError: if both are given, or neither on nor off
    """
    given = {name: _read_flag(name, options.pop(name)) for name in ("enable", "disable") if name in options}
    if len(given) > 1:
        raise WrongOptionError("enable", given["enable"], "either 'enable' or 'disable'; an empty URL disables")
    return next((value is (name == "enable") for name, value in given.items()), None)
