"""Types that many modules share: absence, durations, and names that `typing` has had since Python 3.11."""

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
        """Raise an error about a case of a union that no branch has handled."""
        message = f"unhandled case: {value!r}"
        raise AssertionError(message)


class AbsentType(enum.Enum):
    """The type of `ABSENT`. It is an enum, because type checkers narrow enums and not plain objects."""

    ABSENT = "absent"

    def __repr__(self) -> str:
        return "ABSENT"

    def __bool__(self) -> bool:
        return False


ABSENT: Final = AbsentType.ABSENT
"""The sign that nothing is stored. `None` cannot be that sign, since it is a value like any other."""


class NotNowType(enum.Enum):
    """The type of `NOT_NOW`."""

    NOT_NOW = "not now"


NOT_NOW: Final = NotNowType.NOT_NOW
"""Cannot be served in place: it has to be asked."""

Absent: TypeAlias = Literal[AbsentType.ABSENT]

Duration: TypeAlias = int | float | str | timedelta
"""Seconds, a `timedelta`, or text such as ``"1h30m"``."""

TTL: TypeAlias = Duration | Callable[..., Duration | None] | None
"""A duration, `None` for no expiry, or a callable of the decorated function's arguments that returns one."""

AnyFunction: TypeAlias = Callable[..., Any]
