"""The layers of the package, executed: which module may know which, and who alone may touch a module from outside.

`violations(package)` is a pure function of a directory; the package has none, and each rule finds what is planted.
"""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

import cashews
from tests.layers import ALONE, PURE_ROWS, WINGS, fits, row_of, wing_of

PACKAGE = Path(next(iter(cashews.__path__)))

LONGEST = 400


class Module(NamedTuple):
    """One file of a package, read."""

    name: str
    is_package: bool
    tree: ast.Module
    lines: int


class Import(NamedTuple):
    """One imported thing: `target` with its dots, `name` where it is `from target import name`."""

    target: str
    name: str
    line: int


def violations(package: Path) -> list[str]:
    """Return one sentence for each place where a package breaks a rule."""
    modules = {module.name: module for module in read(package)}
    known = {name: known_modules(module, modules, package.name) for name, module in modules.items()}
    found = [sentence for module in modules.values() for sentence in broken_by(module, package.name)]
    for name, targets in known.items():
        found += [
            f"{name} (row {row_of(name)}) imports {target} (row {row_of(target)})"
            for target in sorted(targets)
            if row_of(name) < row_of(target)
        ]
    try:
        TopologicalSorter({name: sorted(targets) for name, targets in known.items()}).prepare()
    except CycleError as error:
        found.append(f"import cycle: {' <- '.join(error.args[1])}")
    return found


def read(package: Path) -> Iterator[Module]:
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package and len(parts) > 1 else parts)
        text = path.read_text(encoding="utf-8")
        yield Module(name, is_package, ast.parse(text, str(path)), len(text.splitlines()))


def broken_by(module: Module, package: str) -> Iterator[str]:
    """Say what a module breaks by itself, whatever the others are."""
    row = row_of(module.name)
    if row < 0:
        yield f"{module.name} is in no row"
    if module.lines > LONGEST:
        yield f"{module.name} has {module.lines} lines, more than {LONGEST}"
    if row in PURE_ROWS:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.AsyncFunctionDef):
                yield f"{module.name}:{node.lineno} has an async def in row {row}"
    for each in imports(module, package):
        outside = each.target.partition(".")[0]
        if outside in ALONE and not fits(module.name, ALONE[outside]):
            yield f"{module.name}:{each.line} imports {outside}; only {', '.join(ALONE[outside])} may"
    for line, what in chances(module, package):
        yield f"{module.name}:{line} uses random.{what}, which all caches would share; draw from a random.Random"


def imports(module: Module, package: str) -> Iterator[Import]:
    """Give everything a module imports anywhere: at the top, in functions, for type checkers, by constant name."""
    here = [package, *(() if module.name == "__init__" else module.name.split("."))]
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, "", node.lineno)
        elif isinstance(node, ast.ImportFrom):
            up = node.level - module.is_package
            start = here[: len(here) - up] if node.level else []
            target = ".".join([*start, *([node.module] if node.module else [])])
            for alias in node.names:
                yield Import(target, alias.name, node.lineno)
        elif isinstance(node, ast.Call) and called(node) in ("import_module", "__import__") and node.args:
            argument = node.args[0]
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                yield Import(argument.value, "", node.lineno)


def called(node: ast.Call) -> str:
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def known_modules(module: Module, modules: dict[str, Module], package: str) -> set[str]:
    """Return which modules of the package a module imports by name."""
    found = set()
    for each in imports(module, package):
        for path in (f"{each.target}.{each.name}", each.target):
            root, _, name = path.partition(".")
            if root == package and (name or "__init__") in modules:
                found.add(name or "__init__")
                break
    return found - {module.name}


def chances(module: Module, package: str) -> Iterator[tuple[int, str]]:
    """Give each use of the generator that `random` keeps for the whole process."""
    for each in imports(module, package):
        if each.target == "random" and each.name not in ("", "Random"):
            yield each.line, each.name
    plain = [node for node in ast.walk(module.tree) if isinstance(node, ast.Import)]
    names = {alias.asname or alias.name for node in plain for alias in node.names if alias.name == "random"}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", None) in names and node.attr != "Random":
            yield node.lineno, node.attr


def test_the_package_keeps_its_layers():
    assert violations(PACKAGE) == []


def test_every_wing_is_there():
    """The page on the architecture is generated from them."""
    modules = [module.name for module in read(PACKAGE)]
    found = {wing.name for name in modules if (wing := wing_of(name))}
    assert {wing.name for wing in WINGS} - found <= {"contrib"}


def plant(root: Path, files: dict[str, str]) -> Path:
    """Write a small package called `cashews`, clean but for the files given."""
    package = root / "cashews"
    clean = {"__init__.py": "", "ttl.py": "", "keys.py": "from .ttl import x\n", "engine/__init__.py": ""}
    for name, text in {**clean, **files}.items():
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return package


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"clock.py": "import time\nimport random\ndef f(chance: random.Random): random.Random(1)\n"},
        {"actors/loop.py": "import asyncio\nfrom trio import lowlevel\nasync def f(): import asyncio\n"},
        {"backends/redis/wire.py": "import hiredis\nfrom redis.exceptions import RedisError\n"},
        {"engine/scope.py": "from random import Random\nfrom .. import ttl\nfrom cashews import keys\n"},
        {"api.py": "from importlib import import_module\nimport_module('cashews.backends.disk')\n"},
        {"ttl.py": "x = 1\n" * LONGEST},
        {"keys.py": "def random(chance):\n    return chance.random()\n"},
        {
            "api.py": "from .engine import scope\n",
            "engine/scope.py": "from . import routes\n",
            "engine/routes.py": "",
        },
    ],
)
def test_a_package_that_keeps_the_rules_has_no_violations(tmp_path, files):
    assert violations(plant(tmp_path, files)) == []


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"ttl.py": "from .keys import x\n", "keys.py": ""}, "ttl (row 0) imports keys (row 1)"),
        ({"ttl.py": "from . import keys\n", "keys.py": ""}, "ttl (row 0) imports keys (row 1)"),
        ({"ttl.py": "from cashews import keys\n", "keys.py": ""}, "ttl (row 0) imports keys (row 1)"),
        ({"ttl.py": "import cashews.keys\n", "keys.py": ""}, "ttl (row 0) imports keys (row 1)"),
        ({"ttl.py": "def f():\n    from .keys import x\n", "keys.py": ""}, "ttl (row 0) imports keys (row 1)"),
        ({"ttl.py": "if TYPE_CHECKING:\n    from .keys import x\n", "keys.py": ""}, "ttl (row 0) imports keys (row 1)"),
        ({"ttl.py": "import_module('cashews.keys')\n", "keys.py": ""}, "ttl (row 0) imports keys (row 1)"),
        ({"ttl.py": "from . import Cache\n"}, "ttl (row 0) imports __init__ (row 8)"),
        ({"engine/scope.py": "from ..api import x\n", "api.py": ""}, "engine.scope (row 4) imports api (row 7)"),
        ({"engine/__init__.py": "from ..api import x\n", "api.py": ""}, "engine (row 4) imports api (row 7)"),
        (
            {"engine/scope.py": "from .routes import x\n", "engine/routes.py": "from .scope import y\n"},
            "import cycle: engine.routes <- engine.scope <- engine.routes",
        ),
        ({"helper.py": ""}, "helper is in no row"),
        ({"actors/loop/__init__.py": "", "backends/other.py": ""}, "backends.other is in no row"),
        ({"ttl.py": "class T:\n    async def f(self): pass\n"}, "ttl:2 has an async def in row 0"),
        ({"keys.py": "async def f(): pass\n"}, "keys:1 has an async def in row 1"),
        ({"engine/scope.py": "import asyncio.events\n"}, "engine.scope:1 imports asyncio; only actors.loop may"),
        ({"api.py": "def f():\n    import trio\n"}, "api:2 imports trio; only actors.loop may"),
        (
            {"api.py": "from redis.asyncio import Redis\n"},
            "api:1 imports redis; only backends.redis, backends.redis.* may",
        ),
        (
            {"api.py": "importlib.import_module('hiredis')\n"},
            "api:1 imports hiredis; only backends.redis, backends.redis.* may",
        ),
        (
            {"backends/redis.py": "import diskcache\n"},
            "backends.redis:1 imports diskcache; only backends.disk, backends.disk.* may",
        ),
        ({"engine/scope.py": "from time import monotonic\n"}, "engine.scope:1 imports time; only clock may"),
        ({"api.py": "import fastapi\n"}, "api:1 imports fastapi; only contrib.* may"),
        ({"api.py": "import random\nrandom.shuffle([])\n"}, "api:2 uses random.shuffle,"),
        ({"api.py": "import random as chance\nchance.random()\n"}, "api:2 uses random.random,"),
        ({"api.py": "from random import uniform\n"}, "api:1 uses random.uniform,"),
        ({"api.py": "x = 1\n" * (LONGEST + 1)}, "api has 401 lines, more than 400"),
    ],
)
def test_a_broken_rule_is_found(tmp_path, files, sentence):
    (found,) = violations(plant(tmp_path, files))
    assert found.startswith(sentence)
