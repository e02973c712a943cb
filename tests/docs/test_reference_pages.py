"""The reference is the code's: its tables are generated, and no public name is left out."""

import ast
import re
import runpy
from pathlib import Path

import pytest

import cashews

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
NAMED = re.compile(r"\bcashews\.(\w+)")


def public_names():
    """Return the names that users may import from the package."""
    if listed := getattr(cashews, "__all__", None):
        return set(listed)
    tree = ast.parse((ROOT / "cashews" / "__init__.py").read_text(encoding="utf-8"))
    exported = {
        name.asname for node in tree.body if isinstance(node, ast.ImportFrom) for name in node.names if name.asname
    }
    assigned = {
        name.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for name in ast.walk(node)
        if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)
    }
    return exported | assigned


def test_every_public_name_is_on_a_reference_page():
    named = {name for page in REFERENCE.glob("*.md") for name in NAMED.findall(page.read_text(encoding="utf-8"))}
    assert len(public_names()) > 40
    assert public_names() - named == set()


@pytest.mark.diskcache
def test_the_tables_of_options_are_generated_from_the_code():
    generator = runpy.run_path(str(ROOT / "docs" / "options.py"))
    written = {name: (REFERENCE / name).read_text(encoding="utf-8") for name in generator["PAGES"]}
    assert written == {name: page() for name, page in generator["PAGES"].items()}


@pytest.mark.diskcache
def test_an_option_without_a_meaning_is_an_error_and_a_meaning_without_an_option_too():
    generator = runpy.run_path(str(ROOT / "docs" / "options.py"))
    generator["described"]("x", {"a": "it", "b": "that"}, ["b", "a"])
    for meanings, found in (({"a": "it"}, ["a", "b"]), ({"a": "it", "b": "that"}, ["a"])):
        with pytest.raises(generator["DriftError"], match="x: described or there, but not both: b"):
            generator["described"]("x", meanings, found)
