"""Clusters for the tests: three masters, each with a third of the slots, and perhaps a replica of each."""

from __future__ import annotations

import socket
from contextlib import ExitStack, contextmanager
from random import SystemRandom
from time import monotonic, sleep

from tests.servers import PATIENCE, Server, binaries

BUS = 10_000
"""The port of a node's bus is so much above its own, and has to be a port."""
MASTERS = 3
SLOTS = 16_384
RANDOM = SystemRandom()
"""Ports are chosen by chance: several sessions of tests may run at a time."""
PORTS = range(10_000, 22_000)
"""Ports that a system does not give to outgoing connections, and neither the ports of their buses."""


class Node(Server):
    """A node of a cluster, on a port that leaves room for the port of its bus."""

    def __init__(self, binary: str) -> None:
        timeouts = {"cluster_node_timeout": 1000, "repl_diskless_sync_delay": 0}
        own = {"cluster_enabled": "yes", "cluster_config_file": "nodes.conf", "cluster_require_full_coverage": "no"}
        super().__init__(binary, **own, **timeouts)
        self.port = low_port()

    @property
    def name(self) -> str:
        """The id that other nodes know it by."""
        return self.command("CLUSTER", "MYID").decode()


class Cluster:
    """Masters with all slots between them, and perhaps a replica of each: `nodes[i]` has `replicas[i]`."""

    def __init__(self, binary: str, stack: ExitStack, *, replicas: int = 0) -> None:
        self.nodes = [stack.enter_context(Node(binary)) for _ in range(MASTERS)]
        self.replicas = [stack.enter_context(Node(binary)) for _ in range(replicas)]
        self.failovers = 0
        for number, node in enumerate(self.nodes):
            first, end = SLOTS * number // MASTERS, SLOTS * (number + 1) // MASTERS
            node.command("CLUSTER", "ADDSLOTSRANGE", first, end - 1)
        for number, node in enumerate((*self.nodes, *self.replicas), 1):
            node.command("CLUSTER", "SET-CONFIG-EPOCH", number)
            if node is not self.nodes[0]:
                self.nodes[0].command("CLUSTER", "MEET", node.host, node.port)
        self.await_ready()
        for node, replica in zip(self.nodes, self.replicas, strict=False):
            until(lambda node=node, replica=replica: _replicates(replica, node))
        self._await_heirs()

    def fail_over(self, number: int) -> None:
        """Have the replica of a master take its place, and the master become the replica."""
        old, heir = self.nodes[number], self.replicas[number]
        heir.command("CLUSTER", "FAILOVER")
        until(lambda: heir.command("ROLE")[0] == b"master")
        self.nodes[number], self.replicas[number] = heir, old
        self.failovers += 1
        self._await_heirs()

    def _await_heirs(self) -> None:
        """Wait until every replica may take over, and every node knows the master of each slot."""
        until(lambda: all(b"master_link_status:up" in node.command("INFO", "replication") for node in self.replicas))
        until(lambda: all(map(self._knows_heirs, (*self.nodes, *self.replicas))))
        until(lambda: len({_owners(node) for node in self.nodes}) == 1)

    def _knows_heirs(self, node: Node) -> bool:
        """Say whether a node has heard of each replica: else it ignores that one's wish to take over (redis 7)."""
        lines = [line.split() for line in node.command("CLUSTER", "NODES").decode().splitlines()]
        masters = {name: master for name, _, flags, master, *_ in lines if "slave" in flags}
        pairs = zip(self.nodes, self.replicas, strict=False)
        return all(masters.get(replica.name) == master.name for master, replica in pairs)

    def await_ready(self) -> None:
        """Wait until each node knows the master of each slot."""
        until(lambda: all(map(self._is_ready, (*self.nodes, *self.replicas))))

    @staticmethod
    def _is_ready(node: Node) -> bool:
        facts = node.command("CLUSTER", "INFO")
        return b"cluster_state:ok" in facts and b"cluster_slots_ok:16384" in facts

    @property
    def url(self) -> str:
        """The URL of the cluster, by one of its nodes."""
        return f"redis+cluster://{self.nodes[0].host}:{self.nodes[0].port}"

    def empty(self) -> None:
        for node in self.nodes:
            node.command("FLUSHALL")

    def stored(self) -> list[list[bytes]]:
        """Return the keys that each node has."""
        return [node.command("KEYS", "*") for node in self.nodes]

    def owner(self, slot: int) -> Node:
        for first, last, (_, port, *_), *_ in self.nodes[0].command("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(node for node in self.nodes if node.port == port)
        raise LookupError(slot)

    def bring_home(self) -> None:
        """Move each slot that a test has moved back to its first master."""
        for first, last, (_, port, *_), *_ in self.nodes[0].command("CLUSTER", "SLOTS"):
            for slot in range(first, last + 1):
                home = self.nodes[next(i for i in range(MASTERS) if slot < SLOTS * (i + 1) // MASTERS)]
                if home.port != port:
                    while self.owner(slot) is not home:
                        self.begin_move(slot)
                        self.end_move(slot)

    def begin_move(self, slot: int) -> tuple[Node, Node]:
        """Begin to move a slot to the next node; returns the old node and the new one."""
        old = self.owner(slot)
        new = self.nodes[(self.nodes.index(old) + 1) % MASTERS]
        new.command("CLUSTER", "SETSLOT", slot, "IMPORTING", old.name)
        old.command("CLUSTER", "SETSLOT", slot, "MIGRATING", new.name)
        return old, new

    def end_move(self, slot: int) -> None:
        """Move the keys that are still at the old node, and the slot itself; return when all nodes know it."""
        old = self.owner(slot)
        new = self.nodes[(self.nodes.index(old) + 1) % MASTERS]
        while keys := old.command("CLUSTER", "GETKEYSINSLOT", slot, 100):
            for key in keys:
                old.command("MIGRATE", new.host, new.port, key, 0, 1000)
        for node in (new, old):
            node.command("CLUSTER", "SETSLOT", slot, "NODE", new.name)
        until(lambda: len({_owners(node) for node in self.nodes}) == 1)

    def seize(self, slot: int, new: Node) -> None:
        """Give a slot to a node though the old one still has keys in it; return when all nodes know it."""
        new.command("CLUSTER", "SETSLOT", slot, "NODE", new.name)
        until(lambda: len({_owners(node) for node in self.nodes}) == 1 and self.owner(slot) is new)
        for node in self.nodes:  # redis 7 remembers for ever that the slot was on its way
            node.command("CLUSTER", "SETSLOT", slot, "STABLE")


def _replicates(replica: Node, node: Node) -> bool:
    from hiredis import ReplyError  # noqa: PLC0415  it needs the extra `redis`

    try:
        replica.command("CLUSTER", "REPLICATE", node.name)
    except ReplyError:  # it has yet to hear of that node
        return False
    return True


def _owners(node: Node) -> tuple[tuple[int, int, int], ...]:
    return tuple(sorted((first, last, at[1]) for first, last, at, *_ in node.command("CLUSTER", "SLOTS")))


def low_port() -> int:
    """Return a port on which nobody listens, for the moment, and whose bus has a port as well."""
    for port in (RANDOM.choice(PORTS) for _ in range(100)):
        with socket.socket() as probe, socket.socket() as bus:
            if probe.connect_ex(("127.0.0.1", port)) and bus.connect_ex(("127.0.0.1", port + BUS)):
                return port
    raise RuntimeError("no port is free")  # noqa: TRY003  raised here alone


def until(holds) -> None:
    """Wait in real time until something holds that nothing tells of."""
    end = monotonic() + PATIENCE
    while not holds():
        assert monotonic() < end
        sleep(0.01)


@contextmanager
def clustered(kind: str, *, replicas: int = 0):
    with ExitStack() as stack:
        yield Cluster(binaries()[kind], stack, replicas=replicas)
