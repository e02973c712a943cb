"""The way over from cashews 7: old names work with a warning, and `migrate-check` tells the lines that change."""

import importlib
import json
import subprocess
import sys
import warnings
from collections import defaultdict
from pathlib import Path

import pytest

import cashews
from cashews import Cache
from cashews._deprecated import GONE
from cashews.cli.migrate_check import FAILED, FOUND, NOTHING, main
from tests.shop_of_cashews_7 import FILES
from tests.test_imports import fresh

NAMES = [(module, name) for module, names in GONE.items() for name in names]


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_a_name_that_is_gone_works_with_a_warning_that_names_the_new_one(module, name):
    with pytest.warns(DeprecationWarning, match="is gone: use") as told:
        found = getattr(importlib.import_module(module), name)
    assert f"{module}.{name} is gone: use {GONE[module][name]}" in str(told[0].message)
    assert told[0].filename == __file__
    assert found is not None


@pytest.mark.parametrize("module", GONE)
def test_a_name_that_never_was_is_an_error(module):
    with pytest.raises(AttributeError, match="nothing_such"):
        importlib.import_module(module).nothing_such  # noqa: B018  its error is wanted


def test_an_import_of_the_package_does_not_load_the_old_names():
    loaded = fresh("import sys, cashews; print(*sys.modules)").split()
    assert {f"cashews.{name}" for name in ("_deprecated", "wrapper", "key", "picklers", "cli")}.isdisjoint(loaded)


def old(module, name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return getattr(importlib.import_module(module), name)


async def test_old_names_do_what_they_did():
    assert old("cashews.wrapper", "Cache") is Cache
    assert old("cashews.ttl", "ttl_to_seconds")("1h") == 3600

    async def function(a): ...

    assert old("cashews.key", "get_cache_key")(function, "k:{a}", (5,)) == "k:5"
    pickler = old("cashews.picklers", "PicklerType")
    async with Cache.open("mem://", pickle_type=pickler.JSON) as cache:
        load = cache(ttl=10, key="k")(function)
        await load(1)
        with old("cashews", "context_cache_detect") as detector:
            await load(1)
        assert detector.keys == ("k",)


def test_exceptions_that_are_gone_catch_what_is_raised_here():
    with pytest.raises(old("cashews.exceptions", "UnsupportedPicklerError")):
        Cache().setup("mem://", pickle_type="nonsense")


# --- migrate-check

LINES = {
    "from cashews.wrapper import Cache": "import",
    "from cashews.decorators.cache.early import early": "import",
    "from cashews.contrib.fastapi import cache_control_ttl": "import",
    'cache.setup("mem://")': "mem://",
    'cache.setup("redis://x", middlewares=(a, b))': "middlewares",
    'cache.setup("redis://x", cluster=True)': "cluster",
    'cache.setup("redis://x?cluster=True")': "cluster",
    'cache.setup("redis://x", secret="s")': "secret",
    "cache.disable()": "disable",
    "cache.disable(Command.GET)": "disable",
    'await cache.set("k", 1, expire="1h30")': "duration",
    'await cache.set("k", 1, expire="")': "duration",
    'await cache.delete_match("user:[a-z]")': "pattern",
    'await cache.delete_tags("t")': "tags",
    'cache.register_tag("t", "k:{a}")': "register_tag",
    "cache.setup_tags_backend('redis://x')": "setup_tags_backend",
    'cache.lock("k", 10)': "locks",
    "await cache.ping()": "ping",
    "own = Cache()": None,
    'own.lock("k", 10)': "locks",
    '@cache(ttl="1h", key="k:{a}")\nasync def f(a): ...': None,
    '@cache(ttl="1h", key="k:{a:hash}")\nasync def f(a): ...': None,
    '@cache(ttl="1h", key="k:{a:%Y}")\nasync def f(a): ...': "format",
    '@cache(ttl="1h")\nasync def f(a): ...': "default key",
    '@cache("1h30", key="k")\nasync def f(): ...': "duration",
    '@cache(ttl="1h", key="k")\ndef f(): ...': "plain function",
    '@cache.early(ttl="1h", key="k")\nasync def f(): ...': "cold start",
    '@cache(ttl="1h", key="k", tags=["t"])\nasync def f(): ...': "tags",
    '@cache(ttl="1h", key="k", lock=True)\nasync def f(): ...': "lock=True",
    '@cache.locked(ttl="1h", key="k")\nasync def f(): ...': "locks",
    '@cache.circuit_breaker(10, "1m", "1m", half_open_ttl="1m", key="k")\nasync def f(): ...': "half-open circuit",
    'await cache.set("k", 1, expire="1h30m")': None,
    'await cache.delete_match("user:*")': None,
    'cache.setup("redis://x", client_side=False)': None,
    'cache.setup("redis://x", client_side=True)': None,
    "other.disable()": None,
}


@pytest.fixture
def program(tmp_path):
    def write(text, name="app.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write


def rules(path, capsys):
    code = main([str(path), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert code == (FOUND if found else NOTHING)
    return [(each["line"], each["rule"]) for each in found]


@pytest.mark.parametrize("line", LINES)
def test_a_line_that_changes_its_meaning_is_told(program, capsys, line):
    body = "\n".join("    " + each for each in line.splitlines())
    path = program(f"from cashews import cache, Cache\nown = Cache()\nasync def main():\n{body}\n")
    found = rules(path, capsys)
    first = 4 + line.startswith("@") * (LINES[line] == "plain function")
    assert ((first, LINES[line]) in found) if LINES[line] else found == []


def test_a_program_without_the_package_is_left_alone(program, capsys):
    path = program("cache = redis.Redis()\ncache.lock('k')\n")
    assert rules(path, capsys) == []


def test_a_cache_of_another_file_is_known(program, capsys, tmp_path):
    program("from cashews import Cache\nstore: Cache = Cache()\n", "stores.py")
    program("from stores import store\nstore.disable()\n", "app.py")
    program("from cashews import cache\ncache.disable()\n", ".venv/skipped.py")
    program("from cashews import cache\ncache.disable()\n", "my-venv/skipped.py")
    assert rules(tmp_path, capsys) == [(2, "disable")]


@pytest.mark.parametrize(
    ("module", "name", "told"),
    [
        ("app.caches", "app/caches.py", True),
        ("caches", "app/caches.py", True),
        (".caches", "app/caches.py", True),
        (".", "app/__init__.py", True),
        ("app", "app/__init__.py", True),
        ("functools", "app/caches.py", False),
        ("django.core.cache", "app/cache.py", False),
    ],
)
def test_a_cache_of_another_file_may_have_a_common_name(program, capsys, module, name, told):
    program("from cashews import Cache\ncache = Cache()\n", name)
    users = program(f"from {module} import cache\ncache.disable()\n", "app/users.py")
    assert rules(users.parents[1], capsys) == ([(2, "disable")] if told else [])


def test_a_finding_tells_the_place_the_old_meaning_the_new_one_and_the_cure(program, capsys):
    path = program("from cashews import cache\ncache.disable()\n")
    assert main([str(path)]) == FOUND
    assert capsys.readouterr().out == (
        f"{path}:2: disable: was: holds in the context; is: holds in the process;"
        " write: with cache.disabling(): for a context\n"
    )


def test_files_that_cannot_be_read_are_told_and_the_others_are_checked(program, capsys, tmp_path):
    program("def broken(:\n", "broken.py")
    program("from cashews import cache\ncache.disable()\n")
    assert main([str(tmp_path)]) == FAILED
    said = capsys.readouterr()
    assert "disable" in said.out
    assert "broken.py: cannot be read" in said.err
    assert main([str(tmp_path / "nothing")]) == FAILED


def test_it_runs_from_the_command_line_and_imports_nothing_of_the_program(program):
    path = program("from cashews import cache\nraise SystemExit('imported')\n")
    done = subprocess.run(
        [sys.executable, "-m", "cashews", "migrate-check", str(path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (NOTHING, "", "")


def test_a_whole_program_is_told_line_by_line_and_no_other_line_is(program, capsys, tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        program(text, name)
    assert main([str(tmp_path), "--json"]) == FOUND
    told = defaultdict(set)
    for each in json.loads(capsys.readouterr().out):
        told[Path(each["file"]).relative_to(tmp_path).as_posix(), each["line"]].add(each["rule"])
    wanted = {
        (name, number): set(line.partition("# -> ")[2].split(", "))
        for name, text in FILES.items()
        for number, line in enumerate(text.splitlines(), 1)
        if "# -> " in line
    }
    assert told == wanted


# --- behaviours that programs for cashews 7 rely on


async def test_the_calls_of_a_program_for_cashews_7_work():
    cache = Cache()
    cache.setup("mem://", size=500, check_interval=10)
    seen = []

    async def middleware(call, cmd, _backend, *args, **kwargs):
        seen.append(cmd)
        return await call(*args, **kwargs)

    cache.add_middleware(middleware)

    @cache(ttl="10m", key="user:{user_id}", condition=cashews.NOT_NONE)
    async def user(user_id):
        return user_id or None

    @cache.invalidate("user:{user_id}")
    async def change(user_id):
        return user_id

    @cache.failover("1h", exceptions=(ValueError,), key="f:{a}")
    async def fragile(a):
        if seen.count("fail"):
            raise ValueError(a)
        return a

    assert [await user(0), await cache.get("user:0"), await user(1), await cache.get("user:1")] == [None, None, 1, 1]
    await change(1)
    assert await cache.get("user:1") is None
    assert await fragile(1) == 1
    seen.append("fail")
    assert await fragile(1) == 1
    assert await cache.incr("n") == 1
    assert [await cache.get_expire("n"), await cache.get_expire("nothing")] == [-1, -2]
    await cache.set_many({"a": 1, "b": 2}, expire="1m")
    assert await cache.get_many("a", "b", "c") == (1, 2, None)
    assert sorted([key async for key in cache.scan("*")]) == ["a", "b", "fail:f:1", "n", "user:0"][:4]
    with cache.detect as detector:
        await user(2)
        await user(2)
    assert len(detector.calls["user:2"]) == 1
    async with cache.transaction():
        await cache.set("t", 1)
    async with cache.lock("l", 10):
        assert await cache.is_locked("l")
    await cache.clear()
    await cache.close()
