"""The disk store: values in files of diskcache, shared by all processes that use the directory.

* `store` is the store itself: it encodes, posts to its two lanes, and answers failures. `options` and `encoding` serve
  it.
* `lane` is the actor: a mailbox and one thread that serves it batch by batch. `escaping` turns text into UTF-8 on the
  way.
* `batches` distributes a batch over the files; `reading` and `writing` are its two kinds, `ledger` makes a commit over
  several files whole.
* `shelf` is one open file with its transaction; `values`, `structures`, `locks`, `tags`, `keys` and `transactions` are
  the turns on it.
* `files` knows the files of diskcache, `rows` what is in them; `schema` creates them, `damage` sets damaged ones aside,
  `culling` bounds them, `orphans` finds leftovers, `busy` waits for other processes.
"""

from __future__ import annotations

from cashews.backends.disk.options import DiskOptions as DiskOptions
from cashews.backends.disk.store import DiskStore as DiskStore
