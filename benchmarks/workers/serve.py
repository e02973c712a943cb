"""A worker that measures cases of one library on one event loop: `serve.py LIBRARY LOOP [URL]`.

It first says what it can do, then answers each request `{"case": ..., "seconds": ...}` with the calls made and the
seconds they took. One event loop lives as long as the worker; waiting for a request blocks it, which costs the machine
nothing while other workers are measured.
"""

from __future__ import annotations

import gc
import sys
from dataclasses import dataclass
from importlib import import_module

import cases
from lines import describe, reply, requests


@dataclass
class Prepared:
    """A case that is ready to run, and how many calls fill the time that is wanted."""

    call: cases.Call
    times: int = 1


class Bench:
    """Prepares each case once and runs it as often as it is asked to."""

    def __init__(self, library: cases.Library) -> None:
        self._library = library
        self._prepared: dict[str, Prepared] = {}

    async def serve(self) -> None:
        """Answer requests until there are no more."""
        async with self._library.running():
            for request in requests():
                try:
                    reply(**await self.measure(request["case"], request["seconds"]))
                except Exception as error:  # noqa: BLE001  whatever goes wrong in a library is an answer, too
                    reply(error=describe(error))

    async def measure(self, case: str, seconds: float) -> dict[str, object]:
        """Run a case for about so many seconds."""
        if case not in self._prepared:
            self._prepared[case] = Prepared(await getattr(self._library, case)())
            await self._find_times(self._prepared[case], seconds)
        prepared = self._prepared[case]
        gc.collect()
        spent = await self._library.repeat(prepared.call, prepared.times)
        executions = getattr(prepared.call, "executions", None)
        return {"calls": prepared.times, "seconds": spent, "executions": executions}

    async def _find_times(self, prepared: Prepared, seconds: float) -> None:
        spent = await self._library.repeat(prepared.call, prepared.times)
        while spent < seconds / 2:
            prepared.times *= 2
            spent = await self._library.repeat(prepared.call, prepared.times)
        prepared.times = max(1, round(prepared.times * seconds / spent))


def main() -> None:
    """Load the library and serve."""
    library_name, loop_name, *url = sys.argv[1:]
    try:
        loop = import_module(f"loop_{loop_name}")
        library: cases.Library = import_module(f"cases_{library_name}").Library(loop, *url)
    except Exception as error:  # noqa: BLE001  whatever goes wrong in a library is an answer, too
        reply(error=describe(error))
        return
    reply(version=library.version(), cases=library.cases())
    loop.run(Bench(library).serve)


if __name__ == "__main__":
    main()
