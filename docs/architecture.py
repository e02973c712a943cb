"""Writes the table of layers into `explanation/architecture.md`, from the table that the tests execute."""

from __future__ import annotations

import runpy
from itertools import groupby
from pathlib import Path

DOCS = Path(__file__).parent
PAGE = DOCS / "explanation" / "architecture.md"
PACKAGE = DOCS.parent / "cashews"
LAYERS = runpy.run_path(str(DOCS.parent / "tests" / "layers.py"))
BEGIN, END = "<!-- layers: by docs/architecture.py -->\n", "<!-- end of layers -->\n"


def is_there(name: str) -> bool:
    """Say whether the package has a module or a package of this name."""
    path = PACKAGE / name.replace(".", "/")
    return path.is_dir() or path.with_suffix(".py").is_file()


def table() -> str:
    """Return the table of the wings that are there, top row first, each with its purpose."""
    lines = ["| Row | Wing | Purpose |", "| --- | --- | --- |"]
    there = [wing for wing in LAYERS["WINGS"] if wing.modules or is_there(wing.name)]
    there.sort(key=lambda wing: -wing.row)
    for row, wings in groupby(there, key=lambda wing: wing.row):
        for number, wing in enumerate(wings):
            lines.append(f"| {'' if number else row} | `{wing.name}` | {wing.purpose} |")
    return "\n".join(lines) + "\n"


def rules() -> str:
    """Return the table of modules from outside and the wings that may import them."""
    lines = ["| From outside | Imported by |", "| --- | --- |"]
    for outside, modules in LAYERS["ALONE"].items():
        names = dict.fromkeys(module.removesuffix(".*") for module in modules)
        if all(map(is_there, names)):
            lines.append(f"| `{outside}` | {', '.join(f'`{name}`' for name in names)} |")
    return "\n".join(lines) + "\n"


def page() -> str:
    """Return the whole page, with new tables between its markers."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{rules()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
