"""Middlewares for FastAPI and Starlette, and for any other ASGI application.

`CacheEtagMiddleware`, `CacheRequestControlMiddleware` and `CacheDeleteMiddleware` control what cached functions do for
a request; `cache_control_ttl` is a `ttl` that a request may shorten; `rate_limit_handler` answers 429. `HTTPCache`
stores whole responses, and `purge_router` has a route that removes some. Only that one needs FastAPI.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cashews.contrib.asgi.clearing import CacheDeleteMiddleware as CacheDeleteMiddleware
from cashews.contrib.asgi.control import CacheRequestControlMiddleware as CacheRequestControlMiddleware
from cashews.contrib.asgi.control import cache_control_ttl as cache_control_ttl
from cashews.contrib.asgi.declaring import cache_for as cache_for
from cashews.contrib.asgi.etag import CacheEtagMiddleware as CacheEtagMiddleware
from cashews.contrib.asgi.limits import rate_limit_handler as rate_limit_handler
from cashews.contrib.asgi.middleware import HTTPCache as HTTPCache


def purge_router(*, dependencies: Sequence[Any], path: str = "/purge") -> Any:
    """Return a router whose route purges the `HTTPCache` around the application.

    ``app.include_router(purge_router(dependencies=[Depends(require_admin)]))``, then ``POST /purge?tag=user:1``. The
    parameters are those of `HTTPCache.purge`: one of `url`, `tag` and `match`, and `soft`. The answer is 204, and 422
    if not one of the three is given.

    :param dependencies: the dependencies of FastAPI that let a request purge or refuse it; an empty list if anybody may
    :param path: the path of the route
    :returns: an `APIRouter`
    :raises MissingExtraError: if FastAPI is not installed
    """
    from cashews.contrib._purging import router_of  # noqa: PLC0415  a program without this route needs no FastAPI

    return router_of(path, dependencies)
