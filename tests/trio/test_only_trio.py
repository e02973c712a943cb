"""This directory is about trio alone: its tests run there, whatever else was asked for."""

import trio


async def test_this_directory_runs_on_trio(anyio_backend_name):
    assert anyio_backend_name == "trio"
    assert trio.current_time() >= 0
    await trio.lowlevel.checkpoint()
