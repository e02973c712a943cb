"""The route of FastAPI that purges an HTTP cache; loaded when a program asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from cashews.contrib.asgi.middleware import HTTPCache
from cashews.exceptions import MissingExtraError, WrongArgumentError

try:
    from fastapi import APIRouter, HTTPException, Request
except ImportError as error:
    raise MissingExtraError("fastapi", "fastapi") from error

_UNPROCESSABLE: Final = 422


def router_of(path: str, dependencies: Sequence[Any]) -> APIRouter:
    """Return a router with the route."""
    router = APIRouter(dependencies=list(dependencies))
    router.post(path, status_code=204, response_model=None)(purge)
    return router


async def purge(
    request: Request,
    url: str | None = None,
    tag: str | None = None,
    match: str | None = None,
    soft: bool = False,  # noqa: FBT001, FBT002  a parameter of a query
) -> None:
    """Remove stored responses by one of `url`, `tag` and `match`; with `soft` they are served once more."""
    http = request.scope.get("cashews.http")
    if not isinstance(http, HTTPCache):
        raise WrongArgumentError("purge_router()", None, "an application with the middleware HTTPCache around it")
    try:
        await http.purge(url, tag=tag, match=match, soft=soft)
    except WrongArgumentError as error:
        raise HTTPException(_UNPROCESSABLE, str(error)) from error
