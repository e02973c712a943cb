"""``python -m cashews migrate-check PATH``: reads the sources of a program for cashews 7, and imports none of them."""

from __future__ import annotations

import argparse
import ast
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from cashews.cli.migration_rules import Change, Project, caches_in, changes_in

SKIPPED = frozenset({"__pycache__", "node_modules", "site-packages", "build", "dist"})
NOTHING, FOUND, FAILED = 0, 1, 2
"""The exit codes: no line changes its meaning, some do, or a file cannot be read."""


class Finding(NamedTuple):
    """A line of a program that changes its meaning."""

    file: str
    line: int
    change: Change

    def __str__(self) -> str:
        change = self.change
        return f"{self.file}:{self.line}: {change.rule}: was: {change.old}; is: {change.new}; write: {change.write}"

    def fields(self) -> dict[str, object]:
        """Return the finding as an object of JSON."""
        return {"file": self.file, "line": self.line, **self.change._asdict()}


def sources(path: Path) -> list[Path]:
    """Return the Python files at a path, without those of environments and hidden folders."""
    if path.is_file():
        return [path]
    return sorted(file for file in path.rglob("*.py") if not _is_skipped(file.relative_to(path).parts))


def _is_skipped(parts: Sequence[str]) -> bool:
    return any(part in SKIPPED or part.startswith(".") or part.endswith("venv") for part in parts[:-1])


def check(trees: Iterable[tuple[Path, ast.Module]]) -> Iterator[Finding]:
    """Give the findings of a program, file by file, line by line."""
    files = list(trees)
    names = {path: set(caches_in(tree)) for path, tree in files}
    project = Project(
        frozenset({"cache", "mem"}.union(*names.values())),
        frozenset(module_parts(path) for path, found in names.items() if found),
    )
    for path, tree in files:
        found = sorted(set(changes_in(tree, project)))
        yield from (Finding(str(path), line, change) for line, change in found)


def module_parts(path: Path) -> tuple[str, ...]:
    """Return the parts of a file's path that may be in the name of its module; that of a package is its folder."""
    parts = path.with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


def read(paths: Iterable[Path], unread: list[str]) -> Iterator[tuple[Path, ast.Module]]:
    """Give the files that can be parsed; a line about each of the others is added to `unread`."""
    for path in paths:
        try:
            yield path, ast.parse(path.read_bytes(), str(path))
        except (OSError, SyntaxError, ValueError) as error:
            unread.append(f"{path}: cannot be read: {error}")


def main(arguments: Sequence[str]) -> int:
    """Check a program and print the findings; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m cashews migrate-check",
        description="Tell which lines of a program for cashews 7 change their meaning.",
        epilog="exit codes: 0 no line does, 1 some do, 2 a file cannot be read",
    )
    parser.add_argument("path", type=Path, help="a file, or a folder with all below")
    parser.add_argument("--json", action="store_true", help="print a list of objects")
    wanted = parser.parse_args(arguments)
    unread: list[str] = [] if wanted.path.exists() else [f"{wanted.path}: there is no such path"]
    findings = list(check(read(sources(wanted.path), unread)))
    lines = [json.dumps([finding.fields() for finding in findings], indent=2)] if wanted.json else map(str, findings)
    sys.stdout.writelines(line + "\n" for line in lines)
    sys.stderr.writelines(line + "\n" for line in unread)
    return FAILED if unread else FOUND if findings else NOTHING
