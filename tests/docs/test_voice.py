"""The pages and docstrings are held to their reader, and the script that holds them notices."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def voice():
    return runpy.run_path(str(ROOT / "docs" / "voice.py"))


@pytest.fixture
def project(tmp_path):
    """A project that keeps every bound."""
    for folder in ("cashews", "docs/how-to"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "cashews" / "module.py").write_text('"""A module."""\n')
    (tmp_path / "docs" / "how-to" / "page.md").write_text("If you read this, you are on the right page.\n")
    return tmp_path


def test_a_project_that_keeps_the_bounds_is_not_complained_about(voice, project):
    assert list(voice["complaints"](project)) == []


def test_docstrings_without_nouns_are_complained_about(voice, project):
    (project / "cashews" / "module.py").write_text('def f():\n    """What is what, for whoever."""\n')
    assert list(voice["complaints"](project)) == ["docstrings say what and who 600.0 times in 1,000 words; allowed: 4"]


def test_pages_that_do_not_speak_to_their_reader_are_complained_about(voice, project):
    page = project / "docs" / "how-to" / "page.md"
    page.write_text("The user reads `you` here.\n\n```python\nyou = 1  # you, you, you\n```\n")
    assert list(voice["complaints"](project)) == ["pages for users say you 0.0 times in 1,000 words; wanted: 10"]


def test_long_lines_are_complained_about_but_in_tables(voice, project):
    (project / "docs" / "page.md").write_text(f"{'word ' * 30}\n| {'cell ' * 30} |\n")
    assert list(voice["complaints"](project)) == ["docs/page.md:1 is longer than 120 characters"]
