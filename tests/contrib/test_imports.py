"""What the HTTP cache costs a program that has no framework, seen from a fresh interpreter."""

import subprocess
import sys

OPTIONAL = {"starlette", "fastapi", "http_sf", "litestar", "quart", "uvicorn", "prometheus_client", "opentelemetry"}


def test_the_http_cache_pulls_in_nothing_optional():
    program = "import sys, cashews.contrib.asgi; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)
    assert OPTIONAL.isdisjoint(done.stdout.split())
