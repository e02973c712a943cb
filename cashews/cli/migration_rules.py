"""The rules of ``migrate-check``: which lines of a program for cashews 7 mean something else here, and why."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from cashews._deprecated import GONE
from cashews.exceptions import WrongTTLError
from cashews.ttl import seconds


class Change(NamedTuple):
    """A change of meaning: the old one, the new one, and the words to write instead."""

    rule: str
    old: str
    new: str
    write: str


CACHING: Final = frozenset({"cache", "early", "soft", "hit", "dynamic", "failover", "iterator"})
GUARDING: Final = frozenset(
    {"locked", "rate_limit", "slice_rate_limit", "circuit_breaker", "thunder_protection", "bloom"}
)
DURATIONS: Final = frozenset({"ttl", "expire", "early_ttl", "soft_ttl", "period", "half_open_ttl", "time_condition"})
PATTERNED: Final = frozenset({"delete_match", "get_match", "scan", "invalidate"})
MODULES: Final = frozenset({"decorators", "compresors", "utils", "cache_condition", "key_context"})

DURATION: Final = Change(
    "duration", "a number without a unit is dropped, or seconds", "a WrongTTLError", "write the unit"
)
TAGS: Final = Change(
    "tags",
    "tags in sets of their own",
    "tags beside the value; those of cashews 7 are not seen",
    "remove tagged keys before you change over",
)
REGISTERED: Final = Change(
    "register_tag",
    "adds no tag by itself",
    "gives the tag to every value whose key fits",
    "leave it out where tags= is enough",
)
LOCKS: Final = Change(
    "locks",
    "locks of both versions exclude each other",
    "locks of cashews 7 are not seen",
    "do not run both side by side where this lock matters",
)
LEASE: Final = Change(
    "lock=True",
    "the lease is the ttl",
    "the lease is 60 s, renewed while the function runs",
    "lock='5m' for another lease",
)
DEFAULT_KEY: Final = Change(
    "default key",
    "begins with module:function",
    "begins with module.function, so what is stored is not found",
    "key=... with the old text, or expect a load per key",
)
COLD: Final = Change("cold start", "reads its own records", "records of cashews 7 are absent", "expect a load per key")
DISABLE: Final = Change(
    "disable", "holds in the context", "holds in the process", "with cache.disabling(): for a context"
)
MIDDLEWARES: Final = Change(
    "middlewares", "the last one is the outermost", "the first is", "reverse the list if order matters"
)
PATTERN: Final = Change(
    "pattern", "a regular expression in memory, a glob on Redis", "* is any text, all else is itself", "use * alone"
)
HALF_OPEN: Final = Change(
    "half-open circuit",
    "a window by chance",
    "every other call passes, one failure opens it again",
    "nothing, if that suits",
)
FORMAT: Final = Change(
    "format", "the format is ignored", "it is applied, so keys differ", "leave it out to keep old keys"
)
PLAIN: Final = Change("plain function", "fails at the call", "a NotAsyncError at decoration", "async def")
CLUSTER: Final = Change(
    "cluster",
    "transactions over several slots",
    "they are refused on a cluster",
    "give all keys of a transaction the same text in braces",
)
SHARED: Final = Change(
    "mem://",
    "values are copied when they are set",
    "the very objects are shared, both ways",
    "mem://?copy=deep to copy both ways",
)
SIGNED: Final = Change(
    "secret",
    "its own signature",
    "values signed by cashews 7 are absent",
    "legacy_digestmod='md5' to read them for a while",
)
PING: Final = Change(
    "ping",
    "may answer though the store is out of reach",
    "raises when the store cannot be reached",
    "except CacheError",
)
TAGS_BACKEND: Final = Change("setup_tags_backend", "tags have a store", "accepted, and changes nothing", "leave it out")


BARE: Final = CACHING | GUARDING | {"setup", "disable", "invalidate"}
"""The names of the package that are methods of its ready-made cache."""


class Project(NamedTuple):
    """The names that stand for caches, in all files of a program and in one of them."""

    caches: frozenset[str]
    homes: frozenset[tuple[str, ...]] = frozenset()
    """The files that make or import a cache, each as the parts of its path that may be in the name of its module."""
    modules: frozenset[str] = frozenset()
    """The names of the package in one file."""
    own: Mapping[str, str] = {}
    """The names of methods of the ready-made cache in one file, each with its name in the package."""


def caches_in(tree: ast.Module) -> Iterator[str]:
    """Give the names to which a file assigns a cache, and those by which it imports one."""
    imported = dict(_imported(tree))
    yield from (name for name, old in imported.items() if old in {"cache", "mem"})
    classes = {"Cache", *(name for name, old in imported.items() if old == "Cache")}
    for node in ast.walk(tree):
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        value = getattr(node, "value", None)
        if isinstance(value, ast.Call) and not classes.isdisjoint(ast.unparse(value.func).split(".")):
            yield from filter(None, map(_last, targets))


def changes_in(tree: ast.Module, project: Project) -> Iterator[tuple[int, Change]]:
    """Give the lines of a file that mean something else here, each with the change."""
    if not _uses_cashews(tree, project):
        return
    project = project._replace(
        modules=frozenset(_modules(tree)),
        own={name: old.removeprefix("noself_") for name, old in _imported(tree) if old in BARE | {"noself_cache"}},
    )
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from _imports(node)
        elif isinstance(node, ast.Call):
            for change in _call(node, project):
                yield node.lineno, change
        elif isinstance(node, ast.FunctionDef):
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and _method(decorator.func, project) in CACHING | GUARDING:
                    yield node.lineno, PLAIN


def _imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Give the names that a file imports from the package, each with its name there."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "cashews":
            yield from ((name.asname or name.name, name.name) for name in node.names)


def _modules(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.asname or "cashews" for name in node.names if name.name.partition(".")[0] == "cashews")


def _uses_cashews(tree: ast.Module, project: Project) -> bool:
    if any(_modules(tree)) or any(_imported(tree)):
        return True
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return any(_is_cache(name.name, node, project) for node in imports for name in node.names)


def _is_cache(name: str, node: ast.ImportFrom, project: Project) -> bool:
    """Say whether an imported name is a cache; one of a common name has to come from a file that has a cache."""
    if name not in {"cache", "mem"}:
        return name in project.caches
    module = tuple(node.module.split(".")) if node.module else ()
    return any(home[len(home) - len(module) :] == module for home in project.homes)


def _imports(node: ast.ImportFrom) -> Iterator[tuple[int, Change]]:
    module = node.module or ""
    for name in node.names:
        new = GONE.get(module, {}).get(name.name)
        if new is not None:
            yield node.lineno, Change("import", f"{module}.{name.name}", "works, with a DeprecationWarning", str(new))
    part = module.removeprefix("cashews.").partition(".")[0]
    if module.startswith("cashews.") and part in MODULES:
        yield node.lineno, Change("import", module, "not there", "import from cashews itself")
    if module.startswith("cashews.contrib"):
        yield node.lineno, Change("import", module, "works in another way", "see the page on migration")


def _call(node: ast.Call, project: Project) -> Iterator[Change]:
    method = _method(node.func, project)
    if not method:
        return
    options = {each.arg: each.value for each in node.keywords if each.arg}
    yield from _durations(options, node, method)
    for check in (_decorator, _command, _setup):
        yield from check(method, options, node)


def _durations(options: dict[str, ast.expr], node: ast.Call, method: str) -> Iterator[Change]:
    given = [value for option, value in options.items() if option in DURATIONS]
    if method in CACHING:
        given += node.args[:1]
    for value in given:
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            try:
                seconds(value.value)
            except WrongTTLError:
                yield DURATION._replace(old=f"{value.value!r}: " + DURATION.old)


def _decorator(method: str, options: dict[str, ast.expr], _: ast.Call) -> Iterator[Change]:
    if method not in CACHING | GUARDING:
        return
    if "key" not in options and "name" not in options:
        yield DEFAULT_KEY
    if method in {"early", "soft", "iterator"}:
        yield COLD
    if "tags" in options:
        yield TAGS
    if method in {"locked", "thunder_protection"}:
        yield LOCKS
    if "lock" in options:
        yield LEASE
        yield LOCKS
    if "half_open_ttl" in options:
        yield HALF_OPEN
    key = options.get("key")
    if isinstance(key, ast.Constant) and isinstance(key.value, str) and _has_format(key.value):
        yield FORMAT


def _has_format(template: str) -> bool:
    specs = [field.partition("}")[0].partition(":")[2] for field in template.split("{")[1:]]
    return any(spec and not spec[0].isalpha() for spec in specs)


SIMPLE: Final = {
    "disable": DISABLE,
    "register_tag": REGISTERED,
    "delete_tags": TAGS,
    "lock": LOCKS,
    "set_lock": LOCKS,
    "ping": PING,
    "setup_tags_backend": TAGS_BACKEND,
    "add_middleware": MIDDLEWARES,
}
"""The methods of which every call is told."""


def _command(method: str, _: dict[str, ast.expr], node: ast.Call) -> Iterator[Change]:
    if method in SIMPLE:
        yield SIMPLE[method]
    first = node.args[0] if node.args else None
    text = first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else ""
    if method in PATTERNED and any(sign in text for sign in "?[\\^$+|("):
        yield PATTERN


def _setup(method: str, options: dict[str, ast.expr], node: ast.Call) -> Iterator[Change]:
    if method != "setup":
        return
    url = node.args[0] if node.args else options.get("settings_url")
    text = url.value if isinstance(url, ast.Constant) and isinstance(url.value, str) else ""
    if text.startswith("mem://") and "copy" not in text and "copy" not in options:
        yield SHARED
    if "middlewares" in options or len(node.args) > 1:
        yield MIDDLEWARES
    if "secret" in options or "secret=" in text:
        yield SIGNED
    value = options.get("cluster")
    on = value is not None and not (isinstance(value, ast.Constant) and not value.value)
    if on or "cluster=1" in text or "cluster=true" in text.lower():
        yield CLUSTER


def _method(function: ast.expr, project: Project) -> str:
    """Return the name of a method of a cache, `"cache"` for a cache that is called; an empty text for all else."""
    if isinstance(function, ast.Call) and _last(function.func) == "noself" and function.args:
        function = function.args[0]
    name = _last(function)
    if isinstance(function, ast.Name) and name in project.own:
        return project.own[name]
    if name in project.caches:
        return "cache"
    if not isinstance(function, ast.Attribute):
        return ""
    place = _last(function.value)
    return name if place in project.caches or (place in project.modules and name in BARE) else ""


def _last(node: ast.expr) -> str:
    """Return the last name of a dotted expression, or an empty text."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
