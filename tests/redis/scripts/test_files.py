"""The folder of scripts: each file is compiled, used, described and tested."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cashews.backends.redis import layout, scripts

pytestmark = pytest.mark.redis

HERE = Path(__file__).parent
FOLDER = Path(__file__).parents[3] / "cashews" / "backends" / "redis" / "lua"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.lua"))
PIECES = sorted(path.stem for path in FOLDER.glob("shared/*.lua"))


def names_that_tests_run():
    texts = [path.read_text() for path in HERE.glob("test_*.py")]
    return {name for text in texts for name in re.findall(r'\brun(?:_in_slot)?\(\s*"(\w+)"', text)}


def test_there_are_scripts_and_pieces():
    assert len(SCRIPTS) > 20
    assert PIECES


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_has_tests_of_its_own(name):
    assert name in names_that_tests_run()


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_server_compiles_a_script(server, name):
    assert len(server.command("SCRIPT", "LOAD", scripts.assembled(name))) == 40


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_one_of_the_store_and_says_what_it_takes(name):
    script = getattr(scripts, name.upper())
    comments = "".join(re.findall("--.*", script.source))
    assert script.name == name
    for given in ("KEYS", "ARGV"):
        assert (given in re.sub("--.*", "", script.source)) == (given in comments), given


@pytest.mark.parametrize("name", PIECES)
def test_a_piece_is_required_by_some_script_and_is_no_script(name):
    first_lines = [path.read_text().partition("\n")[0] for path in FOLDER.glob("*.lua")]
    assert any(re.fullmatch(rf"-- Requires: .*\b{name}\b.*", line) for line in first_lines)
    assert name not in SCRIPTS


def test_every_script_of_the_store_has_a_file():
    made = [each.name for each in vars(scripts).values() if isinstance(each, scripts.Script)]
    assert sorted(made) == SCRIPTS


def test_names_are_the_same_in_lua_and_in_python():
    tags = (FOLDER / "shared" / "memberships.lua").read_text()
    index, deleted = [name.replace(b"\xff", b"\\255").decode() for name in (layout.INDEX, layout.DELETED)]
    assert f"local INDEX, DELETED = '{index}', '{deleted}'" in tags
