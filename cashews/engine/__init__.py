"""The engine: actors, routes, the scope its tasks live in, and what stands between user and store."""
