"""The tour in the terminal runs to its end, and shows what it promises."""

import re
import subprocess
import sys


def toured(loop):
    command = [sys.executable, "-m", "cashews", "--loop", loop]
    return subprocess.run(command, check=True, capture_output=True, text=True, encoding="utf-8").stdout


def test_the_tour_shows_each_of_its_stages(anyio_backend):
    title, *lines = toured(anyio_backend).splitlines()
    assert title == f"cashews on {anyio_backend}"
    shown = dict(re.split(r"  +", line.strip()) for line in lines)
    assert shown["1,000 callers of one cold key, a 200 ms load"].startswith("1 execution, ")
    assert shown["a ttl of 1 s, before and after"] == "nuts v1 -> nuts v2"
    assert shown["early: an ageing value is refreshed behind us"].endswith("then front v2")
    assert shown["failover: the service is down"] == "eur v1, instead of ServiceDownError"
    assert shown["tasks after its scope has ended"] == "0"
