"""Lines: bytes come and go in their order, whoever is slow; and an error ends both."""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import SocketAttribute
from anyio.lowlevel import checkpoint

from cashews.actors.connecting import connect_tcp, connect_unix
from cashews.actors.line import CHUNK, Conversation

PATIENCE = 20
MUCH = 16 * 1024 * 1024


async def until(holds):
    with anyio.fail_after(PATIENCE):
        while not holds():
            await checkpoint()


class Talk(Conversation):
    """A conversation that notes each call, and takes at most `most` bytes in a turn."""

    def __init__(self, most=MUCH):
        self.to_send = []
        self.sent = 0
        self.received = bytearray()
        self.left = bytearray()
        self.most = most
        self.turns = 0
        self.error = None
        self.line = None

    @property
    def has_data(self):
        return bool(self.to_send)

    def data_to_send(self):
        self.sent += 1
        if self.error is not None:
            raise self.error
        return self.to_send.pop(0) if self.to_send else b""

    def receive_data(self, data):
        self.turns += 1
        self.left += data
        self.received += self.left[: self.most]
        del self.left[: self.most]
        if self.received.endswith(b"fail"):
            self.say(self.line, b"not any more")
            raise ValueError
        return bool(self.left)

    def say(self, line, data):
        self.to_send.append(data)
        if line.asleep:
            line.ring()


class Peer:
    """A server that a line is connected to: `stream` is its end."""

    def __init__(self, stream, line):
        self.stream, self.line = stream, line


@asynccontextmanager
async def connected(connect, listener):
    streams = []
    async with anyio.create_task_group() as tasks:

        async def take(stream):
            streams.append(stream)
            await anyio.sleep_forever()

        tasks.start_soon(listener.serve, take)
        line = await connect()
        await until(lambda: streams)
        yield Peer(streams[0], line)
        await line.aclose()
        tasks.cancel_scope.cancel()
    await streams[0].aclose()
    await listener.aclose()


@pytest.fixture(params=["tcp", "unix"])
async def peer(request, tmp_path):
    if request.param == "unix":
        path = str(tmp_path / "socket")
        listener = await anyio.create_unix_listener(path)
        connect = lambda: connect_unix(path)  # noqa: E731  one of two
    else:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        port = listener.extra(SocketAttribute.local_port)
        connect = lambda: connect_tcp("127.0.0.1", port, None)  # noqa: E731  one of two forms of a call
    async with connected(connect, listener) as found:
        yield found


@asynccontextmanager
async def serving(line, talk):
    """Have a line serve a conversation in the block; gives the list that its error is put into."""
    errors, talk.line = [], line

    async def serve():
        try:
            await line.serve(talk)
        except Exception as error:  # noqa: BLE001  looked at by the test
            errors.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve)
        await until(lambda: line.asleep or errors)
        yield errors
        tasks.cancel_scope.cancel()


async def test_bytes_that_came_before_the_conversation_are_its_own(peer):
    talk = Talk()
    await peer.line.send(b"by hand")
    assert await peer.stream.receive() == b"by hand"
    await peer.stream.send(b"one,")
    assert await peer.line.receive() == b"one,"
    await peer.stream.send(b"two,")
    for _ in range(10):
        await checkpoint()
    async with serving(peer.line, talk):
        await until(lambda: talk.received == b"two,")
        await peer.stream.send(b"three")
        await until(lambda: talk.received == b"two,three")


async def test_the_requests_of_one_turn_are_one_write(peer):
    """The line is rung once, and asks for data when the turn is over."""
    talk = Talk()
    async with serving(peer.line, talk):
        sent = talk.sent
        talk.say(peer.line, b"one,")
        assert not peer.line.asleep
        assert talk.sent == sent
        talk.to_send[0] += b"two"
        assert await peer.stream.receive() == b"one,two"
        await until(lambda: peer.line.asleep)
        assert talk.sent == sent + 1


async def test_a_conversation_with_much_to_send_lets_others_run(peer):
    talk, turns = Talk(), 0
    async with serving(peer.line, talk):
        talk.to_send += [b"x"] * 100
        talk.say(peer.line, b"x")
        while not peer.line.asleep:
            await checkpoint()
            turns += 1
        assert turns > 90


async def test_nothing_more_is_asked_for_while_the_server_does_not_read():
    talk, got = Talk(), 0
    with socket.create_server(("127.0.0.1", 0)) as listener:
        line = await connect_tcp(*listener.getsockname(), None)
        async with serving(line, talk):
            for _ in range(MUCH // CHUNK):
                talk.say(line, bytes(CHUNK))
            for _ in range(1_000):
                await checkpoint()
            assert len(talk.to_send) > 10
            assert not line.asleep
            with listener.accept()[0] as server, anyio.fail_after(PATIENCE):
                server.setblocking(False)
                while got < MUCH:
                    await anyio.wait_readable(server)
                    got += len(server.recv(MUCH))
                await until(lambda: line.asleep)
            assert talk.to_send == []
        await line.aclose()


async def test_a_conversation_takes_much_in_turns_and_in_order(peer):
    """Bytes that come meanwhile wait behind those that are left: others run as often as if all had come at once."""
    talk, data = Talk(most=1_000), bytes(range(250)) * 400
    others = 0
    async with serving(peer.line, talk):
        before = talk.turns
        for start in range(0, len(data), 10_000):
            await peer.stream.send(data[start : start + 10_000])
        while len(talk.received) < len(data):
            await checkpoint()
            others += 1
        assert talk.received == data
        assert talk.turns - before >= 100
        assert others >= 80


@pytest.mark.parametrize("half", ["receiving", "receiving in turns", "sending"])
async def test_an_error_of_the_conversation_is_raised_and_ends_it(peer, half):
    talk = Talk(most=1_000)
    async with serving(peer.line, talk) as errors:
        if half != "sending":
            sent = talk.sent
            await peer.stream.send(bytes(2_996 if "turns" in half else 0) + b"fail")
            await until(lambda: errors)
            assert talk.sent == sent
        else:
            talk.error = ValueError()
            talk.say(peer.line, b"x")
        await until(lambda: errors)
        assert [type(error) for error in errors] == [ValueError]
        turns, sent = talk.turns, talk.sent
        await peer.stream.send(b"more")
        talk.say(peer.line, b"x")
        for _ in range(20):
            await checkpoint()
        assert (talk.turns, talk.sent) == (turns, sent)


@pytest.mark.parametrize("served", [True, False])
async def test_the_end_of_the_stream_is_an_error(peer, served):
    if served:
        async with serving(peer.line, Talk()) as errors:
            await peer.stream.aclose()
            await until(lambda: errors)
            assert isinstance(errors[0], anyio.EndOfStream)
    else:
        await peer.stream.send(b"last")
        await peer.stream.aclose()
        assert await peer.line.receive() == b"last"
        with anyio.fail_after(PATIENCE), pytest.raises(anyio.EndOfStream):
            await peer.line.receive()


async def test_what_came_before_the_end_is_taken_before_it(peer):
    """Replies that are here are replies."""
    talk, data = Talk(most=1_000), bytes(range(250)) * 400
    async with serving(peer.line, talk) as errors:
        await peer.stream.send(data)
        await peer.stream.aclose()
        await until(lambda: errors)
        assert isinstance(errors[0], anyio.EndOfStream)
        assert talk.received == data


async def test_a_conversation_that_is_cancelled_is_given_nothing_more(peer):
    talk = Talk()
    async with serving(peer.line, talk):
        await peer.stream.send(b"one")
        await until(lambda: talk.received)
    turns = talk.turns
    await peer.stream.send(b"two")
    talk.say(peer.line, b"x")
    for _ in range(20):
        await checkpoint()
    assert (talk.turns, peer.line.asleep) == (turns, False)


async def test_a_line_that_is_closed_is_gone_at_once(peer):
    """Guarantee 28: also in a scope that is cancelled."""
    with anyio.CancelScope() as scope:
        scope.cancel()
        await peer.line.aclose()
    with anyio.fail_after(PATIENCE), pytest.raises(anyio.EndOfStream):
        await peer.stream.receive()


# --- connecting


def addresses(monkeypatch, *hosts):
    """Have every name mean these addresses."""
    places = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, 0)) for host in hosts]
    found = socket.getaddrinfo

    def getaddrinfo(host, port, *rest, **options):
        if host not in {"many.example", b"many.example"}:
            return found(host, port, *rest, **options)
        return [(*place[:4], (place[4][0], port)) for place in places]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def unused_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@asynccontextmanager
async def deaf_listener(host):
    """Listen at an address and take no connection: gives the port."""
    with socket.socket() as listener, anyio.move_on_after(PATIENCE):
        listener.bind((host, 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        crowd = [socket.socket() for _ in range(4)]
        for each in crowd:
            each.setblocking(False)
            each.connect_ex((host, port))
        yield port
        for each in crowd:
            each.close()


@pytest.mark.parametrize("order", [("127.0.0.2", "127.0.0.1"), ("127.0.0.1", "127.0.0.2")])
@pytest.mark.parametrize("other", ["refuses", "is silent"])
async def test_of_several_addresses_one_that_answers_is_enough(monkeypatch, order, other):
    addresses(monkeypatch, *order)
    async with deaf_listener("127.0.0.2") as deaf:
        port = unused_port() if other == "refuses" else deaf
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port)
        with anyio.fail_after(PATIENCE):
            async with connected(lambda: connect_tcp("many.example", port, None), listener) as peer:
                await peer.line.send(b"hello")
                assert await peer.stream.receive() == b"hello"


async def test_an_address_that_nobody_answers_at_is_an_error(monkeypatch):
    addresses(monkeypatch, "127.0.0.2", "127.0.0.3")
    port = unused_port()
    for host in ("many.example", "127.0.0.1"):
        with anyio.fail_after(PATIENCE), pytest.raises(OSError, match=r"\w"):
            await connect_tcp(host, port, None)


async def test_who_is_cancelled_while_connecting_leaves_no_socket(monkeypatch):
    """Guarantee 28: an unclosed socket is a warning, and so an error."""
    addresses(monkeypatch, "127.0.0.2", "127.0.0.3")
    async with deaf_listener("127.0.0.2") as port:
        with anyio.move_on_after(0.01) as scope:
            await connect_tcp("many.example", port, None)
        assert scope.cancelled_caught
