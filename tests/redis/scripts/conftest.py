"""Scripts by themselves, on a server in real time: nothing of the cache is between a test and the server."""

from __future__ import annotations

import socket
from contextlib import contextmanager

import hiredis
import pytest

from cashews.backends.redis import scripts
from tests.servers import PATIENCE, index_of

SOON = 60_000
"""A time to live in milliseconds that no test outlasts."""
ANCHOR = "{slot}"
LIVE, LONGER, FOR_EVER, GONE = range(1, SOON + 1), range(SOON + 1, 10 * SOON + 1), range(-1, 0), range(-2, -1)
"""Answers of PTTL: up to `SOON`, more than that, no expiry, no key."""


@pytest.fixture
def run(server):
    """``run("get_hit", ["k"], *arguments)``: the reply of one script."""
    return lambda name, keys, *arguments: evaluated(server, name, keys, *arguments)


@pytest.fixture
def run_in_slot(server):
    """The same for a script that touches the bookkeeping of tags, in a slot of a cluster."""
    return lambda name, keys, *arguments: server.command(
        "EVAL", scripts.assembled(name), len(keys), *keys, *arguments, ANCHOR
    )


def evaluated(server, name, keys, *arguments):
    anchor = [""] if isinstance(getattr(scripts, name.upper()), scripts.TagScript) else []
    return server.command("EVAL", scripts.assembled(name), len(keys), *keys, *arguments, *anchor)


@pytest.fixture
def now(server):
    """``now()``: the server's time in milliseconds."""
    return lambda: microseconds(server) / 1000


def microseconds(server):
    seconds, rest = server.command("TIME")
    return int(seconds) * 1_000_000 + int(rest)


@pytest.fixture
def expired(server):
    """``expired("SET", "k", 1)``: runs a command whose key has expired since, and maybe has not been swept yet."""

    def write(*words):
        server.commands(words, ("PEXPIRE", words[1], 1))
        due = microseconds(server) + 2_000
        while microseconds(server) < due:
            pass

    return write


@pytest.fixture
def index(server):
    """``index("t")``: the members of a tag's index, each with its score."""

    def read(tag):
        flat = server.command("ZRANGE", index_of(tag), 0, -1, "WITHSCORES")
        return dict(zip(flat[::2], map(float, flat[1::2]), strict=True))

    return read


@pytest.fixture
def listening(server):
    """``with listening("channel") as messages``: call `messages()` for the payloads that have come so far."""

    @contextmanager
    def listen(channel):
        reader = hiredis.Reader()
        with socket.create_connection((server.host, server.port), timeout=PATIENCE) as link:

            def replies_to(*words):
                link.sendall(hiredis.pack_command(words))
                found = []
                while not found or found[-1][0] != words[0].lower().encode():
                    reader.feed(link.recv(65_536))
                    while (reply := reader.gets()) is not False:
                        found.append(reply)
                return found

            replies_to("SUBSCRIBE", channel)
            yield lambda: [reply[2] for reply in replies_to("SUBSCRIBE", channel) if reply[0] == b"message"]

    return listen
