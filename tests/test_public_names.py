"""The public names of the package: complete, importable, in the way of no module, and annotated with real types."""

import ast
import importlib
import importlib.util
import inspect
import pkgutil
import typing
from pathlib import Path

import pytest

import cashews
import cashews.typing
from cashews import exceptions

CLASSES = sorted(name for name in cashews.__all__ if inspect.isclass(getattr(cashews, name)))
FUNCTIONS = sorted(name for name in cashews.__all__ if inspect.isroutine(getattr(cashews, name)))
MODULES = {module.name for module in pkgutil.iter_modules(cashews.__path__)}


def methods_of(kind):
    """Give the methods of a class that users may call; those of the types that it derives from are theirs."""
    for name, member in {
        name: member for base in reversed(kind.__mro__) for name, member in vars(base).items()
    }.items():
        function = inspect.unwrap(getattr(member, "fget", None) or getattr(member, "__func__", member))
        public = not name.startswith("_") or name in {"__init__", "__call__", "__aenter__", "__aexit__"}
        if public and inspect.isfunction(function) and function.__module__.startswith("cashews"):
            yield name, function


def assigned(path):
    """Give the names that a module imports, assigns or declares at its top."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module != "__future__":
            yield from (alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.Assign):
            yield from (name.id for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name))
        elif isinstance(node, ast.AnnAssign):
            yield node.target.id


@pytest.mark.parametrize("module", [cashews, cashews.typing], ids=lambda module: module.__name__)
def test_all_names_every_public_name_once(module):
    names = [name for name in assigned(Path(module.__file__)) if name == "__version__" or not name.startswith("_")]
    assert sorted(module.__all__) == sorted(set(names) - {"cashews"})
    assert all(hasattr(module, name) for name in module.__all__)


def test_dir_lists_the_public_names_and_the_modules_that_users_import():
    modules = {"exceptions", "helpers", "testing", "typing"}
    for name in modules:
        importlib.import_module(f"cashews.{name}")
    names = dir(cashews)
    assert names == sorted(names)
    assert {*cashews.__all__, *modules} <= set(names)
    assert set(names) - set(cashews.__all__) <= {name for name in MODULES if not name.startswith("_")}
    assert not {"api", "engine", "actors", "runners", "table"} & set(names)


def test_no_public_name_hides_a_module():
    assert set(cashews.__all__).isdisjoint(MODULES)


@pytest.mark.parametrize("name", sorted(MODULES & set(cashews._MODULES)))
def test_a_public_module_may_be_imported_by_path(name):
    assert importlib.import_module(f"cashews.{name}").__name__ == f"cashews.{name}"


def test_every_public_module_is_one_that_exists():
    assert set(cashews._MODULES) <= MODULES


def test_every_error_is_at_the_top():
    errors = {
        name
        for name, kind in vars(exceptions).items()
        if inspect.isclass(kind) and issubclass(kind, Exception) and kind.__module__ == "cashews.exceptions"
    }
    assert errors <= set(cashews.__all__)
    assert all(getattr(cashews, name) is getattr(exceptions, name) for name in errors)


def test_every_type_for_annotations_is_at_the_top():
    assert all(getattr(cashews, name) is getattr(cashews.typing, name) for name in cashews.typing.__all__)
    assert set(cashews.typing.__all__) <= set(cashews.__all__)


def test_a_star_import_brings_the_public_names():
    names: dict[str, object] = {}
    exec("from cashews import *", names)
    assert set(cashews.__all__) <= set(names)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_annotations_of_a_public_function_are_real_types(name):
    assert typing.get_type_hints(getattr(cashews, name))


@pytest.mark.parametrize("name", CLASSES)
def test_the_annotations_of_the_methods_of_a_public_class_are_real_types(name):
    for method, function in methods_of(getattr(cashews, name)):
        hints = typing.get_type_hints(function)
        assert hints or method == "__init__"


def test_every_command_and_decorator_of_a_cache_is_looked_at():
    methods = dict(methods_of(cashews.Cache))
    assert {"get", "get_or_set", "lock", "early", "iterator", "locked", "transaction", "open", "detect"} <= set(methods)
