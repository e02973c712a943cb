"""The parts for other frameworks are imported without them, or say which extra is missing."""

import subprocess
import sys

import pytest

OPTIONAL = {"starlette", "fastapi", "litestar", "quart", "redis", "hiredis", "diskcache", "http_sf"}
OPTIONAL |= {"prometheus_client", "opentelemetry", "pydantic", "msgspec"}
WITHOUT = "import sys; sys.modules.update(dict.fromkeys({packages!r})); "


def fresh(program):
    return subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("module", ["asgi", "fastapi", "prometheus", "models"])
def test_a_part_pulls_in_nothing_optional(module):
    done = fresh(f"import sys, cashews.contrib.{module}; print(*sys.modules)")
    assert done.returncode == 0, done.stderr
    assert OPTIONAL.isdisjoint({name.partition(".")[0] for name in done.stdout.split()})


@pytest.mark.parametrize(
    ("package", "extra", "use"),
    [
        ("litestar", "litestar", "import cashews.contrib.litestar"),
        ("opentelemetry", "opentelemetry", "import cashews.contrib.opentelemetry"),
        ("prometheus_client", "prometheus", "from cashews.contrib.prometheus import *; create_metrics_middleware()"),
        (
            "prometheus_client",
            "prometheus",
            "import cashews.contrib.prometheus as p, cashews; p.CacheCollector(cashews.mem)",
        ),
    ],
)
def test_a_missing_package_is_an_error_that_names_its_extra(package, extra, use):
    done = fresh(WITHOUT.format(packages=[package]) + use)
    assert f"MissingExtraError: {package} is not installed" in done.stderr
    assert f"cashews[{extra}]" in done.stderr
