"""Reuse: whether a stored response answers a request (RFC 9111, 4)."""

from __future__ import annotations

import enum

from cashews.contrib.http.directives import Directives
from cashews.contrib.http.record import Reuse, StoredResponse

_FAILURES = frozenset({500, 502, 503, 504})


class Use(enum.Enum):
    """The verdict about a stored response."""

    SERVE = "serve"
    """It is fresh."""
    SERVE_AND_REFRESH = "serve and refresh"
    """It is stale, and may be served while a new one is loaded (RFC 5861, 3)."""
    VALIDATE = "validate"
    """The application has to be asked."""
    REQUESTED = "requested"
    """It would do, but the client wants the application to be asked."""


def usable(stored: StoredResponse, now: float, request: Directives | None = None) -> Use:
    """Judge a stored response.

    :param request: the directives of the client, if it is to be obeyed (RFC 9111, 5.2.1)
    """
    left = stored.lifetime - stored.age(now)
    if stored.reuse:  # an operation of its enum takes as long as all the rest
        if stored.reuse & Reuse.VALIDATED:
            return Use.VALIDATE
        if stored.reuse & Reuse.PURGED:
            return Use.VALIDATE if stored.reuse & Reuse.NEVER_STALE else Use.SERVE_AND_REFRESH
    if request:
        return _as_asked(stored, left, now, request)
    return _by_time(stored, left)


def _by_time(stored: StoredResponse, left: float) -> Use:
    if left > 0:
        return Use.SERVE
    return Use.SERVE_AND_REFRESH if left > -stored.while_stale else Use.VALIDATE


def _as_asked(stored: StoredResponse, left: float, now: float, request: Directives) -> Use:
    """Judge it by its time and by the client's wishes: max-age, min-fresh, max-stale, no-cache."""
    if "no-cache" in request:
        return Use.REQUESTED
    oldest, least = request.seconds("max-age"), request.seconds("min-fresh")
    if left > 0:
        too_old = oldest is not None and stored.age(now) > oldest
        return Use.REQUESTED if too_old or (least is not None and left < least) else Use.SERVE
    if "max-stale" in request and not stored.reuse & Reuse.NEVER_STALE:
        most = None if request.plain("max-stale") else request.seconds("max-stale")
        return Use.SERVE if most is None or -left <= most else Use.VALIDATE
    return Use.VALIDATE if oldest is not None or least is not None else _by_time(stored, left)


def serves_on_error(stored: StoredResponse, now: float) -> bool:
    """Say whether a stored response may stand in for an application that fails (RFC 5861, 4)."""
    return not stored.reuse & Reuse.NEVER_STALE and stored.lifetime - stored.age(now) > -stored.on_error


def is_failure(status: int) -> bool:
    """Say whether a status is a failure that a stored response may stand in for (RFC 5861, 4)."""
    return status in _FAILURES
