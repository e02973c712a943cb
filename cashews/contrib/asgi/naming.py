"""The keys of responses: scheme, host, path and query as they came, and an addition (RFC 9110, 7.1; RFC 9111, 2)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final, cast
from urllib.parse import quote, urljoin

from cashews._dataclass import dataclass, field
from cashews.contrib.asgi._types import Scope
from cashews.contrib.http.fields import Fields
from cashews.exceptions import WrongArgumentError
from cashews.keys.pattern import matcher

AFTER: Final = " "
"""Begins all that follows a URL in a key: it stands in no URL."""
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}
_SAFE: Final = "".join(map(chr, range(0x21, 0x7F)))
"""The characters that stay as they are: all that can be seen in ASCII. An escape is never changed, nor resolved."""
_HOST: Final = re.compile(r"[a-z0-9._~!$&'()*+,;=:\[\]-]*")
"""A host, in lower case, without an escape, perhaps with a port (RFC 3986, 3.2.2)."""
_IN_PATHS: Final = "/:@!$&'()*+,;=~"
"""The characters that need no escape in a path (RFC 3986, 3.3)."""


@dataclass(frozen=True, slots=True)
class QueryRule:
    """Which parameters of a query make another response, and whether their order does."""

    ignored: tuple[Callable[[str], bool], ...] = ()
    is_sorted: bool = False

    @classmethod
    def of(cls, query: Mapping[str, object] | None) -> QueryRule:
        """Return the rule of an option such as ``{"ignore": ("utm_*",), "sort": True}``.

        :raises WrongArgumentError: if it has other members
        """
        if query is None:
            return cls()
        ignored = query.get("ignore", ())
        if not set(query) <= {"ignore", "sort"} or not isinstance(ignored, (list, tuple, set, frozenset)):
            raise WrongArgumentError("query", query, "None, or a mapping with ignore= (patterns) and sort= (a bool)")
        patterns = cast("Iterable[object]", ignored)
        return cls(tuple([matcher(str(pattern)) for pattern in patterns]), bool(query.get("sort", False)))

    def __call__(self, query: str) -> str:
        if not self.ignored and not self.is_sorted:
            return query
        parameters = [each for each in query.split("&") if not self._ignores(each.partition("=")[0])]
        return "&".join(sorted(parameters) if self.is_sorted else parameters)

    def _ignores(self, name: str) -> bool:
        return any(matches(name) for matches in self.ignored)


@dataclass(frozen=True, slots=True)
class Naming:
    """Makes the keys of one HTTP cache."""

    prefix: str = "http:"
    query: QueryRule = field(default_factory=QueryRule)

    def url_of(self, scope: Scope, request: Fields) -> str:
        """Return the URL of a request, in the form that keys have."""
        scheme = str(scope.get("scheme", "http"))
        raw_path: bytes | None = scope.get("raw_path")
        path = (
            quote(str(scope["path"]), safe=_IN_PATHS)
            if raw_path is None
            else raw_path.partition(b"?")[0].decode("latin-1")
        )
        query = bytes(scope.get("query_string", b"")).decode("latin-1")
        return self._joined(scheme, request.get("host") or _server_of(scope), path, query)

    def canonical(self, url: str) -> str:
        """Return the form that a URL has in keys.

        :raises WrongArgumentError: if it is not absolute
        """
        scheme, separator, rest = url.partition("#")[0].partition("://")
        if not separator:
            raise WrongArgumentError("url", url, "an absolute URL, such as 'https://example.org/path'")
        place, _, query = rest.partition("?")
        host, slash, path = place.partition("/")
        return self._joined(scheme.lower(), host, slash + path if slash else "/", query)

    def _joined(self, scheme: str, host: str, path: str, query: str) -> str:
        """Return a URL from which its parts can be told: no stranger's host ends in another host's path."""
        host = host.lower().removesuffix(_DEFAULT_PORTS.get(scheme, " "))
        if not _HOST.fullmatch(host):
            host = quote(host, safe="")
        if not path.startswith("/"):
            path = f"{AFTER}{path}" if path else "/"
        query = self.query(query)
        url = f"{scheme}://{host}{path}?{query}" if query else f"{scheme}://{host}{path}"
        return url if url.isascii() and url.isprintable() and AFTER not in url else quote(url, safe=_SAFE)

    def beside(self, url: str, reference: str) -> str | None:
        """Return the URL that a response to another refers to; `None` if its origin is another (RFC 9111, 4.4)."""
        try:
            found = self.canonical(urljoin(url, reference))
        except ValueError:  # no URL at all
            return None
        return found if origin_of(found) == origin_of(url) else None

    def key(self, url: str, addition: str = "") -> str:
        """Return the key of a URL."""
        return f"{self.prefix}{url}{AFTER}key={addition}" if addition else self.prefix + url

    def loads_of(self, url: str = "") -> str:
        """Return the tag whose deletion overtakes the loads of a URL; without one, the beginning of all such tags.

        No response carries it: it tells of a purge to the loads of other processes.
        """
        return f"{self.prefix}loads:{url}"

    def group(self, url: str, name: str) -> str:
        """Return the tag of a cache group, which is one within an origin (RFC 9875, 2.1)."""
        return f"{self.prefix}group:{origin_of(url)}{AFTER}{name}"


def origin_of(url: str) -> str:
    """Return scheme, host and port of a URL in the form that keys have."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0].partition('?')[0]}"


def _server_of(scope: Scope) -> str:
    host, port = scope.get("server") or ("", None)
    return f"{host}:{port}" if port else str(host)
