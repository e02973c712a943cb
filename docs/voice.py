"""Measures the voice of the docs: `you` in the pages for users, and *what* and *who* in the package's docstrings.

A page that speaks of itself is read by nobody, and a sentence that begins with "What" has no noun for a subject.
`./run lint` runs this script; it fails beyond the bounds below, per 1,000 words.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

MOST_VAGUE = 4.0
"""How often docstrings may say *what* or *who*."""
LEAST_YOU = 10.0
"""How often pages for users have to say *you*."""
WIDEST = 120
GENERATED = frozenset({"benchmarks.md", "architecture.md"})
"""Pages whose lines are those of their generators."""

ROOT = Path(__file__).resolve().parents[1]
FOR_USERS = ("index.md", "start/*.md", "tutorials/*.md", "how-to/*.md")
VAGUE = frozenset({"what", "who", "whoever", "whatever", "whom", "whose"})
YOU = frozenset({"you", "your", "yours", "yourself", "you'll", "you're", "you've"})
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`]*`")
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def share(texts: Iterable[str], wanted: Collection[str]) -> float:
    """Return how many of 1,000 words are wanted ones."""
    words = [word for text in texts for word in re.findall(r"[a-z']+", text.lower())]
    return 1000 * sum(word in wanted for word in words) / max(len(words), 1)


def docstrings(folder: Path) -> Iterator[str]:
    """Yield the docstrings of a package."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, DOCUMENTED):
                yield ast.get_docstring(node) or ""


def pages(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield the pages for users with their text, without code."""
    for pattern in FOR_USERS:
        for path in sorted(folder.glob(pattern)):
            yield path, CODE.sub(" ", FENCE.sub("", path.read_text(encoding="utf-8")))


def wide_lines(folder: Path) -> Iterator[str]:
    """Yield the places of lines that are too long; rows of tables have no choice."""
    for path in sorted(path for path in folder.rglob("*.md") if path.name not in GENERATED):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if len(line) > WIDEST and not line.startswith("|"):
                yield f"{path.relative_to(folder.parent)}:{number}"


def complaints(root: Path) -> Iterator[str]:
    """Yield the bounds that are not kept, with their figures."""
    vague = share(docstrings(root / "cashews"), VAGUE)
    if vague > MOST_VAGUE:
        yield f"docstrings say what and who {vague:.1f} times in 1,000 words; allowed: {MOST_VAGUE:g}"
    texts = dict(pages(root / "docs"))
    you = share(texts.values(), YOU)
    if you < LEAST_YOU:
        yield f"pages for users say you {you:.1f} times in 1,000 words; wanted: {LEAST_YOU:g}"
    for place in wide_lines(root / "docs"):
        yield f"{place} is longer than {WIDEST} characters"


def main() -> int:
    """Print the figures, and return the exit code."""
    print(f"what and who in docstrings: {share(docstrings(ROOT / 'cashews'), VAGUE):.1f} in 1,000 words")
    print(f"you in pages for users: {share(dict(pages(ROOT / 'docs')).values(), YOU):.1f} in 1,000 words")
    found = list(complaints(ROOT))
    print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
