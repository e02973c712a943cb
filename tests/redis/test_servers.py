"""The servers of the tests themselves: nothing of them is left behind, and none is skipped in silence."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.redis

ROOT = Path(__file__).parents[2]
OWNER = """
import sys
from tests.servers import Server
server = Server()
server.start()
print(server.port, flush=True)
sys.stdin.read()
"""
WITHOUT_SERVER = """
import os, sys
from tests import servers
os.environ["PATH"], servers.find_spec = "", lambda _: None
import pytest
sys.exit(pytest.main(sys.argv[1:]))
"""
WITHOUT_PACKAGE = """
import sys
sys.modules["hiredis"] = None
import pytest
sys.exit(pytest.main(sys.argv[1:]))
"""


def test_a_server_dies_with_its_owner_however_that_ends():
    with subprocess.Popen(
        [sys.executable, "-c", OWNER], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        port = int(owner.stdout.readline())
        with socket.create_connection(("127.0.0.1", port), timeout=20) as link:
            link.sendall(b"PING\r\n")  # a connection that the server has not accepted yet is reset, not closed
            assert link.recv(7) == b"+PONG\r\n"
            owner.kill()
            assert link.recv(1) == b""


def test_a_server_may_be_paused_killed_and_started_again(own_server):
    with own_server() as server:
        port = server.port
        server.command("SET", "k", 1)
        server.pause()
        server.resume()
        assert server.command("GET", "k") == b"1"
        server.pause()
        server.kill()
        server.start()
        assert server.command("GET", "k") is None
        assert server.port == port
    assert server.pid is None


def collected(program, *options):
    command = [sys.executable, "-c", program, "--collect-only", "-p", "no:cacheprovider", *options]
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)


def test_without_a_server_the_tests_that_need_one_are_an_error():
    refused = collected(WITHOUT_SERVER, "-q", "tests/conformance/test_counters.py")
    assert refused.returncode == pytest.ExitCode.USAGE_ERROR
    assert 'leave them out with -m "not redis"' in refused.stderr
    allowed = collected(WITHOUT_SERVER, "-q", "tests/conformance/test_counters.py", "-m", "not redis")
    assert allowed.returncode == pytest.ExitCode.OK


def test_without_a_package_the_tests_that_need_it_are_left_out_and_named():
    found = collected(WITHOUT_PACKAGE, "tests/conformance/test_counters.py")
    assert found.returncode == pytest.ExitCode.OK
    assert "left out: the tests that need hiredis (not installed" in found.stdout
    assert "[disk" in found.stdout
    assert "[redis" not in found.stdout


def test_where_nothing_may_be_left_out_a_missing_package_is_an_error():
    refused = collected(WITHOUT_PACKAGE, "--complete", "tests/conformance/test_counters.py")
    assert refused.returncode == pytest.ExitCode.USAGE_ERROR
    assert "--complete: hiredis not installed" in refused.stderr
