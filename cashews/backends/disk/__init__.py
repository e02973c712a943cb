"""The disk store.

`lane`: the inbox and the thread that serves it batch by batch. `files`: what diskcache keeps, `making`: how it gets
there, `orphans`: what a killed process leaves, `waiting`: for other processes. `shelf`: the rows of one file. `values`,
`structures`, `locks`, `tags`, `pages`, `commits`: the turns on a shelf. `ledger`: commits over several files.
`serving`, `reading`, `writing`: batches over shelves. `store`: what stands in front of it all.
"""

from __future__ import annotations

from cashews.backends.disk.options import DiskOptions as DiskOptions
from cashews.backends.disk.store import DiskStore as DiskStore
