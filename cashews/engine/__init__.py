"""The engine: routes to the stores, interceptors on the way, loads, refreshes, and the life of a cache."""
