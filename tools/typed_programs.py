"""Check the types of the programs in README.md, docs/ and examples/: `python tools/typed_programs.py`.

Each of them is checked by itself, under `mypy --strict`, with mypy from the extra `lint`.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mypy import api

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
STRICT = ("--strict", "--python-version=3.10", "--ignore-missing-imports", "--no-error-summary", "--config-file=")


def programs() -> Iterator[tuple[str, str]]:
    """Give the name and the text of each program."""
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        place = re.sub(r"\W", "_", str(page.relative_to(ROOT).with_suffix("")))
        for number, text in enumerate(BLOCK.findall(page.read_text(encoding="utf-8")), start=1):
            yield f"{place}_{number}", text
    for path in sorted((ROOT / "examples").glob("*.py")):
        yield path.stem, path.read_text(encoding="utf-8")


def check() -> int:
    """Check all programs, print the faults, and return 0 if there are none."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in programs():
            (Path(folder) / f"{name}.py").write_text(text, encoding="utf-8")
        os.environ["MYPYPATH"] = str(ROOT)
        found, failure, status = api.run([*STRICT, f"--cache-dir={ROOT / '.mypy_cache'}", folder])
    print(found + failure, end="")
    return status


if __name__ == "__main__":
    sys.exit(check())
