"""The test suite's own footing: coroutine tests run on every loop that was asked for, generated examples too."""

import asyncio
import subprocess
import sys
from pathlib import Path

import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st


def running() -> str:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return "trio"
    return "asyncio"


@pytest.fixture
async def loop_of_a_fixture():
    await anyio.lowlevel.checkpoint()
    yield running()
    await anyio.lowlevel.checkpoint()


async def test_a_coroutine_runs_on_the_loop_it_is_given(anyio_backend_name, loop_of_a_fixture):
    assert running() == anyio_backend_name == loop_of_a_fixture


@given(number=st.integers())
async def test_generated_examples_run_on_the_loop_too(anyio_backend, number):
    await anyio.lowlevel.checkpoint()
    assert running() == anyio_backend
    assert isinstance(number, int)


class TestInAClass:
    async def test_methods_run_on_the_loop_too(self, anyio_backend_name):
        assert running() == anyio_backend_name


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_test_may_choose_its_loop(anyio_backend_name):
    assert running() == anyio_backend_name == "asyncio"


def collected(*options):
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *options]
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=Path(__file__).parents[1])


def test_one_loop_may_be_asked_for():
    """Then the tests of the other are not even imported."""
    found = collected("--loops=asyncio", "tests/test_loops.py", "tests/trio")
    assert "runs_on_the_loop_it_is_given[asyncio]" in found.stdout
    assert "trio]" not in found.stdout


@pytest.mark.parametrize("loops", ["curio", "asyncio,curio", ""])
def test_a_loop_that_cannot_be_had_is_an_error(loops):
    refused = collected(f"--loops={loops}", "tests/test_loops.py")
    assert refused.returncode == pytest.ExitCode.USAGE_ERROR
    assert "known loops: asyncio, trio" in refused.stderr
