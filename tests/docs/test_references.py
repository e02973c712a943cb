"""A number that tests or the package cite resolves in the docs, and each guarantee has a test."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUARANTEES = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
DEFECTS = (ROOT / "docs" / "defects.md").read_text(encoding="utf-8")

NUMBERS = r"\d+(?:(?:, | and | to |-)\d+)*"
LETTERS = r"[a-l](?:(?:, | and )[a-l])*\b"
CITED_GUARANTEE = re.compile(rf"\bguarantees? ({NUMBERS})", re.IGNORECASE)
CITED_READING = re.compile(rf"\breadings? ({LETTERS})", re.IGNORECASE)
CITED_DEFECT = re.compile(r"\bD(\d+)(?:(?: to |-)D(\d+))?\b")
SPAN = re.compile(r"(\d+)(?: to |-)(\d+)")
BARE = re.compile(r"\s*(?:\d+|[a-l])(?:, (?:\d+|[a-l]))*[;.:]")


def described(path):
    """Return the docstrings of a module, and its comments."""
    source = path.read_text(encoding="utf-8")
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = [ast.get_docstring(node) or "" for node in ast.walk(ast.parse(source)) if isinstance(node, kinds)]
    comments = re.findall(r"(?<!\S)# .*$", source, re.MULTILINE)
    return [*docstrings, *comments]


def texts():
    paths = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "cashews").rglob("*.py")]
    return [(path.relative_to(ROOT), text) for path in paths if path != Path(__file__) for text in described(path)]


TEXTS = texts()


def guarantees_in(text):
    """Return the numbers of the guarantees that a text cites, those between the ends of a span among them."""
    found = set()
    for cited in CITED_GUARANTEE.findall(text):
        found.update(map(int, re.findall(r"\d+", cited)))
        for first, last in SPAN.findall(cited):
            found.update(range(int(first), int(last)))
    return found


def defects_in(text):
    """Return the numbers of the defects that a text cites, those between the ends of a span among them."""
    return {
        number for first, last in CITED_DEFECT.findall(text) for number in range(int(first), int(last or first) + 1)
    }


def cited(find):
    return {number: path for path, text in TEXTS for number in find(text)}


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("Guarantee 9.", {9}),
        ("One load (guarantees 9-12).", {9, 10, 11, 12}),
        ("Guarantees 1, 15 to 17 and 20; D3", {1, 15, 16, 17, 20}),
        ("A guarantee; 12 times", set()),
    ],
)
def test_citations_of_guarantees_are_found(text, numbers):
    assert guarantees_in(text) == numbers


@pytest.mark.parametrize(("text", "numbers"), [("D1-D3, D7.", {1, 2, 3, 7}), ("D5 to D6", {5, 6}), ("3D9", set())])
def test_citations_of_defects_are_found(text, numbers):
    assert defects_in(text) == numbers


def listed_guarantees():
    return {int(number): title for number, title in re.findall(r"^### (\d+)\. (.+)$", GUARANTEES, re.MULTILINE)}


def listed_defects():
    return [int(number) for number in re.findall(r"^\* \*\*D(\d+)\*\*", DEFECTS, re.MULTILINE)]


def test_guarantees_and_readings_have_all_their_numbers():
    assert list(listed_guarantees()) == list(range(1, 34))
    assert re.findall(r"^\* \*\*([a-l])\.\*\*", GUARANTEES, re.MULTILINE) == list("abcdefghijkl")


def test_a_cited_guarantee_is_listed():
    unknown = {number: path for number, path in cited(guarantees_in).items() if number not in listed_guarantees()}
    assert unknown == {}


def test_a_guarantee_that_is_not_planned_is_cited():
    promised = {number for number, title in listed_guarantees().items() if "(planned)" not in title}
    assert promised - cited(guarantees_in).keys() == set()


def test_a_cited_reading_is_written_out():
    """A lone letter at the beginning of a docstring says nothing to a reader; `reading d` does."""
    letters = {letter for _, text in TEXTS for found in CITED_READING.findall(text) for letter in found.split(", ")}
    assert letters
    assert letters <= set("abcdefghijkl")


def test_defects_are_listed_once_and_in_order():
    assert listed_defects() == sorted(set(listed_defects()))


def test_a_cited_defect_is_listed_and_a_listed_defect_is_cited():
    found = cited(defects_in)
    assert {number: path for number, path in found.items() if number not in listed_defects()} == {}
    assert [number for number in listed_defects() if number not in found] == []


def test_no_docstring_begins_with_a_bare_number():
    assert [(str(path), text[:40]) for path, text in TEXTS if BARE.match(text)] == []


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_links_of_the_pages_beside_the_docs_lead_somewhere(name):
    """The site's builder checks those of the docs."""
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / name).read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
