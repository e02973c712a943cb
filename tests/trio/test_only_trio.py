"""This directory is about trio alone: its tests run there, whatever else was asked for."""

import signal

import pytest
import trio

from cashews import Cache


async def test_this_directory_runs_on_trio(anyio_backend_name):
    assert anyio_backend_name == "trio"
    assert trio.current_time() >= 0
    await trio.lowlevel.checkpoint()


def test_an_interrupt_at_the_keyboard_goes_to_the_main_task():
    """In a task of the loop's own it would be an internal error of trio."""
    cache = Cache()
    cache.setup("mem://")
    runs = 0

    @cache.hit(ttl="1h", cache_hits=9, update_after=1, key="key")
    async def refreshed():
        nonlocal runs
        runs += 1
        if runs == 2:
            signal.raise_signal(signal.SIGINT)
        return runs

    async def main():
        await refreshed()
        await refreshed()
        with trio.fail_after(30):
            await trio.sleep_forever()

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # what began in the background ignores it
    try:
        with pytest.raises(KeyboardInterrupt):
            trio.run(main)
    finally:
        signal.signal(signal.SIGINT, before)
    assert runs == 2
    assert trio.run(refreshed) == 2
