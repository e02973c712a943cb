"""The same cases in memory."""

from __future__ import annotations

import near_cashews
from cases import Loop


class Library(near_cashews.Cashews):
    def __init__(self, loop: Loop, url: str) -> None:
        super().__init__(loop, "mem://")
