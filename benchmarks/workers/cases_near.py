"""Cases of the client-side cache of this library and, word for word the same, of the original."""

from __future__ import annotations

import near_cashews
from cases import Loop


class Library(near_cashews.Cashews):
    def __init__(self, loop: Loop, url: str) -> None:
        super().__init__(loop, url, client_side=True)
