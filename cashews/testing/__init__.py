"""Tools for tests of code that uses a cache."""

from __future__ import annotations

from cashews.testing.clock import ClockStatistics as ClockStatistics
from cashews.testing.clock import VirtualClock as VirtualClock
