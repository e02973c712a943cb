"""Plays the public HTTP cache suite and prints its figures: `python -m tests.http_suite --help`."""

import argparse
import json
import sys
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

import anyio

from tests.http_suite.runner import build, cases_of_the_suite, kind_of, play, score, shortfalls
from tests.http_suite.wire import behind_uvicorn


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="mem://", help="the store; it is emptied")
    parser.add_argument("--loop", choices=("asyncio", "trio"), default="asyncio")
    parser.add_argument("--profile", choices=("rfc", "safe"), default="rfc")
    parser.add_argument("--required", type=int, default=0, help="how many must pass")
    parser.add_argument("--optimal", type=int, default=0, help="how many must pass")
    parser.add_argument("--repeat", type=int, default=1, help="runs that must be equal")
    parser.add_argument("--json", type=Path, help="a file for the results, in the form of the suite")
    parser.add_argument("--uvicorn", action="store_true", help="behind a server, over sockets; on asyncio")
    options = parser.parse_args()
    cases = cases_of_the_suite()
    if options.uvicorn and options.loop != "asyncio":
        parser.error("uvicorn runs on asyncio alone")
    arguments = (play, cases, options.url, build(options.profile), behind_uvicorn if options.uvicorn else nullcontext)
    runs = [anyio.run(*arguments, backend=options.loop) for _ in range(options.repeat)]
    if options.json:
        options.json.write_text(json.dumps(runs[0], indent=1) + "\n")
    print(*shortfalls(cases, runs[0]), sep="\n")
    good, all_of = score(cases, runs[0]), Counter(map(kind_of, cases))
    print(", ".join(f"{kind} {good[kind]}/{all_of[kind]}" for kind in ("required", "optimal", "check")))
    moved = [ident for ident in runs[0] if any(run[ident] != runs[0][ident] for run in runs)]
    if moved:
        print("not the same in every run:", *moved)
    return int(good["required"] < options.required or good["optimal"] < options.optimal or bool(moved))


if __name__ == "__main__":
    sys.exit(main())
