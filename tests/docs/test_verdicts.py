"""The table of verdicts is the code's."""

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_table_of_verdicts_is_generated_from_the_code():
    generator = runpy.run_path(str(DOCS / "verdicts.py"))
    assert (DOCS / "reference" / "verdicts.md").read_text(encoding="utf-8") == generator["page"]()
