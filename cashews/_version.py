"""The version of this package: the one place that the build and the program read it from."""

from __future__ import annotations

__version__ = "8.0.0"
