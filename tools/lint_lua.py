"""Check the Lua scripts of the Redis store: `python tools/lint_lua.py [FOLDER]`, with luaparser from the extra `lint`.

Reports syntax errors, globals, unknown names, unused names, names that hide others, shared pieces that a script
requires and does not use, long lines and spaces at their ends.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from luaparser import ast
from luaparser import astnodes as lua

FOLDER = Path(__file__).parents[1] / "cashews" / "backends" / "redis" / "lua"
REQUIRES = "-- Requires: "
LONGEST = 120
LIBRARIES = frozenset({"bit", "cjson", "math", "redis", "string", "struct", "table"})
FUNCTIONS = frozenset({"ipairs", "next", "pairs", "pcall", "select", "tonumber", "tostring", "type", "unpack"})
GIVEN = LIBRARIES | FUNCTIONS | {"ARGV", "KEYS"}
"""Names that the server gives to every script."""
UNUSED = "_"
"""The name of a value that nothing needs."""


@dataclass
class Local:
    """A name that a script declares."""

    file: str
    line: int
    used: bool = False


@dataclass
class Names:
    """The names of one script: `read` walks a file of it, `found` has a sentence for each fault."""

    found: list[str] = field(default_factory=list)
    scopes: list[dict[str, Local]] = field(default_factory=lambda: [{}])
    file: str = ""
    line: int = 0

    def read(self, file: str, tree: lua.Node) -> None:
        """Walk a file; its locals stay known to the files behind it."""
        self.file = file
        for statement in tree.body.body:
            self.visit(statement)

    def report(self, sentence: str) -> None:
        """Keep a sentence about the place that is being read."""
        self.found.append(f"{self.file}:{self.line} {sentence}")

    def declare(self, *names: lua.Node) -> None:
        """Add names to the innermost scope."""
        for name in names:
            if isinstance(name, lua.Name) and name.id != UNUSED:
                if name.id in GIVEN or any(name.id in scope for scope in self.scopes):
                    self.report(f"hides another {name.id}")
                self.scopes[-1][name.id] = Local(self.file, self.line)

    def visit(self, node: object) -> None:
        """Walk a node."""
        if isinstance(node, list):
            for each in node:
                self.visit(each)
        elif isinstance(node, lua.Node):
            self.line = node.line or self.line
            visit = getattr(self, f"visit_{type(node).__name__.lower()}", self.visit_parts)
            visit(node)

    def visit_parts(self, node: lua.Node) -> None:
        """Walk the parts of a node that declares nothing."""
        for name, part in vars(node).items():
            if not name.startswith("_") and name != "comments":
                self.visit(part)

    def visit_name(self, node: lua.Name) -> None:
        for scope in reversed(self.scopes):
            if node.id in scope:
                scope[node.id].used = True
                return
        if node.id not in GIVEN:
            self.report(f"reads {node.id}, which nothing declares")

    def visit_index(self, node: lua.Index) -> None:
        self.visit(node.value)
        if node.notation is lua.IndexNotation.SQUARE:
            self.visit(node.idx)

    def visit_field(self, node: lua.Field) -> None:
        self.visit(node.value)
        if node.between_brackets:
            self.visit(node.key)

    def visit_localassign(self, node: lua.LocalAssign) -> None:
        self.visit(node.values)
        self.declare(*node.targets)

    def visit_assign(self, node: lua.Assign) -> None:
        self.visit(node.values)
        self.assign(node.targets)

    def assign(self, targets: Sequence[lua.Node]) -> None:
        """Walk the targets of an assignment: to assign to a name is no use of it."""
        for target in targets:
            if not isinstance(target, lua.Name):
                self.visit(target)
            elif not any(target.id in scope for scope in self.scopes):
                self.report(f"assigns to {target.id}, a global")

    def visit_localfunction(self, node: lua.LocalFunction) -> None:
        self.declare(node.name)
        self.visit_inside(node.args, node.body)

    def visit_function(self, node: lua.Function) -> None:
        self.assign([node.name])
        self.visit_inside(node.args, node.body)

    def visit_anonymousfunction(self, node: lua.AnonymousFunction) -> None:
        self.visit_inside(node.args, node.body)

    def visit_fornum(self, node: lua.Fornum) -> None:
        self.visit([node.start, node.stop, node.step])
        self.visit_inside([node.target], node.body)

    def visit_forin(self, node: lua.Forin) -> None:
        self.visit(node.iter)
        self.visit_inside(node.targets, node.body)

    def visit_block(self, node: lua.Block) -> None:
        self.visit_inside([], node)

    def visit_inside(self, names: Sequence[lua.Node], block: lua.Block) -> None:
        """Walk a block in a scope of its own, with names that are declared at its head."""
        self.scopes.append({})
        self.declare(*names)
        self.visit(block.body)
        self.report_unused(self.scopes.pop())

    def report_unused(self, scope: dict[str, Local], *, file: str | None = None) -> None:
        """Report the names that nothing has used, those of one file or all."""
        for name, local in scope.items():
            if not local.used and file in {None, local.file}:
                self.found.append(f"{local.file}:{local.line} declares {name}, which nothing uses")


@cache
def parsed(path: Path) -> lua.Node:
    """Return the tree of a file.

    :raises SyntaxError: if it is no Lua
    """
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except ast.SyntaxException as error:
        message = f"{path.name}: {error}"
        raise SyntaxError(message) from None


def faults_of_lines(file: str, text: str) -> Iterator[str]:
    """Give a sentence for each line that is too long or has spaces at its end."""
    for number, line in enumerate(text.splitlines(), start=1):
        if len(line) > LONGEST:
            yield f"{file}:{number} has {len(line)} characters, more than {LONGEST}"
        if line != line.rstrip():
            yield f"{file}:{number} ends with spaces"


def faults_of_script(folder: Path, path: Path, used: set[str]) -> Iterator[str]:
    """Give a sentence for each fault of a script, and add the names of shared pieces that it uses to a set."""
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    pieces = first.removeprefix(REQUIRES).split(", ") if first.startswith(REQUIRES) else []
    names = Names()
    for piece in pieces:
        names.read(f"shared/{piece}.lua", parsed(folder / "shared" / f"{piece}.lua"))
    names.read(path.name, parsed(path))
    outermost = names.scopes[0]
    names.report_unused(outermost, file=path.name)
    yield from names.found
    for piece in pieces:
        mine = {name for name, local in outermost.items() if local.used and local.file == f"shared/{piece}.lua"}
        used |= mine
        if not mine:
            yield f"{path.name}:1 requires {piece}, of which it uses nothing"


def faults_of(folder: Path) -> Iterator[str]:
    """Give a sentence for each fault of a folder of scripts."""
    used: set[str] = set()
    for path in sorted(folder.rglob("*.lua")):
        yield from faults_of_lines(path.relative_to(folder).as_posix(), path.read_text(encoding="utf-8"))
    for path in sorted(folder.glob("*.lua")):
        yield from faults_of_script(folder, path, used)
    for path in sorted(folder.glob("shared/*.lua")):
        names = Names()
        names.read(f"shared/{path.name}", parsed(path))
        yield from (
            f"{local.file}:{local.line} declares {name}, which no script uses"
            for name, local in names.scopes[0].items()
            if name not in used and not local.used
        )


def main() -> int:
    """Print all faults; the exit code says whether there are any."""
    folder = Path(sys.argv[1]) if sys.argv[1:] else FOLDER
    try:
        found = sorted(set(faults_of(folder)))
    except SyntaxError as error:
        found = [str(error)]
    print("\n".join(found), end="\n" if found else "")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
