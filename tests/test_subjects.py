"""The cells of the suites: plain stores run in all of them, variants in one, and `--full` has the rest."""

import pytest

from tests.servers import binaries
from tests.subjects import APART, HERE, SUBJECTS, SUITES, is_left_out

LOOPS = ("asyncio", "trio")
KINDS = tuple(binaries()) or ("none",)
PLAIN = {"mem", "redis", "disk"}
CONFORMANCE = HERE / "conformance" / "test_values.py"


def cells(name, path=CONFORMANCE, loops=LOOPS):
    """Return the cells in which a subject runs without `--full`."""
    kinds = KINDS if SUBJECTS[name].served else ("",)
    return [(loop, kind) for loop in loops for kind in kinds if not is_left_out(path, (name, kind), loop, loops)]


@pytest.mark.parametrize("name", sorted(PLAIN))
def test_a_plain_store_runs_in_every_cell(name):
    assert len(cells(name)) == len(LOOPS) * (len(KINDS) if name == "redis" else 1)


@pytest.mark.parametrize("name", sorted(set(SUBJECTS) - PLAIN - set(APART)))
def test_a_variant_runs_in_one_cell(name):
    assert len(cells(name)) == 1
    assert cells(name)[0][0] == SUBJECTS[name].loop


@pytest.mark.parametrize("name", sorted(set(SUBJECTS) - set(APART)))
@pytest.mark.parametrize("loop", LOOPS)
def test_on_one_loop_alone_every_subject_runs(name, loop):
    assert {there for there, _ in cells(name, loops=(loop,))} == {loop}


@pytest.mark.parametrize("name", sorted(APART))
def test_an_option_apart_is_for_the_full_run(name):
    assert cells(name) == []


@pytest.mark.parametrize("store", sorted(PLAIN))
def test_every_store_has_a_variant_on_each_loop(store):
    assert {SUBJECTS[name].loop for name in SUBJECTS if name.startswith(store)} >= set(LOOPS)


@pytest.mark.parametrize("suite", ["strategies", "guards"])
def test_code_above_the_stores_meets_a_store_to_be_waited_for_on_each_loop(suite):
    path = HERE / suite / "test_anything.py"
    assert {loop for loop, _ in cells("mem", path)} == set(LOOPS)
    assert {loop for name in ("redis", "disk") for loop, _ in cells(name, path)} == set(LOOPS)


def test_the_suites_are_there():
    assert [name for name in SUITES if not (HERE / name).exists()] == []


def test_a_test_without_a_loop_runs_once_per_kind_of_server():
    assert not is_left_out(CONFORMANCE, ("redis-many-chained", KINDS[0]), None, LOOPS)
