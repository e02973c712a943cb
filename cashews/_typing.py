"""Shared types: the absent member, and the names that typing gained after Python 3.10."""

from __future__ import annotations

import enum
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final, Literal, NoReturn, TypeAlias

if sys.version_info >= (3, 11):
    from typing import Self as Self
    from typing import assert_never as assert_never
else:
    from typing_extensions import Self as Self  # a dependency of anyio on these versions of Python

    def assert_never(value: NoReturn) -> NoReturn:
        """Say that a union was not exhausted."""
        message = f"unhandled case: {value!r}"
        raise AssertionError(message)


class AbsentType(enum.Enum):
    """The type of `ABSENT`; an enum narrows under type checkers, a bare object does not."""

    ABSENT = "absent"

    def __repr__(self) -> str:
        return "ABSENT"

    def __bool__(self) -> bool:
        return False


ABSENT: Final = AbsentType.ABSENT
"""Nothing is stored. Not `None`, which is a value like any other."""

Absent: TypeAlias = Literal[AbsentType.ABSENT]

Duration: TypeAlias = int | float | str | timedelta
"""Seconds, a `timedelta`, or text such as ``"1h30m"``."""

TTL: TypeAlias = Duration | Callable[..., Duration | None] | None
"""A duration, `None` for no expiry, or a callable of the decorated function's arguments that returns one."""

AnyFunction: TypeAlias = Callable[..., Any]
