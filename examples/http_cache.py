"""A catalogue behind an HTTP cache; docs/tutorials/http-cache.md tells how it grew.

Run it with ``uvicorn --app-dir examples http_cache:app``, or twice over one Valkey by ``docker compose up`` in the
folder of the examples.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import anyio
from fastapi import Body, Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import StreamingResponse

from cashews import Cache
from cashews.contrib.asgi import HTTPCache, cache_for

# --8<-- [start:cache]
cache = Cache("catalogue")
cache.setup(os.environ.get("CACHE_URL", "mem://?size=10000"))


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Open the cache before the first request, and close it after the last one."""
    async with cache:
        yield


app = FastAPI(lifespan=lifespan)
app.add_middleware(HTTPCache, cache=cache, name="catalogue")
# --8<-- [end:cache]

books = {1: "Oranges", 2: "Walnuts"}
queries: list[int] = []


# --8<-- [start:read]
@app.get("/books/{number}", dependencies=[Depends(cache_for(max_age="1m", swr="10m", sie="1h", tags=["books"]))])
async def show(number: int) -> dict[str, int | str]:
    """Show one book; the database takes its time."""
    queries.append(number)
    await anyio.sleep(0.05)
    if number not in books:
        raise HTTPException(404, "no such book")
    return {"number": number, "title": books[number]}


# --8<-- [end:read]


# --8<-- [start:write]
@app.put("/books/{number}")
async def change(number: int, title: Annotated[str, Body(embed=True)]) -> dict[str, int | str]:
    """Change one book; the cached response to its URL goes with it."""
    books[number] = title
    return {"number": number, "title": title}


@app.post("/books/reprint", status_code=204)
async def reprint(request: Request) -> None:
    """Let every book be shown once more as it was, and be loaded anew behind that."""
    await request.scope["cashews.http"].purge(tag="books", soft=True)


# --8<-- [end:write]


# --8<-- [start:private]
@app.get("/basket")
async def basket(response: Response) -> dict[str, list[int]]:
    """Show the basket of one client: nobody else gets it, and it is not stored."""
    response.headers["Cache-Control"] = "private"
    return {"books": [1]}


# --8<-- [end:private]


# --8<-- [start:stream]
@app.get("/export")
async def export() -> StreamingResponse:
    """Send all books as they come; the bytes pass on while they are stored."""
    return StreamingResponse(lines(), headers=cache_for(max_age="5m").fields, media_type="text/plain")


async def lines() -> AsyncIterator[str]:
    """Give a line for each book."""
    queries.append(0)
    for number, title in books.items():
        await anyio.sleep(0.01)
        yield f"{number} {title}\n"


# --8<-- [end:stream]
