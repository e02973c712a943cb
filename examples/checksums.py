"""A script that prints checksums of files and remembers them on disk; docs/tutorials/script.md tells how it grew.

Run it with ``python examples/checksums.py FILE...``; the second run reads no file that has not changed.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import anyio
import anyio.to_thread

from cashews import Cache


# --8<-- [start:work]
def digest_of(path: Path) -> str:
    """Read a file and return its SHA-256 in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(2**20):
            digest.update(chunk)
    return digest.hexdigest()


# --8<-- [end:work]


# --8<-- [start:report]
async def report(paths: list[Path], directory: Path | None) -> int:
    """Print the checksum of each file, and return how many files had to be read."""
    read = 0
    async with Cache.open("disk://", directory=directory, size_limit=50 * 1024**2) as cache:

        @cache(ttl="30d", key="sha256:{path}:{modified}:{size}")
        async def checksum(path: Path, modified: int, size: int) -> str:  # the facts are there for the key
            nonlocal read
            read += 1
            return await anyio.to_thread.run_sync(digest_of, path)

        for path in paths:
            facts = await anyio.Path(path).stat()
            print(await checksum(path.absolute(), facts.st_mtime_ns, facts.st_size), path)
    return read


# --8<-- [end:report]


# --8<-- [start:main]
def main() -> None:
    """Read the command line and print the report."""
    parser = argparse.ArgumentParser(description="Print SHA-256 checksums, from a cache where files are unchanged.")
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--directory", type=Path, help="where the cache is (default: your own cache folder)")
    given = parser.parse_args()
    read = anyio.run(report, given.paths, given.directory)
    print(f"{read} of {len(given.paths)} files were read")


if __name__ == "__main__":
    main()
# --8<-- [end:main]
