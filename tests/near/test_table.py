"""The near table itself, in the order of the wire: no server, no clock."""

import math
from threading import Thread

import pytest

from cashews import messages as m
from cashews._typing import ABSENT, NOT_NOW
from cashews.actors.shared import SHARED
from cashews.backends.redis.near import Feed, Near, NearSlot
from cashews.engine.permits import Permits

LAG = 2.0


@pytest.fixture
def probes():
    return []


@pytest.fixture
def feed(probes):
    feed = Feed(LAG, probes.append)
    feed.hear(0.0)
    return feed


@pytest.fixture
def near():
    return Near(size=3, most_bytes=100)


def keep(near, feed, key, stored=b"1", deadline=math.inf):
    slot = NearSlot(key, feed, stored, deadline)
    near.keep(slot)
    return slot


def fill(near, feed, key, value=1, deadline=math.inf):
    slot = keep(near, feed, key, b"%d" % value, deadline)
    slot.value, slot.is_stored_form = value, False
    return slot


def read(near, key, now=0.0):
    return near.get(m.Get(key, "default"), now)


def test_a_slot_is_served_once_it_is_decoded(near, feed):
    slot = keep(near, feed, "k")
    assert read(near, "k") is NOT_NOW
    slot.value, slot.is_stored_form = 1, False
    assert read(near, "k") == 1


def test_an_absent_key_is_served_with_the_default_of_each_read(near, feed):
    keep(near, feed, "k", None)
    assert read(near, "k") == "default"
    assert near.get_many(m.GetMany(("k", "k"), 7), 0.0) == (7, 7)


def test_a_value_that_is_decoded_late_does_not_come_back(near, feed):
    slot = keep(near, feed, "k")
    near.invalidate(["k"])
    slot.value, slot.is_stored_form = 1, False
    assert read(near, "k") is NOT_NOW


def test_a_later_slot_takes_the_place_of_an_earlier_one(near, feed):
    first, second = keep(near, feed, "k", b"12"), keep(near, feed, "k", b"3")
    assert near.find("k", 0.0) is second is not first
    assert near.statistics()["near_bytes"] == 1


def test_a_slot_ends_at_its_deadline(near, feed):
    fill(near, feed, "k", deadline=1.0)
    assert read(near, "k", 0.999) == 1
    assert read(near, "k", 1.0) is NOT_NOW
    assert near.find("k", 1.0) is None
    assert near.statistics()["near_keys"] == 0


def test_a_feed_is_sure_for_the_lag_and_is_probed_once_in_its_second_half(near, feed, probes):
    fill(near, feed, "k")
    assert read(near, "k", LAG / 2 - 0.001) == 1
    assert probes == []
    for _ in range(3):
        assert read(near, "k", LAG / 2) == 1
    assert probes == ["k"]
    assert read(near, "k", LAG) is NOT_NOW
    feed.hear(LAG)
    assert read(near, "k", LAG) == 1
    feed.hear(0.0)
    assert read(near, "k", LAG * 1.9) == 1, "an older request proves nothing less"


def test_a_feed_that_has_ended_serves_nothing(near, feed):
    fill(near, feed, "k")
    near.flush(feed)
    assert read(near, "k") is NOT_NOW
    assert near.find("k", -1e9) is None
    assert near.statistics()["near_unsure"] == 0, "the link did not fall silent"


def test_the_least_recently_read_slot_leaves(near, feed):
    for key in "abc":
        fill(near, feed, key)
    read(near, "a")
    fill(near, feed, "d")
    assert [read(near, key) for key in "abcd"] == [1, NOT_NOW, 1, 1]


def test_a_value_larger_than_the_bound_is_not_kept(near, feed):
    fill(near, feed, "a")
    keep(near, feed, "large", b"1")
    keep(near, feed, "large", b"x" * 101)
    assert near.find("large", 0.0) is None
    assert read(near, "a") == 1, "no other key has to leave for it"
    figures = near.statistics()
    assert (figures["near_bytes"], figures["near_evicted"]) == (1, 1)


def test_many_keys_are_served_together_or_not_at_all(near, feed):
    fill(near, feed, "a", 1)
    assert near.get_many(m.GetMany(("a", "b"), None), 0.0) is NOT_NOW
    fill(near, feed, "b", 2)
    assert near.get_many(m.GetMany(("b", "a", "b"), None), 0.0) == (2, 1, 2)


def test_a_permit_is_void_after_a_change_and_after_the_end_of_the_feed(near, feed):
    permits = [m.LoadPermit("k") for _ in range(3)]
    assert not near.is_bound("k")
    keep(near, feed, "k", None)
    assert near.is_bound("k")
    for permit in permits:
        near.follow("k", permit)
    permits[0].unfollow()
    near.invalidate(["k"])
    assert [permit.void for permit in permits] == [False, True, True]
    keep(near, feed, "k")
    last = m.LoadPermit("k")
    near.follow("k", last)
    near.flush(feed)
    assert last.void
    assert not last.joinable


def test_a_refused_load_is_followed_no_more(near, feed):
    """Nobody ends it in the child of a fork: it is a load of the parent."""
    for change in CHANGES:
        permits = [m.LoadPermit("a"), m.LoadPermit("a"), m.LoadPermit("b")]
        for permit in permits:
            near.follow(permit.key, permit)
        change(near, feed)
        assert [permit.void for permit in permits] == [True] * 3
        assert near._followers == {}
        assert permits[0].unfollow is None


def test_a_load_that_is_announced_again_is_followed_once(near, feed):
    """The next call announces it, if the one that led it was cancelled."""
    keep(near, feed, "k")
    permit = m.LoadPermit("k")
    near.follow("k", permit)
    near.follow("k", permit)
    permit.unfollow()
    assert near._followers == {}


@pytest.mark.parametrize("calls", [1, 2])
def test_a_load_that_has_ended_is_followed_no_more(near, feed, calls):
    """Its caller in another thread was cancelled while the announcement was on its way: nobody would end it."""
    keep(near, feed, "k")
    permits = Permits()
    permit = permits.take("k")
    permit.followed = True
    for _ in range(calls - 1):
        permits.add(permit)
    for _ in range(calls):
        near.follow("k", permit)
        permits.drop(permit)
    near.follow("k", permit)
    assert near._followers == {}
    permits.add(permit)
    near.follow("k", permit)
    assert near._followers == {"k": [permit]}


class EndsMeanwhile(m.LoadPermit):
    """The permit of a load in another thread, which ends right when the permit is refused, unless it has to wait."""

    __slots__ = ()

    def refuse(self):
        super().refuse()
        thread = Thread(target=self.end)
        thread.start()
        thread.join()

    def end(self):
        if SHARED.acquire(blocking=False):
            self.unfollow()
            SHARED.release()


class Collected(m.LoadPermit):
    """The permit of an abandoned load, which the collector ends right when the permit is refused."""

    def refuse(self):
        super().refuse()
        self.unfollow()


class CollectedAtOnce(m.LoadPermit):
    """The permit of an abandoned load, which the collector ends when another load of its key begins."""

    __hash__ = m.LoadPermit.__hash__

    def __eq__(self, other):
        self.unfollow()
        return self is other


CHANGES = [lambda near, _: near.invalidate(["a", "b", "c"]), lambda near, feed: near.flush(feed)]


@pytest.mark.parametrize("ending", [EndsMeanwhile, Collected])
@pytest.mark.parametrize("change", CHANGES)
def test_a_load_that_ends_meanwhile_keeps_no_other_from_its_refusal(near, feed, change, ending):
    """Guarantee 10, with the loads of several event loops and with abandoned ones."""
    permits = [kind(key) for key in ("a", "b") for kind in (ending, m.LoadPermit)]
    permits.append(ending("c"))
    for permit in permits:
        keep(near, feed, permit.key)
        near.follow(permit.key, permit)
    change(near, feed)
    assert all(permit.void for permit in permits)


def test_a_load_that_begins_while_another_one_is_collected_is_followed(near, feed):
    """Guarantee 10, with abandoned loads."""
    keep(near, feed, "k")
    near.follow("k", CollectedAtOnce("k"))
    permit = m.LoadPermit("k")
    near.follow("k", permit)
    near.flush(feed)
    assert permit.void


def test_a_value_that_was_decoded_to_nothing_counts_as_absent(near, feed):
    slot = fill(near, feed, "k")
    slot.value = ABSENT
    assert read(near, "k") == "default"
