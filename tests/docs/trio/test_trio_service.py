"""The trio tutorial's program serves real clients."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import trio

PROGRAM = Path(__file__).parents[3] / "examples" / "trio_service.py"


@pytest.fixture
def service():
    spec = spec_from_file_location("trio_service", PROGRAM)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def asked(port, *lines):
    """Return the answers that a client gets to its lines."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all("".join(f"{line}\n" for line in lines).encode())
        await stream.send_eof()
        received = b"".join([chunk async for chunk in stream])
    return received.decode().splitlines()


async def test_the_service_asks_the_bank_once_and_serves_the_last_rate_when_it_is_down(service):
    bank = service.Bank()
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            (listener,) = await nursery.start(service.serve, bank, 0)
            port = listener.socket.getsockname()[1]
            assert await asked(port, "usd", "USD", "nut") == ["1.17", "1.17", "sorry: KeyError('nut')"]
            assert bank.calls == 2
            bank.is_down = True
            assert await asked(port, "usd", "gbp") == ["1.17", "sorry: ConnectionError('gbp')"]
            nursery.cancel_scope.cancel()


async def test_the_last_rate_is_served_while_the_bank_is_down(service):
    bank = service.Bank()
    async with service.Cache.open("mem://") as cache:
        rate = service.cached(cache, bank.rate)
        await rate("jpy")
        await cache.delete_match("early:rate:*")
        bank.is_down = True
        assert await rate("jpy") == 171.5


async def test_a_client_that_sends_no_end_of_line_is_left(service):
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            (listener,) = await nursery.start(service.serve, service.Bank(), 0)
            async with await trio.open_tcp_stream("127.0.0.1", listener.socket.getsockname()[1]) as stream:
                await stream.send_all(b"x" * 101)
                assert not await stream.receive_some()
            nursery.cancel_scope.cancel()
