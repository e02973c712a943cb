"""Middlewares for FastAPI and Starlette, and for any other ASGI application.

`CacheEtagMiddleware`, `CacheRequestControlMiddleware` and `CacheDeleteMiddleware` control what cached functions do for
a request; `cache_control_ttl` is a `ttl` that a request may shorten; `rate_limit_handler` answers 429. `HTTPCache`
stores whole responses. Nothing here needs FastAPI to be imported.
"""

from __future__ import annotations

from cashews.contrib.asgi.clearing import CacheDeleteMiddleware as CacheDeleteMiddleware
from cashews.contrib.asgi.control import CacheRequestControlMiddleware as CacheRequestControlMiddleware
from cashews.contrib.asgi.control import cache_control_ttl as cache_control_ttl
from cashews.contrib.asgi.declaring import cache_for as cache_for
from cashews.contrib.asgi.etag import CacheEtagMiddleware as CacheEtagMiddleware
from cashews.contrib.asgi.limits import rate_limit_handler as rate_limit_handler
from cashews.contrib.asgi.middleware import HTTPCache as HTTPCache
