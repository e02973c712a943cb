"""Types of the standard library that are known by name: their modules are loaded by those who use them."""

from __future__ import annotations

import sys
from typing import Final

_MODULES: Final = {
    "Decimal": "decimal",
    "Fraction": "fractions",
    "UUID": "uuid",
    **dict.fromkeys(("PurePath", "PurePosixPath", "PureWindowsPath", "PosixPath", "WindowsPath"), "pathlib"),
    **dict.fromkeys(("IPv4Address", "IPv4Network", "IPv4Interface"), "ipaddress"),
    **dict.fromkeys(("IPv6Address", "IPv6Network", "IPv6Interface"), "ipaddress"),
}
"""The modules of the types whose own text tells all of a value but its type."""


def tells_all(kind: type) -> bool:
    """Say whether a type is one of the standard library's whose own text tells all of a value but its type."""
    module = _MODULES.get(kind.__name__)
    return module is not None and is_from(module, kind)


def is_from(module: str, kind: type) -> bool:
    """Say whether a type is the one that a module has under the type's name."""
    return getattr(sys.modules.get(module), kind.__name__, None) is kind
