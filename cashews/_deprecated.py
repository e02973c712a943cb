"""The names of cashews 7 that have another name here: each works, with a warning that tells the new one.

They are looked up when somebody asks for them, so they cost an import of the package nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final, NamedTuple


class NewName(NamedTuple):
    """The place of the object that a name stands for, as ``module:name``, and the words that tell users of it."""

    place: str
    told: str = ""

    def __str__(self) -> str:
        return self.told or self.place.replace(":", ".")


_DETECT: Final = NewName("cashews.api.deprecated:cache_detect", "cache.detect, the answers of one cache")
_DECODE: Final = NewName("cashews:DecodeError")
_OPTION: Final = NewName("cashews:WrongOptionError")
GONE: Final = {
    "cashews": {"cache_detect": _DETECT, "context_cache_detect": _DETECT},
    "cashews.wrapper": {
        "Cache": NewName("cashews:Cache"),
        "TransactionMode": NewName("cashews:TransactionMode"),
        "register_backend": NewName("cashews:register_backend"),
    },
    "cashews.key": {
        "get_cache_key": NewName("cashews.api.deprecated:get_cache_key", "the method key() of the decorated function"),
        "get_cache_key_template": NewName("cashews:get_cache_key_template"),
        "noself": NewName("cashews:noself"),
    },
    "cashews.picklers": {
        "PicklerType": NewName("cashews.api.deprecated:PicklerType", "text for pickle_type=, such as 'json'"),
    },
    "cashews.validation": {
        "invalidate": NewName("cashews:invalidate"),
        "invalidate_further": NewName("cashews:invalidate_further"),
    },
    "cashews.formatter": {"default_formatter": NewName("cashews:default_formatter")},
    "cashews.ttl": {"ttl_to_seconds": NewName("cashews.ttl:seconds")},
    "cashews.exceptions": {
        "BackendNotAvailableError": NewName("cashews:MissingExtraError"),
        "DecompressionError": _DECODE,
        "SignIsMissingError": _DECODE,
        "TagNotRegisteredError": NewName("cashews:WrongTagError"),
        "UnSecureDataError": _DECODE,
        "UnsupportedCompressorError": _OPTION,
        "UnsupportedDigestmod": _OPTION,
        "UnsupportedPicklerError": _OPTION,
    },
}
"""The names that are gone, by module."""


def deprecated(module: str, name: str, stacklevel: int = 3) -> Any:
    """Return the object that a name stands for, and warn that the name is gone.

    :raises AttributeError: if the module never had it
    """
    new = GONE.get(module, {}).get(name)
    if new is None:
        message = f"module {module!r} has no attribute {name!r}"
        raise AttributeError(message)
    warnings.warn(f"{module}.{name} is gone: use {new}", DeprecationWarning, stacklevel=stacklevel)
    place, _, target = new.place.partition(":")
    return getattr(import_module(place), target)


def names_of(module: str) -> Callable[[str], Any]:
    """Return the `__getattr__` of a module: it looks its names up among those that are gone."""
    return lambda name: deprecated(module, name)
