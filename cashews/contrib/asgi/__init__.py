"""An HTTP cache as ASGI middleware, for any framework, on asyncio and trio.

`HTTPCache` is the middleware, `cache_for` states for how long a response may be kept, `languages` and `encodings` are
the normalisers that it has from the start.
"""

from __future__ import annotations

from cashews.contrib.asgi.declaring import CacheFor as CacheFor
from cashews.contrib.asgi.declaring import cache_for as cache_for
from cashews.contrib.asgi.middleware import HTTPCache as HTTPCache
from cashews.contrib.http.vary import encodings as encodings
from cashews.contrib.http.vary import languages as languages
