"""The examples of the README and the docs run as they are written, on both loops."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import cashews
from cashews.serialize import custom
from tests.servers import binaries

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OUTPUT = re.compile(r"#> (.*)$", re.MULTILINE)

SERVER = re.compile(r"redis://localhost:6379(?:/0)?(\??)")
"""Examples that name this address run on a server of the tests."""


def marks(block: str) -> list[pytest.MarkDecorator]:
    needed = {
        "redis://": pytest.mark.redis,
        "disk://": pytest.mark.diskcache,
        "import FastAPI": pytest.mark.integration,
        "import Flask": pytest.mark.flask,
        'backend="trio"': pytest.mark.trio,
    }
    return [mark for scheme, mark in needed.items() if scheme in block]


EXAMPLES = [
    pytest.param(block, id=f"{page.relative_to(ROOT)}:{number}", marks=marks(block))
    for page in PAGES
    for number, block in enumerate(BLOCK.findall(page.read_text(encoding="utf-8")), 1)
]


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    """Take back what an example registers for all keys of the process."""
    registries = (cashews.default_formatter.functions, cashews.default_formatter._types, custom._customs)
    before = [dict(registry) for registry in registries]
    yield
    for registry, known in zip(registries, before, strict=True):
        registry.clear()
        registry.update(known)
    cashews.default_formatter.text.by_type.clear()
    cashews.default_formatter.strict_text.by_type.clear()


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_runs_and_prints_what_it_says(
    example: str,
    anyio_backend: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
):
    monkeypatch.setattr(cashews, "cache", cashews.Cache("fresh"))  # examples that set up the ready-made cache
    source = example.replace("anyio.run(main)", f"anyio.run(main, backend={anyio_backend!r})")
    if SERVER.search(source):
        empty = request.getfixturevalue("empty")
        patient = empty(next(iter(binaries()))).url + "?socket_connect_timeout=30"
        source = SERVER.sub(lambda address: patient + address[1].replace("?", "&"), source)
    exec(compile(source, "<example>", "exec"), {"__name__": "example"})
    printed = capsys.readouterr().out.splitlines()
    expected = OUTPUT.findall(example)
    assert printed == expected or not expected


def test_no_mark_is_written_so_that_it_marks_nothing():
    """A formatter likes to put a space into the mark, and then no output would be compared."""
    assert [page.name for page in PAGES if "# > " in page.read_text(encoding="utf-8")] == []


def test_every_page_with_a_promise_has_an_example():
    assert len(EXAMPLES) > 10
