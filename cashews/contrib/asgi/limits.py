"""Rate limits as responses: 429 with Retry-After and the RateLimit fields.

Source: draft-ietf-httpapi-ratelimit-headers-10.
"""

from __future__ import annotations

import json
import math
from typing import Any, Final

from cashews.contrib.asgi._types import Receive, Scope, Send
from cashews.contrib.asgi.replies import send_whole
from cashews.contrib.http.fields import MOST_SECONDS, Pairs
from cashews.exceptions import RateLimitError

_TOO_MANY_REQUESTS: Final = 429
_BODY: Final = json.dumps({"detail": "Too Many Requests"}).encode()


class TooManyRequests:
    """The response to a refused call, an ASGI application."""

    def __init__(self, error: RateLimitError) -> None:
        wait = _whole(error.retry_after)
        self.pairs: Pairs = (
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(_BODY)),
            (b"cache-control", b"no-store"),
            (b"retry-after", b"%d" % wait),
            (b"ratelimit-policy", f'"default";q={error.limit};w={_whole(error.period)}'.encode()),
            (b"ratelimit", f'"default";r=0;t={wait}'.encode()),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_whole(send, _TOO_MANY_REQUESTS, self.pairs, _BODY, len(_BODY))


def _whole(duration: float) -> int:
    """Return a duration in whole seconds; one without end is the longest there is."""
    return math.ceil(min(duration, MOST_SECONDS))


async def rate_limit_handler(_request: Any, error: Exception) -> Any:
    """Answer a call that a rate limit has refused: ``app.add_exception_handler(RateLimitError, rate_limit_handler)``.

    :returns: an ASGI application, which Starlette takes for a response
    """
    assert isinstance(error, RateLimitError)
    return TooManyRequests(error)
