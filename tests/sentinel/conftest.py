"""A master with a replica, and three sentinels that watch them: a set for each test, since tests kill some.

Each test runs on Valkey and on redis, as far as they can be had.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from time import monotonic, sleep

import pytest

from tests.servers import PATIENCE, Server, binaries

SERVICE = "mymaster"
DOWN_AFTER = 500
"""Milliseconds without an answer after which a sentinel takes the master to be down."""


class Sentinel(Server):
    """A sentinel: it is told of a master by its configuration file, which it rewrites."""

    def __init__(self, binary: str, master: Server) -> None:
        super().__init__(binary)
        self._master = master

    def _launch(self, port: int) -> None:
        lines = (
            f"port {port}",
            f"bind {self.host}",
            f"dir {self._directory}",
            f"sentinel monitor {SERVICE} {self.host} {self._master.port} 2",
            f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER}",
            f"sentinel failover-timeout {SERVICE} 3000",
            f"sentinel parallel-syncs {SERVICE} 1",
        )
        file = self._directory / "sentinel.conf"
        file.write_text("\n".join(lines))
        self._run([self.binary, str(file), "--sentinel"])


class Deployment:
    """A master, its replica and their sentinels."""

    def __init__(self, binary: str, stack: ExitStack) -> None:
        quick = {"repl_diskless_sync_delay": 0}
        first = stack.enter_context(Server(binary, **quick))
        second = stack.enter_context(Server(binary, **quick, replicaof=(first.host, str(first.port))))
        self.servers = {first.port: first, second.port: second}
        self.sentinels = [stack.enter_context(Sentinel(binary, first)) for _ in range(3)]
        self.wait_until_ready()

    @property
    def url(self) -> str:
        hosts = ",".join(f"{each.host}:{each.port}" for each in self.sentinels)
        return f"redis+sentinel://{hosts}/{SERVICE}"

    @property
    def master(self) -> Server:
        """The master as the sentinels see it."""
        _, port = next(each for each in self.sentinels if each.pid).command(
            "SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE
        )
        return self.servers[int(port)]

    @property
    def replica(self) -> Server:
        return next(each for each in self.servers.values() if each is not self.master)

    def wait_until_ready(self) -> None:
        """Wait until all sentinels know each other, the master and a replica that follows it."""
        until(lambda: all(map(self._is_ready, self.sentinels)))
        until(lambda: b"master_link_status:up" in self.replica.command("INFO", "replication"))

    def _is_ready(self, sentinel: Server) -> bool:
        flat = sentinel.command("SENTINEL", "MASTER", SERVICE)
        facts = dict(zip(flat[::2], flat[1::2], strict=True))
        found = facts[b"num-other-sentinels"], facts[b"num-slaves"], facts[b"flags"]
        return found == (b"2", b"1", b"master")

    def fail_over(self) -> None:
        """Have the replica take the place of the master, which goes on for a while."""
        self.sentinels[0].command("SENTINEL", "FAILOVER", SERVICE)


def until(holds) -> None:
    """Wait in real time until something holds that nothing tells of."""
    end = monotonic() + PATIENCE
    while not holds():
        assert monotonic() < end
        sleep(0.01)


@contextmanager
def deployed(kind: str):
    with ExitStack() as stack:
        yield Deployment(binaries()[kind], stack)


@pytest.fixture(params=binaries() or ["none"])
def deployment(request):
    with deployed(request.param) as deployment:
        yield deployment
