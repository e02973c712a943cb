"""The event loop that the calling code runs in is found, whatever else the process does."""

import sys
from types import ModuleType

import pytest

from cashews.actors.loop import current_loop, loop_runs_here


@pytest.mark.parametrize("library", ["trio", "asyncio"])
async def test_another_thread_may_be_importing_the_library_of_other_loops(monkeypatch, anyio_backend_name, library):
    """Guarantee 30: a package is there before its modules are."""
    if library == anyio_backend_name:
        pytest.importorskip(library)  # it is there, and not being imported
        return
    for module in [each for each in sys.modules if each == library or each.startswith(f"{library}.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, library, ModuleType(library))
    assert loop_runs_here()
    assert current_loop().here
