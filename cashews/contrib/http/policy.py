"""Storing: which responses a shared cache may keep, of them which fields, and for how long (RFC 9111, 3 and 4.2)."""

from __future__ import annotations

from typing import Final

from cashews._dataclass import dataclass, replace
from cashews.contrib.http.dates import parse_date
from cashews.contrib.http.directives import OWN_TARGET, Directives, asked, control_of
from cashews.contrib.http.fields import MOST_SECONDS, Fields, Pairs, delta_seconds
from cashews.contrib.http.record import Reuse, StoredResponse
from cashews.contrib.http.structured import parse_list
from cashews.contrib.http.vary import vary_names

HEURISTIC_SHARE: Final = 0.1
"""Which part of the time since its last modification a response is fresh that says nothing (RFC 9111, 4.2.2)."""
LONGEST_HEURISTIC: Final = 86_400.0
_UNDERSTOOD: Final = frozenset(
    {200, 201, 202, 203, 204, 205, 300, 301, 302, 303, 307, 308}
    | {400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 421, 422, 426}
    | {500, 501, 502, 503, 504, 505}
)
"""The status codes whose meaning for a cache is known here (RFC 9111, 5.2.2.3): those of RFC 9110, 15."""
_HEURISTIC: Final = frozenset({200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501})
"""The status codes whose responses may be fresh without a word of their own (RFC 9110, 15.1)."""
_NEVER_STORED: Final = frozenset({206, 304})
"""A part, and a message about a stored response: neither is a response on its own."""
_FIRST_FINAL, _LAST_FINAL = 200, 599
_OK: Final = 200
_BODILESS: Final = frozenset({204, 205, 304})
_HOP_BY_HOP: Final = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authentication-info", "proxy-authorization"}
    | {"proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)
"""The fields that are about a connection, not about a response (RFC 9111, 3.1)."""
_OURS: Final = frozenset({"age", OWN_TARGET})
"""The fields that a cache gives anew, or keeps for itself."""
_NOT_FRESHENED: Final = frozenset({"content-length", "content-range", "content-encoding", "etag", "vary"})
"""The fields that stay as they are stored: they describe the stored content, or have selected it (RFC 9111, 3.2)."""
_STRICT: Final = ("must-revalidate", "proxy-revalidate", "s-maxage")
_SHARING: Final = ("public", "s-maxage", "must-revalidate")
"""The directives that let a response to an authenticated request be stored (RFC 9111, 3.5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The options of a cache; durations in seconds.

    `safe`: whether nothing that may be meant for one client is stored on a guess. `targets`: the fields that go before
    Cache-Control. `tags`: the fields with names to purge by. `default_ttl`: how long a 200 is fresh that says nothing.
    `while_stale`, `on_error`: for how long a stale response may be served where it does not say so itself.
    `keep`: how long a stale response stays for its validator's sake. `trusting`: whether clients are obeyed.
    """

    safe: bool = True
    targets: tuple[str, ...] = (OWN_TARGET,)
    tags: tuple[str, ...] = ("cache-groups", "cache-tag", "surrogate-key")
    default_ttl: float | None = None
    while_stale: float | None = None
    on_error: float | None = None
    keep: float = 86_400.0
    trusting: bool = False


@dataclass(frozen=True, slots=True)
class Times:
    """The wall times at which a request went to the application and its response began (RFC 9111, 4.2.3)."""

    asked: float
    answered: float


@dataclass(frozen=True, slots=True)
class StoragePlan:
    """A response that may be stored, but for its body; `vary` are the names of its selecting fields."""

    response: StoredResponse
    vary: tuple[str, ...]
    ttl: float
    """For how many seconds a store should keep it."""

    def complete(self, body: bytes) -> StoredResponse:
        """Return the response with its body, whose length is known from now on."""
        head = self.response
        pairs = head.pairs
        if head.status not in _BODILESS and not any(name.lower() == b"content-length" for name, _ in pairs):
            pairs = (*pairs, (b"content-length", b"%d" % len(body)))
        return replace(head, pairs=pairs, body=body)


def plan(request: Fields, status: int, response: Fields, times: Times, rules: Rules) -> StoragePlan | None:
    """Return how to store a response to GET; `None` if it may not be stored, or there is no use in it.

    It may where nothing forbids it, and it is explicitly fresh, public, or of a status that is heuristically cacheable
    (RFC 9111, 3); there is where it is fresh for a while or can be validated.
    """
    if status in _NEVER_STORED or not _FIRST_FINAL <= status <= _LAST_FINAL:
        return None
    control, targeted = control_of(response, rules.targets)
    vary = vary_names(response)
    if vary is None or not _permitted(request, status, control, rules):
        return None
    pairs = stored_pairs(response, control)
    if pairs is None or is_events((response.get("content-type") or "").encode("latin-1")):
        return None
    explicit = _explicit(control, response, targeted=targeted)
    if rules.safe and not _impersonal(request, Fields(pairs), control, explicit=explicit):
        return None
    date, born = _origin(response, times)
    lifetime = explicit_lifetime(control, response, date, times.answered, targeted=targeted)
    if lifetime is None:
        if status not in _HEURISTIC and "public" not in control:
            return None
        lifetime = _implicit_lifetime(status, response, date, times.answered, rules, silent=not control)
    return _planned(Fields(pairs), status, control, rules, vary=vary, born=born, lifetime=lifetime)


def _permitted(request: Fields, status: int, control: Directives, rules: Rules) -> bool:
    """Say whether no directive forbids to store, and the request does not (RFC 9111, 3 and 3.5)."""
    understood = "must-understand" in control
    if understood and status not in _UNDERSTOOD:
        return False
    if ("no-store" in control and not understood) or control.plain("private"):
        return False
    if "authorization" in request and not any(name in control for name in _SHARING):
        return False
    return not (rules.trusting and "no-store" in asked(request))


def stored_pairs(response: Fields, control: Directives) -> Pairs | None:
    """Return the fields that are stored (RFC 9111, 3.1, 5.2.2.4 and 5.2.2.7); `None` if one of them is no field."""
    connection = [name.lower() for name in response.members("connection")]
    qualified = [*control.fields("no-cache"), *control.fields("private")]
    pairs = response.without({*_HOP_BY_HOP, *_OURS, *connection, *qualified})
    return None if any(b"\n" in part for pair in pairs for part in pair) else pairs


def is_events(content_type: bytes) -> bool:
    """Say whether a response is a stream of events: it has no end, and none is to be waited for."""
    return content_type.lower().startswith(b"text/event-stream")


def _explicit(control: Directives, response: Fields, *, targeted: bool) -> bool:
    """Say whether a response states that others than its client may get it, or for how long it is fresh."""
    named = any(name in control for name in ("max-age", "s-maxage", "public"))
    return named or (not targeted and "expires" in response)


def _impersonal(request: Fields, kept: Fields, control: Directives, *, explicit: bool) -> bool:
    """Say whether nothing in an exchange looks as if it were meant for one client (RFC 9111, 7.3)."""
    if "set-cookie" in kept:
        return "public" in control or "s-maxage" in control
    return explicit or "cookie" not in request


def _origin(response: Fields, times: Times) -> tuple[float, float]:
    """Return the date of a response, and the time at which its age was 0 (RFC 9111, 4.2.3).

    A Date that is missing or cannot be read is the time of receipt (RFC 9110, 6.6.1).
    """
    found = parse_date(response.get("date") or "", times.answered)
    date = times.answered if found is None else found
    apparent = max(0.0, times.answered - date)
    corrected = (stated_age(response) or 0) + (times.answered - times.asked)
    return date, times.answered - max(apparent, corrected)


def stated_age(response: Fields) -> int | None:
    """Return the first member of Age; `None` if it is no number of seconds (RFC 9111, 5.1)."""
    first, *_ = response.members("age") or [""]
    return delta_seconds(first)


def explicit_lifetime(
    control: Directives, response: Fields, date: float, now: float, *, targeted: bool
) -> float | None:
    """Return for how long a response says that it is fresh (RFC 9111, 4.2.1); `None` if it does not say.

    Expires counts for nothing where the directives are targeted (RFC 9213, 2.2); one that cannot be read, or lines
    that contradict each other, mean the past (RFC 9111, 5.3).
    """
    for name in ("s-maxage", "max-age"):
        if (seconds := control.seconds(name)) is not None:
            return float(seconds)
    lines = response.lines("expires")
    if targeted or not lines:
        return None
    expires = parse_date(lines[0], now) if len(set(lines)) == 1 else None
    return 0.0 if expires is None else min(max(0.0, expires - date), float(MOST_SECONDS))


def _implicit_lifetime(status: int, response: Fields, date: float, now: float, rules: Rules, *, silent: bool) -> float:
    """Return for how long a response that does not say it is fresh: as configured, or by a guess (RFC 9111, 4.2.2)."""
    if rules.default_ttl is not None and status == _OK and silent:
        return rules.default_ttl
    modified = parse_date(response.get("last-modified") or "", now)
    if modified is None:
        return 0.0
    return min(max(0.0, (date - modified) * HEURISTIC_SHARE), LONGEST_HEURISTIC)


def _planned(
    kept: Fields, status: int, control: Directives, rules: Rules, *, vary: tuple[str, ...], born: float, lifetime: float
) -> StoragePlan | None:
    validated, strict = control.plain("no-cache"), any(name in control for name in _STRICT)
    reuse = Reuse.VALIDATED * validated | Reuse.NEVER_STALE * (strict or validated)
    while_stale, on_error = control.seconds("stale-while-revalidate"), control.seconds("stale-if-error")
    validator = "etag" in kept or "last-modified" in kept
    if not ((lifetime > 0 and not validated) or validator or ((while_stale or on_error) and not reuse)):
        return None
    allowed = 0.0 if reuse else 1.0
    margins = (
        allowed * ((rules.while_stale or 0.0) if while_stale is None else while_stale),
        allowed * ((rules.on_error or 0.0) if on_error is None else on_error),
    )
    response = StoredResponse(status, kept.pairs, b"", born, lifetime, *margins, Reuse(reuse), tags_of(kept, rules))
    return StoragePlan(response, vary, lifetime + max(*margins, rules.keep if validator else 0.0))


def tags_of(response: Fields, rules: Rules) -> tuple[str, ...]:
    """Return the names that a response can be purged by, but for its groups."""
    tags: list[str] = []
    for name in rules.tags:
        if name == "surrogate-key":
            tags += (response.get(name) or "").split()
        elif name != "cache-groups":
            tags += response.members(name)
    return tuple(dict.fromkeys(tags))


def groups_of(response: Fields, name: str = "cache-groups") -> list[str]:
    """Return the cache groups that a field names (RFC 9875, 2 and 3); none if it is not valid."""
    members = parse_list(response.get(name) or "") or []
    return [member for member in members if type(member) is str]


def freshened(
    stored: StoredResponse, request: Fields, update: Fields, times: Times, rules: Rules
) -> tuple[StoredResponse, StoragePlan | None]:
    """Return a stored response with the fields of a 304, and how to store it (RFC 9111, 3.2 and 4.3.4).

    A 304 without a Date was made now: the old Date, and the age that it means, do not stay.
    """
    control, _ = control_of(update, rules.targets)
    pairs = Fields(stored_pairs(update, control) or ()).without(_NOT_FRESHENED)
    updated = {name.decode("latin-1").lower() for name, _ in pairs} | {"date"}
    merged = Fields((*stored.fields().without(updated), *pairs))
    aged = Fields((*merged.pairs, *[pair for pair in update.pairs if pair[0].lower() in _AGES]))
    planned = plan(request, stored.status, aged, times, rules)
    if planned is not None:
        return planned.complete(stored.body), planned
    _, born = _origin(aged, times)
    return StoredResponse(stored.status, merged.pairs, stored.body, born, 0.0), None


_AGES: Final = (b"age", OWN_TARGET.encode())
"""The fields of a 304 that count for its lifetime and are not stored."""


def invalidates(method: str, status: int) -> bool:
    """Say whether an answer to a method that is not safe makes stored responses invalid (RFC 9111, 4.4)."""
    return method not in SAFE_METHODS and _FIRST_FINAL <= status < _FIRST_ERROR


SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_FIRST_ERROR: Final = 400
