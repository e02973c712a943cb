"""A FastAPI service that caches its slow answers; docs/tutorials/fastapi.md tells how it grew.

Run it with ``uvicorn --app-dir examples fastapi_service:app``.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse

from cashews import NOT_NONE, Cache, RateLimitError

# --8<-- [start:cache]
cache = Cache("shop")
cache.setup(os.environ.get("CACHE_URL", "mem://?size=10000"))


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Open the cache before the first request, and close it after the last one."""
    async with cache:
        yield


app = FastAPI(lifespan=lifespan)
# --8<-- [end:cache]


# --8<-- [start:database]
class Database:
    """A stand-in for your database: it takes its time, and it counts the queries."""

    def __init__(self) -> None:
        self.names = {1: "cashew", 2: "hazelnut", 3: "walnut"}
        self.queries = 0

    async def find(self, number: int) -> str | None:
        """Return the name of a product, or `None` if there is no such product."""
        self.queries += 1
        await anyio.sleep(0.05)
        return self.names.get(number)


database = Database()
# --8<-- [end:database]


# --8<-- [start:read]
@cache(ttl="10m", key="product:{number}", tags=["products"], condition=NOT_NONE)
async def load_name(number: int) -> str | None:
    """Return the name of a product from the cache, or from the database."""
    return await database.find(number)


@app.get("/products/{number}")
async def show(number: int) -> dict[str, int | str]:
    """Show one product."""
    name = await load_name(number)
    if name is None:
        raise HTTPException(404, "no such product")
    return {"number": number, "name": name}


# --8<-- [end:read]


# --8<-- [start:write]
@cache.invalidate("product:{number}")
async def rename(number: int, name: str) -> None:
    """Give a product another name; what the cache holds of it goes when this has returned."""
    database.names[number] = name


@app.put("/products/{number}")
async def change(number: int, name: str) -> dict[str, int | str]:
    """Change one product."""
    await rename(number, name)
    return {"number": number, "name": name}


@app.delete("/products/cache", status_code=204, response_model=None)
async def forget_all() -> None:
    """Remove every cached product, whatever its key is."""
    await cache.delete_tags("products")


# --8<-- [end:write]


# --8<-- [start:limit]
@cache.rate_limit(limit=3, period="1m", key="{client}")
async def check_password(client: str, password: str) -> bool:
    """Check a password, at most three times a minute for each client."""
    return password == os.environ.get("SHOP_PASSWORD", "nuts")


@app.post("/login")
async def log_in(request: Request, password: str) -> dict[str, bool]:
    """Log in, unless this client has tried too often."""
    client = request.client.host if request.client else "unknown"
    return {"welcome": await check_password(client, password)}


@app.exception_handler(RateLimitError)
async def too_many(_: Request, error: RateLimitError) -> JSONResponse:
    """Answer 429 where a rate limit was passed."""
    return JSONResponse({"detail": str(error)}, status_code=429)


# --8<-- [end:limit]


# --8<-- [start:detect]
@app.middleware("http")
async def say_where_from(request: Request, proceed: Callable[[Request], Awaitable[Response]]) -> Response:
    """Name the keys that answered from the cache in a header."""
    with cache.detect as detector:
        response = await proceed(request)
    response.headers["X-From-Cache"] = ", ".join(detector.keys) or "nothing"
    return response


# --8<-- [end:detect]
