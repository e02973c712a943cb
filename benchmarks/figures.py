"""How figures are written."""

from __future__ import annotations

UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


def digits(value: float) -> str:
    """Write a number with three digits that mean something."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def duration(seconds: float) -> str:
    """Write seconds in the unit that suits them."""
    scale, unit = next((each for each in UNITS if abs(seconds) >= each[0]), UNITS[-1])
    return f"{digits(seconds / scale)} {unit}"


def rate(seconds: float) -> str:
    """Write how often something can be done in a second."""
    return f"{digits(1 / seconds)}/s"


def times(ratio: float) -> str:
    """Write a ratio."""
    return f"{digits(ratio)}\N{MULTIPLICATION SIGN}"
