"""What `import cashews` costs, seen from a fresh interpreter."""

import compileall
import subprocess
import sys
from pathlib import Path

import pytest

import cashews

OPTIONAL = {
    "redis",
    "hiredis",
    "diskcache",
    "trio",
    "fastapi",
    "starlette",
    "prometheus_client",
    "opentelemetry",
    "litestar",
    "pydantic",
    "msgspec",
    "dill",
    "bitarray",
    "xxhash",
}
FEW_NEED = {
    "uuid",
    "platform",
    "fractions",
    "decimal",
    "zoneinfo",
    "pathlib",
    "hashlib",
    "json",
    "urllib.parse",
    "ipaddress",
}
LATER = {
    "anyio.from_thread",
    "anyio.to_thread",
    "anyio.streams.memory",
    "concurrent.futures",
    "cashews.backends.memory",
}
"""Modules that load with the first use of what needs them."""
BUDGET = 0.15


def fresh(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)
    return done.stdout


def seconds_to(statement: str) -> float:
    """Return the seconds of the processor: what else the machine does is not ours."""
    clock = "import time; start = time.process_time(); {}; print(time.process_time() - start)"
    return float(fresh(clock.format(statement)))


def test_import_pulls_in_nothing_optional():
    loaded = fresh("import sys, cashews; print(*{name.partition('.')[0] for name in sys.modules})").split()
    assert OPTIONAL.isdisjoint(loaded)


def test_import_pulls_in_no_codec():
    loaded = fresh("import sys, cashews; print(*sys.modules)").split()
    assert {"pickle", "gzip", "cashews.serialize"}.isdisjoint(loaded)


def test_import_pulls_in_no_module_that_few_programs_need():
    """Each takes one to three milliseconds; types of theirs in keys are known by name."""
    new = "import sys, anyio; before = set(sys.modules); import cashews; print(*set(sys.modules) - before)"
    assert (FEW_NEED | LATER).isdisjoint(fresh(new).split())


def test_the_ready_made_cache_in_memory_is_made_once():
    """At its first use, which may come from several threads at once."""
    program = """
import sys, threading
import cashews
assert "cashews.backends.memory" not in sys.modules and "mem" in dir(cashews)
sys.setswitchinterval(1e-6)
found, begin = [], threading.Barrier(8)
def look():
    begin.wait()
    found.append(cashews.mem)
threads = [threading.Thread(target=look) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
from cashews import mem
assert cashews.memory_limit and not hasattr(cashews, "memo")
print(len(found), len({id(cache) for cache in (*found, mem)}), mem)
"""
    assert fresh(program).split(maxsplit=2)[:2] == ["8", "1"]


@pytest.mark.timed
def test_import_takes_little_more_than_anyio_alone():
    """Both in turn, the best of each: a slow moment of the machine meets both alike. Compiled, as pip installs it."""
    compileall.compile_dir(Path(cashews.__file__).parent, quiet=1)
    runs = [(seconds_to("import anyio"), seconds_to("import anyio, cashews")) for _ in range(5)]
    alone, both = (min(times) for times in zip(*runs, strict=True))
    assert both - alone < BUDGET
