"""Writes `reference/options.md` and `reference/decorators.md`: every option, with its default, read from the code.

An option that has no meaning below is an error, and so is a meaning without an option.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from textwrap import wrap
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from cashews import Cache
from cashews.backends.disk import DiskOptions
from cashews.backends.memory.store import MemoryOptions
from cashews.backends.redis import RedisOptions
from cashews.serialize import SerializerOptions

REFERENCE = Path(__file__).parent / "reference"

BYTES = {
    "pickle_type": "the codec",
    "secret": "signs values; of several the first signs and all verify",
    "digestmod": "the algorithm of the signature",
    "legacy_digestmod": "reads, too, values that cashews 7 has signed with this algorithm",
    "compress_type": "the compression of values that are stored from now on; all are read",
    "compress_threshold": "from how many bytes on values are compressed",
    "size_limit": "how many bytes one compressed value may grow to",
    "check_repr": "whether a value whose `repr()` fails counts as absent",
}
MEMORY = {
    "size": "how many values are kept",
    "eviction": "the rule that says which value leaves for another, see [choose a size](../how-to/choose-a-size.md)",
    "check_interval": "seconds between two sweeps of expired values; 0 removes them only when they are touched",
    "copy": "`share` keeps and returns the object itself, `deep` copies both ways",
}
REDIS = {
    "db": "the database, if the URL names none",
    "username": "the user, if the URL names none",
    "password": "the password, if the URL names none",
    "credential_provider": "asked for user and password at each connection, as in redis-py",
    "sentinel_username": "the user at the sentinels, with `redis+sentinel://`",
    "sentinel_password": "the password there",
    "cluster": "whether the server is a node of a cluster, as with `redis+cluster://`",
    "client_name": "the name of the connections in `CLIENT LIST`",
    "lib_name": "the name of the library in `CLIENT LIST`, from Redis 7.2 on",
    "lib_version": "its version there",
    "protocol": "RESP 3 or 2; with 2 an unlock in another process wakes nobody",
    "suppress": "answer neutrally when the server fails, instead of raising",
    "socket_timeout": "seconds that a request waits for its reply; then the connection is replaced",
    "socket_connect_timeout": "seconds that a request waits for a connection; then the server is taken to be down",
    "wait_for_connection_timeout": "the same; the shorter of both counts",
    "retry_on_timeout": "send once more a request that timed out, if it only reads",
    "health_check_interval": "seconds without traffic after which the connection is tried; 0 for never",
    "socket_keepalive": "have the operating system look after silent connections",
    "socket_keepalive_options": "options of TCP for that, by their numbers in `socket`; a keyword alone",
    "connections": "how many connections there are; a key always goes by the same one",
    "max_value_size": "the bytes of the largest value that the server takes; a larger one is not stored",
    "client_side": "keep what is read in memory too, until the server tells of a change",
    "client_side_prefix": "the beginning of every key at the server, with `client_side`",
    "client_side_size": "how many keys are kept in memory; the least recently used leaves first",
    "client_side_bytes": "how many bytes of stored values are kept in memory",
    "client_side_lag": "seconds for which values are served from memory after the server was last heard",
    "client_side_copy": "`share` returns the same object at each read, `decode` a new one",
    "max_connections": "accepted, without effect",
    "minsize": "accepted, without effect",
    "ssl": "TLS, as with `rediss://`",
    "ssl_ca_certs": "a file of authorities' certificates, for `rediss://`",
    "ssl_ca_path": "a folder of them",
    "ssl_ca_data": "their text",
    "ssl_certfile": "the file of the client's certificate",
    "ssl_keyfile": "the file of the client's key",
    "ssl_password": "the password of that file",
    "ssl_cert_reqs": "whether the server has to have a valid certificate",
    "ssl_check_hostname": "whether the certificate has to name the server",
    "ssl_min_version": "the lowest version of TLS, such as `TLSv1.3`",
    "ssl_ciphers": "the ciphers, in OpenSSL's words",
}
DISK = {
    "directory": "where the files are; by default the user's own cache folder",
    "timeout": "seconds that a batch waits for another process that writes",
    "shards": "over how many files keys are spread, 0 for one; by default as many as there are",
    "suppress": "answer neutrally when the disk fails, instead of raising",
    "size_limit": "how many bytes the files may take until values are evicted",
    "eviction_policy": "which values leave first",
    "cull_limit": "how many expired or evicted values leave at most for each that is stored; 0: none",
    "statistics": "kept for diskcache, without effect",
    "tag_index": "kept for diskcache, without effect",
    "disk_min_file_size": "from how many bytes on a value has a file of its own",
    "disk_pickle_protocol": "kept for diskcache, without effect",
    "sqlite_auto_vacuum": "SQLite's `auto_vacuum`",
    "sqlite_cache_size": "SQLite's `cache_size`, in pages",
    "sqlite_journal_mode": "SQLite's `journal_mode`",
    "sqlite_mmap_size": "SQLite's `mmap_size`, in bytes",
    "sqlite_synchronous": "SQLite's `synchronous`; 2 survives power failures",
    "sqlite_max_page_count": "how many pages a file may have; then writing fails",
}
FOUND = {"directory": "the user's own", "shards": "as found, else 0"}
"""Defaults of `disk://` that are worked out; settings of diskcache stay as they are found in a file."""
MEBIBYTE = 2**20
WIDTH = 120

CACHING = ("cache", "early", "soft", "hit", "dynamic", "failover", "iterator")
GUARDS = (
    *("locked", "rate_limit", "slice_rate_limit", "circuit_breaker"),
    *("thunder_protection", "bloom", "dual_bloom", "invalidate"),
)
CACHING_OPTIONS = {
    "ttl": "how long a result is kept: a duration, `None` for ever, or a callable of the call's arguments",
    "key": "the template of the keys; by default made of the function's name and parameters",
    "condition": "which results are stored: a condition, its name, or `None` for all",
    "time_condition": "store only results that took at least so long",
    "prefix": "put before the key, also before a given `key`, with a colon; see the defaults below",
    "early_ttl": "when to load anew, up to the ttl; a third of it if `None`",
    "soft_ttl": "when to load, up to the ttl; a third of it if `None`",
    "beta": "load anew at random before `early_ttl`, the likelier the nearer it is (XFetch); 1.0 is the paper's value",
    "background": "load anew behind the caller's back; if `False`, the caller waits",
    "exceptions": "the failures that are covered by the stored value",
    "cache_hits": "how many answers come from the store after each execution",
    "update_after": "at which of them to load anew in the background, up to `cache_hits`; 0 for never",
    "max_items": "a run that yields more is not stored",
    "tags": "tags of the value: templates of arguments and result, and callables",
    "upper": "store only results that did not come from another cache",
    "lock": "lock the key against other processes while the function runs: `True` for 60 s, or the lease",
    "protected": "concurrent calls of a key run the function once",
    "jitter": "shorten each ttl at random by up to this share, from 0 to 1",
    "soft_timeout": "if there is an old value, wait so long, then serve it; the load ends in the background",
    "hard_timeout": "raise `LoadTimeoutError` if the function takes longer",
}
GUARD_OPTIONS = {
    "ttl": "`locked`: the lease, 60 s if `None`; `rate_limit`: how long all is refused, to the end of the period "
    "if `None`; `circuit_breaker`: how long the circuit is open",
    "key": "the template of the keys; by default made of the function's name and parameters, a circuit's of the name",
    "wait": "if `False`, raise `LockedError` instead of waiting",
    "prefix": "put before the key, with a colon",
    "check_interval": "accepted, without effect: nobody polls",
    "limit": "how many calls pass in a period",
    "period": "the length of the window",
    "action": "called with the arguments of a refused call instead of raising `RateLimitError`",
    "errors_rate": "the percentage of failed calls that opens the circuit",
    "half_open_ttl": "for how long every other call passes after that",
    "exceptions": "the failures that count; all if `None`",
    "min_calls": "how many calls have to be counted before the circuit may open; 0 is the same as 1",
    "capacity": "how many calls the filter is to hold",
    "name": "the template of the items of a filter",
    "false_positives": "the percentage of other calls that the filter may take for its own",
    "check_false_positive": "run the function when the filter says yes; if `False`, answer `True`",
    "false": "the percentage of wrong answers; or one for yes and one for no",
    "no_collisions": "answer only if the other filter knows nothing of the call",
    "key_template": "the keys to remove; a `*` matches any text; a cached function stands for its own keys",
    "args_map": "which parameter stands for a field of the template, where the names differ",
    "defaults": "values of fields that no parameter stands for",
}

NOTE = "Generated from the code by `python docs/options.py`; the tests compare.\n"


class DriftError(Exception):
    """The options of the code and the meanings in this script differ."""

    def __init__(self, subject: str, names: Iterable[str]) -> None:
        super().__init__(f"{subject}: described or there, but not both: {', '.join(sorted(names))}")


def described(subject: str, meanings: Mapping[str, str], found: Iterable[str]) -> None:
    """Go on, if every option that was found has a meaning, and every meaning an option.

    :raises DriftError: if one has not
    """
    if odd := meanings.keys() ^ set(found):
        raise DriftError(subject, odd)


def code(value: object) -> str:
    """Return a value as code in a table."""
    if isinstance(value, int) and value >= MEBIBYTE:
        return f"`{value}` ({value // MEBIBYTE} MiB)"
    return f"`{value!r}`"


def name_of(hint: Any) -> str:
    """Return a class, with those that it holds, as text that is alike on every Python."""
    if get_args(hint):
        inner = " or ".join(map(name_of, get_args(hint)))
        return inner if get_origin(hint) in {Union, UnionType} else f"{get_origin(hint).__name__}[{inner}]"
    return "None" if hint is type(None) else str(hint.__name__)


def kind_of(hint: Any) -> str:
    """Return a type for a table, in which a bar would end the cell."""
    if get_origin(hint) in {Union, UnionType}:
        return " or ".join(map(kind_of, get_args(hint)))
    if get_origin(hint) is Literal:
        return ", ".join(map(code, get_args(hint)))
    return f"`{name_of(hint)}`"


def record(kind: type, meanings: Mapping[str, str]) -> Iterator[str]:
    """Yield the table of one record of options; the names of its own fields are those of the meanings."""
    hints = get_type_hints(kind)
    defaults: dict[str, Any] = {field.name: field.default for field in fields(kind)}
    described(kind.__name__, meanings, [name for name in defaults if kind is not RedisOptions or name not in BYTES])
    yield "| Option | Type | Default | |"
    yield "| --- | --- | --- | --- |"
    for name, meaning in meanings.items():
        found = kind is DiskOptions and defaults[name] is None
        shown = FOUND.get(name, "as found") if found else code(defaults[name])
        yield f"| `{name}` | {kind_of(hints[name])} | {shown} | {meaning} |"


def options_page() -> str:
    """Return the page about the options of stores."""
    parts = [
        "# Options of stores",
        "",
        "Options follow the `?` of a URL, or are keywords of `setup()` and `Cache.open()`. Text becomes the type of",
        "the option: `1`, `true`, `yes`, `on` and their opposites for flags, seconds or text such as `500ms` for",
        "times. Every store takes `enable` or `disable` besides: whether it is switched on.",
        "",
        NOTE,
        "## `mem://`",
        "",
        *record(MemoryOptions, MEMORY),
        "",
        "If an option of [bytes](#bytes) is given, the store keeps bytes instead of objects.",
        "",
        "## `redis://`, `rediss://`, `unix://`",
        "",
        *record(RedisOptions, REDIS),
        "",
        "They take the options of [bytes](#bytes) as well.",
        "",
        "## `disk://`",
        "",
        *record(DiskOptions, DISK),
        "",
        "It takes the options of [bytes](#bytes) as well; their `size_limit` is called `value_size_limit` here.",
        "",
        "## Bytes",
        "",
        *record(SerializerOptions, BYTES),
    ]
    return "\n".join(parts) + "\n"


def parameters(name: str) -> dict[str, str]:
    """Return the options of a decorator with their defaults as text, those that all share among them."""
    method = getattr(Cache, name)
    signature = inspect.signature(method)
    found = {
        parameter.name: "required" if parameter.default is parameter.empty else code(parameter.default)
        for parameter in signature.parameters.values()
        if parameter.name != "self" and parameter.kind is not parameter.VAR_KEYWORD
    }
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in signature.parameters.values()):
        found.update(dict.fromkeys(shared_options(), ""))
    return {each: "`Exception`" if default == code(Exception) else default for each, default in found.items()}


def shared_options() -> tuple[str, ...]:
    """Return the options that caching decorators share, all but `iterator`."""
    return tuple(import_module(Cache.early.__module__).Common.__annotations__)


def matrix(names: tuple[str, ...], meanings: Mapping[str, str]) -> Iterator[str]:
    """Yield a section for each decorator, and the meanings of all options."""
    of = {name: parameters(name) for name in names}
    described(", ".join(names), meanings, {option for options in of.values() for option in options})
    yield "| Option | of | |"
    yield "| --- | --- | --- |"
    for option, meaning in meanings.items():
        owners = [name for name in names if option in of[name]]
        yield f"| `{option}` | {'all' if owners == list(names) else ', '.join(owners)} | {meaning} |"
    for name in names:
        yield ""
        yield f"### `{name}`"
        yield ""
        yield "| Option | Default |"
        yield "| --- | --- |"
        for option, default in of[name].items():
            if default:
                yield f"| `{option}` | {default} |"


def decorators_page() -> str:
    """Return the page about the options of decorators."""
    parts = [
        "# Decorators",
        "",
        "They are methods of a [cache](cache.md), which describes each. Those of the ready-made cache may be",
        "imported by name: `cashews.early`, `cashews.soft`, `cashews.hit`, `cashews.dynamic`,",
        "`cashews.failover`, `cashews.iterator`, `cashews.locked`, `cashews.rate_limit`,",
        "`cashews.slice_rate_limit`, `cashews.circuit_breaker`, `cashews.thunder_protection`,",
        "`cashews.invalidate`, `cashews.transaction`.",
        "",
        "Every duration is seconds, text such as `1h30m`, a `timedelta` or `None`; a ttl may also be a callable of",
        "the call's arguments.",
        "",
        NOTE,
        "## Caching decorators",
        "",
        *wrap(
            f"All but `iterator` share {', '.join(f'`{each}`' for each in shared_options())}. They are off unless"
            " given; `protected` is on unless switched off.",
            WIDTH,
        ),
        "",
        *matrix(CACHING, CACHING_OPTIONS),
        "",
        "### What a cached function gains",
        "",
        "| | |",
        "| --- | --- |",
        "| `key(...)` | the key of a call with these arguments |",
        "| `await invalidate(...)` | removes the value of a call; says whether there was one |",
        "| `await refresh(...)` | runs the function, stores its outcome and returns it |",
        "| `await peek(...)` | the stored result of a call, or `None`, without running the function |",
        "",
        "A cached iterator has `key` and `invalidate`. On a method, they are called on the class, with the instance as",
        "first argument.",
        "",
        "## Guards",
        "",
        *matrix(GUARDS, GUARD_OPTIONS),
        "",
        "A guarded function has `key(...)`; that of `bloom` has `await set(...)` besides, which runs the function and",
        "puts the call in the filter if the result is true.",
    ]
    return "\n".join(parts) + "\n"


PAGES = {"options.md": options_page, "decorators.md": decorators_page}


if __name__ == "__main__":
    for name, page in PAGES.items():
        (REFERENCE / name).write_text(page(), encoding="utf-8")
