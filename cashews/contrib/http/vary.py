"""Selecting header fields: the names in Vary, and the values that make two requests alike (RFC 9111, 4.1)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from typing import Final, TypeAlias

from cashews.contrib.http.fields import Fields, split_list

Normaliser: TypeAlias = Callable[["str | None"], "str | None"]
"""Returns the same text for values of a request field that select the same response; `None` is a field left out."""

_QUALITY: Final = re.compile(r"[ \t]*q[ \t]*=[ \t]*([01](?:\.[0-9]{0,3})?)[ \t]*", re.IGNORECASE)


def vary_names(response: Fields) -> tuple[str, ...] | None:
    """Return the names in Vary, in lower case and in order; `None` where a `*` is among them."""
    names = {name.lower() for name in response.members("vary")}
    return None if "*" in names else tuple(sorted(names))


def selection(names: Iterable[str], request: Fields, normalisers: Mapping[str, Normaliser]) -> str:
    """Return a digest of the values that a request has for some fields."""
    digest = blake2b(digest_size=16)
    for name in names:
        value = _normalised(request.get(name), normalisers.get(name))
        framed = b"-" if value is None else b"%d:" % len(value) + value.encode("utf-8", "surrogatepass")
        digest.update(name.encode("utf-8", "surrogatepass") + b"=" + framed + b";")
    return digest.hexdigest()


def _normalised(text: str | None, normaliser: Normaliser | None) -> str | None:
    if normaliser is not None:
        try:
            return normaliser(text)
        except Exception:  # noqa: BLE001  a user's function meets a stranger's text: the text itself selects then
            return text
    return None if text is None else ",".join(split_list(text))


def languages(text: str | None) -> str | None:
    """Normalise Accept-Language: case, spaces and the order among equals select nothing (RFC 9110, 12.5.4)."""
    return _weighted(text)


def encodings(text: str | None) -> str | None:
    """Normalise Accept-Encoding: case, spaces and the order among equals select nothing (RFC 9110, 12.5.3)."""
    return _weighted(text)


def _weighted(text: str | None) -> str | None:
    """Return the members of a list with weights, the heaviest first; a text that is no such list as it is."""
    if text is None:
        return None
    weighted: set[tuple[float, str]] = set()
    for member in split_list(text.lower()):
        value, semicolon, parameter = member.partition(";")
        found = _QUALITY.fullmatch(parameter) if semicolon else None
        if semicolon and found is None:
            return text
        weighted.add((-float(found[1]) if found else -1.0, value.strip(" \t")))
    return ",".join([f"{value};q={-weight:g}" for weight, value in sorted(weighted)])


NORMALISERS: Final[Mapping[str, Normaliser]] = {"accept-language": languages, "accept-encoding": encodings}
"""The normalisers that are there from the start."""
