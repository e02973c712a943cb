"""The house rules of the package, executed: one word has one meaning, a question has no effect, attributes are set.

Each rule is a function of parsed modules that returns one sentence per place that breaks it. The package has none, and
each rule finds a planted violation.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import cashews

PACKAGE = Path(next(iter(cashews.__path__)))
GLOSSARY = PACKAGE.parent / "docs" / "explanation" / "glossary.md"

ROOMS = {"values", "structures", "locks", "tags", "keys", "transactions"}
"""Modules that exist once per wing; what is in them is told apart by the wing."""

BANNED_CLASSES = {
    "Further",  # Invalidator
    "Holdings",  # KeyLocks
    "Home",  # Loop
    "Kept",  # a name of what is kept
    "Lease",  # LoadPermit, for the right of a load; a lease is the seconds of a lock
    "Reply",  # ReplySlot
    "Scribe",  # Escaping
    "Surroundings",  # Environment
    "Terms",  # KeyLocks
}
"""Class names that once meant something else than they said, with the word that is used."""

BANNED_WORDS = {
    "at_once",  # in_place, savepoint
    "breathe",
    "decor",
    "demand",  # ask, with strict=True
    "spelled",  # escaped
    "wrap",
}
"""Words in names of functions, and of whole arguments, that say too little or another thing."""

NOTHING_SAID = ("Helper", "Manager", "Mixin", "Util", "Wrapper")
"""Parts of class names that say nothing."""

UNUSED_TERMS = {"Sweeper"}
"""Terms of the glossary that name no type: the service of the memory store that sweeps."""

Modules = dict[str, ast.Module]


def read(package: Path) -> Modules:
    """Return the modules of a package by name, parsed."""
    return {
        ".".join(path.relative_to(package).with_suffix("").parts): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(package.rglob("*.py"))
    }


def nodes(modules: Modules, *kinds: type[ast.AST]) -> Iterator[tuple[str, ast.AST]]:
    for name, module in modules.items():
        yield from ((name, node) for node in ast.walk(module) if isinstance(node, kinds))


# --- one word, one meaning


def homonyms(modules: Modules) -> Iterator[str]:
    """Tell the class names that stand in more than one module; rooms of several wings may share one."""
    places = defaultdict(set)
    for name, node in nodes(modules, ast.ClassDef):
        places[node.name].add(name)
    for name, there in places.items():
        if len(there) > 1 and not {module.rpartition(".")[2] for module in there} <= ROOMS:
            yield f"a class called {name} stands in {', '.join(sorted(there))}"


def banned_names(modules: Modules) -> Iterator[str]:
    """Tell the classes, functions and arguments whose name says nothing, or another thing than is meant."""
    for module, node in nodes(modules, ast.ClassDef):
        if node.name in BANNED_CLASSES or any(part in node.name for part in NOTHING_SAID):
            yield f"{module} has a class called {node.name}"
    for module, node in nodes(modules, ast.FunctionDef, ast.AsyncFunctionDef, ast.arg):
        name = node.arg if isinstance(node, ast.arg) else node.name
        for word in BANNED_WORDS:
            if re.search(rf"(^|_){word}(_|$)", name):
                yield f"{module} has a name with the word {word}: {name}"
        if re.match("_*process", name):  # a verb that says nothing; "in_process" says where
            yield f"{module} has a name with the word process: {name}"


def type_names(modules: Modules) -> set[str]:
    """Return the names of the classes and type aliases."""
    aliases = {
        node.target.id for _, node in nodes(modules, ast.AnnAssign) if ast.unparse(node.annotation) == "TypeAlias"
    }
    return aliases | {node.name for _, node in nodes(modules, ast.ClassDef)}


def terms(glossary: str) -> set[str]:
    """Return the terms of the glossary that are written like classes."""
    found = re.findall(r"^\| \*\*(.+?)\*\* \|", glossary, re.MULTILINE)
    return {term for term in found if re.fullmatch(r"(?:[A-Z][a-z]+)+", term)}


# --- a question has no effect


def questions(modules: Modules) -> Iterator[str]:
    """Tell the functions whose name asks a question and whose answer is not yes or no."""
    for module, node in nodes(modules, ast.FunctionDef, ast.AsyncFunctionDef):
        answer = "" if node.returns is None else ast.unparse(node.returns)
        if re.match(r"_*(is|has)_", node.name) and not re.fullmatch(r"bool|TypeGuard\[.+\]", answer):
            yield f"{module}:{node.lineno} {node.name} returns no bool"


# --- attributes are set where they are read


def unset_attributes(modules: Modules) -> Iterator[str]:
    """Tell the attributes of `self` that a class reads and that neither it nor a base of it in the package sets."""
    classes = {node.name: node for _, node in nodes(modules, ast.ClassDef)}
    for module, node in nodes(modules, ast.ClassDef):
        known = attributes(node, classes)
        if known is None:
            continue
        for attribute in (part for part in ast.walk(node) if is_of_self(part, ast.Load)):
            if attribute.attr not in known and not hasattr(object, attribute.attr):
                yield f"{module}:{attribute.lineno} {node.name} reads self.{attribute.attr}, which nothing sets"


def attributes(node: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> set[str] | None:
    """Return the attributes that a class has with those of its bases; `None` if one of these is not the package's."""
    found = set(own_attributes(node))
    for base in node.bases:
        name = ast.unparse(base.value if isinstance(base, ast.Subscript) else base).rpartition(".")[2]
        if name in PLAIN_BASES:
            continue
        inherited = attributes(classes[name], classes) if name in classes else None
        if inherited is None:
            return None
        found |= inherited
    return found


PLAIN_BASES = {"ABC", "Generic", "Protocol", "object"}


def own_attributes(node: ast.ClassDef) -> Iterator[str]:
    """Give the names that a class sets: in its body, and on `self`."""
    for statement in node.body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield statement.name
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            yield from (name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name))
    yield from (part.attr for part in ast.walk(node) if is_of_self(part, ast.Store))


def is_of_self(node: ast.AST, how: type[ast.expr_context]) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.ctx, how)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    )


RULES = (homonyms, banned_names, questions, unset_attributes)


def violations(modules: Modules) -> set[str]:
    return {sentence for rule in RULES for sentence in rule(modules)}


def test_the_package_keeps_the_rules():
    assert violations(read(PACKAGE)) == set()


def test_the_terms_of_the_glossary_are_names_in_the_package():
    assert terms(GLOSSARY.read_text(encoding="utf-8")) - type_names(read(PACKAGE)) == UNUSED_TERMS


@pytest.mark.parametrize(
    "text",
    [
        "class LeaseOfALock:\n    pass\n",
        "def preprocessed(wrapped): pass\n",
        "def is_there(key) -> bool: pass\n",
        "def isolated(): pass\n",
        "class A:\n    x: int\n    def f(self): return self.x\n",
        "class A:\n    def __init__(self): self.x = self.y = 1\n    def f(self): return self.y\n",
        "class A:\n    def __init__(self): self.x = 1\nclass B(A):\n    def f(self): return self.x\n",
        "class A(Other):\n    def f(self): return self.x\n",
    ],
)
def test_what_keeps_the_rules_is_left_alone(text):
    assert violations({"engine.a": ast.parse(text)}) == set()


def test_rooms_of_several_wings_may_share_a_name():
    one = ast.parse("class Set: pass")
    assert violations({"messages.values": one, "backends.disk.values": one}) == set()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("class Lease: pass", "a has a class called Lease"),
        ("class LockManager: pass", "a has a class called LockManager"),
        ("def serve_at_once(): pass", "a has a name with the word at_once: serve_at_once"),
        ("def f(_wrap): pass", "a has a name with the word wrap: _wrap"),
        ("class A:\n    async def process(self): pass", "a has a name with the word process: process"),
        ("def is_there(key): pass", "a:1 is_there returns no bool"),
        ("def _has_room() -> float | None: pass", "a:1 _has_room returns no bool"),
        ("class A:\n    def f(self): return self.x", "a:2 A reads self.x, which nothing sets"),
        (
            "class A:\n    def f(self): return self.x\nclass B(A):\n    def __init__(self): self.x = 1",
            "a:2 A reads self.x, which nothing sets",
        ),
    ],
)
def test_a_broken_rule_is_found(text, sentence):
    assert violations({"a": ast.parse(text)}) == {sentence}


def test_a_class_name_in_two_modules_is_found():
    one = ast.parse("class Letter: pass")
    assert violations({"engine.a": one, "actors.b": one}) == {"a class called Letter stands in actors.b, engine.a"}


def test_the_glossary_is_read():
    page = "| Term | Meaning |\n| **LoadPermit** | the right |\n| **in place** | served |\n**Home** is gone\n"
    assert terms(page) == {"LoadPermit"}
