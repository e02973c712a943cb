"""Every test here runs on every subject of `tests/subjects.py`: add a line there, and they run on one more."""


def pytest_collection_modifyitems(config, items):
    """Leave out of transactions what they leave alone."""
    left_out = [item for item in items if item.get_closest_marker("no_transaction") and "in-transaction" in item.name]
    if left_out:
        items[:] = [item for item in items if item not in set(left_out)]
        config.hook.pytest_deselected(items=left_out)
