"""What one turn looks at is bounded, whatever it leaves out; no question looks at all rows with what is in them."""

import gc

import pytest

from cashews import messages as m
from cashews.backends.disk import keys

pytestmark = pytest.mark.diskcache


def test_what_is_too_new_for_a_scan_counts_as_looked_at(shelf):
    """Guarantee 25; else a turn would look at all that is stored while a scan is on its way."""
    for number in range(2 * keys.PAGE):
        shelf.put(f"k{number:05}", number, None, 0.0)
    page = keys.scan(shelf, m.Scan("*", cursor=keys.FileCursor(after="k", newest=0)), 0.0)
    assert page.items == []
    assert page.cursor == keys.FileCursor(after=f"k{keys.PAGE - 1:05}", newest=0)


def test_what_is_found_is_of_no_interest_to_the_garbage_collector(shelf):
    """Guarantee 25; else it goes through the whole process for each few pages, and the event loop waits."""
    for number in range(10):
        shelf.put(f"k{number}", number, None, 0.0)
    found, _ = keys._examine(shelf, "*", keys.FileCursor(), 0.0, 10)
    gc.collect()
    assert len(found) == 10
    assert not any(map(gc.is_tracked, found))


@pytest.mark.parametrize(
    ("question", "index"),
    [
        (keys.EXPIRED, "Cache_expire_time"),
        (keys.LIVE_FOREIGN, "cashews_foreign"),
        (keys.SOME_FOREIGN, "cashews_foreign"),
        (keys.STRUCTURES, "sqlite_autoindex_cashews_kept_1"),
        (keys.EXPIRED_STRUCTURES, "cashews_kept_deadline"),
    ],
)
def test_keys_are_counted_and_cleared_over_an_index(shelf, question, index):
    plan = [step for *_, step in shelf.sql("EXPLAIN QUERY PLAN " + question, (1,) * question.count("?"))]
    steps = [step for step in plan if step.startswith(("SCAN", "SEARCH"))]
    assert steps
    assert all(index in step for step in steps)
