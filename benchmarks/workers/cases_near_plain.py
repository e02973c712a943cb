"""The same cases on a server, without a client-side cache."""

from __future__ import annotations

import near_cashews


class Library(near_cashews.Cashews):
    prefix = "plain"
