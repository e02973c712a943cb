"""The writer of the race: a process with a socket of its own, which logs when its writes began and were answered.

``python -m tests.near.writer PORT PREFIX SEED`` writes until its input ends, and prints one JSON line per write:
``[version, keys, milliseconds to live or null, whether the keys were stored, began, answered]``. After each write it
notes the version under the key `marker`.
"""

from __future__ import annotations

import json
import socket
import sys
from random import Random
from select import select
from time import monotonic

import hiredis

KEYS = [f"k{number}" for number in range(24)]
MARKER = "marker"
PAIR = "redis.call('SET', KEYS[1], ARGV[1]) redis.call('SET', KEYS[2], ARGV[1])"
PATIENCE = 20.0
"""Seconds for which something is asked again: its connection was killed, or a cluster's slot is on its way."""


class Wire:
    """A connection that asks one thing at a time, connects again when it is cut, and goes where a cluster sends it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connect()

    def _connect(self) -> None:
        self._link = socket.create_connection(("127.0.0.1", self._port), timeout=20)
        self._link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = hiredis.Reader()

    def ask(self, *words: str | int) -> object:
        """Ask until there is an answer: what the writer asks may be done twice."""
        until = monotonic() + PATIENCE
        while monotonic() < until:
            try:
                reply = self._ask_once(words)
            except OSError:
                self._connect()
                continue
            kind, _, place = str(reply).partition(" ") if isinstance(reply, hiredis.ReplyError) else ("", "", "")
            if kind == "MOVED":
                self._port = int(place.rpartition(":")[2])
                self._connect()
            elif kind == "ASK":
                reply = Wire(int(place.rpartition(":")[2])).ask_ahead(*words)
                if not isinstance(reply, hiredis.ReplyError):
                    return reply
            elif kind != "TRYAGAIN":
                return reply
        raise AssertionError

    def ask_ahead(self, *words: str | int) -> object:
        """Ask about a slot that is on its way here."""
        self._ask_once(("ASKING",))
        return self._ask_once(words)

    def _ask_once(self, words: tuple[str | int, ...]) -> object:
        self._link.sendall(hiredis.pack_command(words))
        while (reply := self._reader.gets()) is False:
            self._reader.feed(self._link.recv(65_536) or ended())
        return reply


def ended() -> bytes:
    raise ConnectionResetError


def write(wire: Wire, prefix: str, random: Random, version: int) -> list[object]:
    """Do one random write and return its line of the log."""
    keys = random.sample(KEYS, 2)
    names = [prefix + key for key in keys]
    choice, life, stored = random.random(), None, True
    began = monotonic()
    if choice < 0.5:
        keys = keys[:1]
        wire.ask("SET", names[0], version)
    elif choice < 0.7:
        keys, life = keys[:1], random.randint(3, 60)
        wire.ask("SET", names[0], version, "PX", life)
    elif choice < 0.85:
        keys, stored = keys[:1], False
        wire.ask("DEL", names[0])
    else:
        wire.ask("EVAL", PAIR, 2, *names, version)
    return [version, keys, life, stored, began, monotonic()]


def main(port: str, prefix: str, seed: str) -> None:
    wire, random = Wire(int(port)), Random(seed)
    lines, version = [], 0
    while not select([sys.stdin], [], [], 0)[0]:
        version += 1
        lines.append(write(wire, prefix, random, version))
        wire.ask("SET", prefix + MARKER, version)
    print("\n".join(map(json.dumps, lines)))


if __name__ == "__main__":
    main(*sys.argv[1:])
