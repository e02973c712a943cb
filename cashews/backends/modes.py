"""Options for modes that no store has: accepted where they are off, so that programs that name them go on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cashews.exceptions import WrongOptionError

MODES: Final = frozenset(
    {
        *("cache", "cache_config", "client_side", "cluster", "decode_responses", "event_dispatcher"),
        *("redis_connect_func", "retry", "retry_on_error", "single_connection_client"),
        *("ssl_validate_ocsp", "ssl_validate_ocsp_stapled"),
    }
)
"""The options of redis-py and of cashews 7 for such modes."""
OFF: Final = frozenset({"", "0", "false", "no", "off", "none", "[]", "()"})
"""The texts of values that mean off, in lower case."""


def without_modes_off(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the given options without those of a mode that is off."""
    return {name: value for name, value in given.items() if name not in MODES or _text(value) not in OFF}


def refuse_modes(given: Mapping[str, Any]) -> None:
    """Refuse the modes that are on.

    :raises WrongOptionError: if there is one
    """
    for name in MODES.intersection(given):
        raise WrongOptionError(name, _text(given[name]), "off: this store has no such mode")


def _text(value: object) -> str:
    return str(value).strip().lower()
