"""The tables of the docs that are generated from the code are the code's."""

import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(
    ("generator", "page"),
    [("verdicts.py", "reference/verdicts.md"), ("architecture.py", "explanation/architecture.md")],
)
def test_the_page_is_the_output_of_its_generator(generator, page):
    assert (DOCS / page).read_text(encoding="utf-8") == runpy.run_path(str(DOCS / generator))["page"]()
