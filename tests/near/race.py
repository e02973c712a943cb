"""The race of the client-side cache: a writer process, reader processes, and a marker that proves the order of reads.

``python -m tests.near.race --seconds 60`` runs it on every server that can be had and on both loops; ``--server redis``
and ``--loop trio`` choose. ``--cut 0.5`` kills all connections that often. ``--planted`` runs it with each planted bug,
and fails unless each of them is found.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import sleep

from tests.near.judge import Judge, Verdict
from tests.near.plants import PLANTS
from tests.near.reader import LAG
from tests.servers import Server, binaries

ROOT = Path(__file__).parents[2]
READERS = 2
PREFIX = "near:"
PROMPT = 0.02
"""The staleness in seconds that 99 of 100 runs do not exceed."""
TICKS = 0.002
"""The seconds for which a value may be read after its life: two ticks of the server."""


def start(module: str, *words: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", f"tests.near.{module}", *map(str, words)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def race(
    server: Server,
    loop: str,
    seconds: float,
    *,
    cut: float = 0.0,
    bug: str = "",
    url: str = "",
    prefix: str = PREFIX,
    disturb: Callable[[], object] | None = None,
) -> Verdict:
    """Run a race and judge it.

    :param cut: kill all connections at intervals of so many seconds, or `disturb` in another way
    :param url: the URL for the readers, unless that is the server's
    """
    server.command("FLUSHALL")
    writer = start("writer", server.port, prefix, 1)
    readers = [start("reader", loop, bug, url or server.url, prefix, seconds, number) for number in range(READERS)]
    with ThreadPoolExecutor() as threads:
        reading = [threads.submit(reader.communicate) for reader in readers]
        while cut and not all(each.done() for each in reading):
            sleep(cut)
            disturb() if disturb else server.command("CLIENT", "KILL", "TYPE", "normal")
    outputs = [writer.communicate()[0], *(each.result()[0] for each in reading)]
    log = [json.loads(line) for line in outputs[0].splitlines()]
    return Judge(log).judge([json.loads(output) for output in outputs[1:]])


def faults(verdict: Verdict) -> list[str]:
    """Return the promises that a race has broken."""
    found = {
        "went back": verdict.went_back,
        "behind the marker": verdict.behind,
        "own write unseen": verdict.unseen,
        "invented": verdict.invented,
        "after expiry": verdict.after_expiry > TICKS,
        "older than the lag": verdict.oldest > LAG,
        "nothing from memory": not verdict.hits,
    }
    return [name for name, wrong in found.items() if wrong]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--cut", type=float, default=0.0)
    parser.add_argument("--planted", action="store_true")
    parser.add_argument("--loop", action="append", choices=("asyncio", "trio"))
    parser.add_argument("--server", action="append", choices=tuple(binaries()))
    asked = parser.parse_args()
    failed = False
    for kind in asked.server or binaries():
        binary = binaries()[kind]
        for loop in asked.loop or ("asyncio", "trio"):
            for bug in PLANTS if asked.planted else ("",):
                with Server(binary) as server:
                    cut = asked.cut or (0.3 if bug == "kept through a cut" else 0.0)
                    verdict = race(server, loop, asked.seconds, cut=cut, bug=bug)
                broken = faults(verdict)
                failed |= bool(broken) is not bool(bug)
                print(f"{kind} {loop} {bug or 'as it is'}: {verdict}; {broken or 'all kept'}", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
