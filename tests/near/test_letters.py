"""The letters that fill the near table, reply by reply and push by push: no server, no clock, no event loop."""

from functools import partial

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from cashews._typing import ABSENT
from cashews.backends.redis.inbox import Inbox
from cashews.backends.redis.near import TICK, Near
from cashews.backends.redis.options import RedisOptions
from cashews.backends.redis.tracking import Storing, TrackedRead, TrackedReads, Tracking
from cashews.backends.redis.wire import pack
from cashews.messages import LoadPermit

LAG, TIMEOUT = 2.0, 5.0
KEY, OTHER = b"cashews:k", b"cashews:other"
REPLIES = (b"OK", 1_000, b"1")
READ = partial(TrackedRead, "k")


class Reader:
    """The reader of a connection: replies and pushes in the order of the wire, and the answers of the askers."""

    def __init__(self, *, is_node=False):
        self.near = Near(10, 1_000)
        options = RedisOptions(client_side=True, client_side_lag=LAG, socket_timeout=TIMEOUT)
        self.tracking = Tracking(self.near, options, is_node=is_node)
        self.tracking.begin()
        self.inbox = Inbox(self.tracking)
        self.answers = []
        self.is_gone = False

    def done(self):
        return self.is_gone

    def set_result(self, answer):
        self.answers.append(answer)

    def post(self, kind=READ, at=0.0):
        self.inbox.post(b"", self, kind=kind, reads=True)
        self.inbox.batch(at, TIMEOUT)

    def reply(self, *replies):
        for reply in replies:
            self.inbox.answer(reply)

    def push(self, keys):
        self.tracking.hear(keys, self.inbox.oldest)

    def kept(self, now=0.5):
        slot = self.near.find("k", now)
        return None if slot is None else slot.value


@pytest.fixture
def reader():
    return Reader()


def test_a_letter_is_answered_with_the_slot_that_is_kept(reader):
    reader.post()
    reader.reply(*REPLIES)
    assert reader.kept() == b"1"
    assert reader.answers == [reader.near.find("k", 0.5)]


@pytest.mark.parametrize("push", [[KEY], [OTHER, KEY], None], ids=["key", "keys", "all"])
def test_a_change_between_the_last_two_replies_keeps_the_value_out(reader, push):
    """Guarantee 31: the value may be older than the change, and the server tells of no further one."""
    reader.post()
    reader.reply(*REPLIES[:2])
    reader.push(push)
    reader.reply(*REPLIES[2:])
    assert reader.answers[0].value == b"1", "the asker asked before the change"
    assert reader.kept() is None
    reader.post()
    reader.reply(*REPLIES)
    assert reader.kept() == b"1"


@pytest.mark.parametrize("come", [0, 1], ids=["before all", "behind the first"])
@pytest.mark.parametrize("push", [[KEY], None], ids=["key", "all"])
def test_a_change_before_the_second_reply_is_older_than_the_value(reader, push, come):
    reader.post()
    reader.reply(*REPLIES[:come])
    reader.push(push)
    reader.reply(*REPLIES[come:])
    assert reader.kept() == b"1"


@pytest.mark.parametrize(
    "push", [[OTHER], [b"elsewhere:k"], [b"\xff"], []], ids=["other", "foreign", "no text", "none"]
)
def test_a_change_of_other_keys_keeps_no_value_out(reader, push):
    reader.post()
    reader.reply(*REPLIES[:2])
    reader.push(push)
    reader.reply(*REPLIES[2:])
    assert reader.kept() == b"1"


def test_a_change_concerns_the_letter_alone_of_which_replies_have_come(reader):
    """The letter behind it begins to be told of changes after this one."""
    reader.post()
    reader.post()
    reader.reply(*REPLIES[:2])
    reader.push([KEY])
    reader.reply(b"1")
    assert reader.kept() is None
    reader.reply(b"OK", -1, b"2")
    assert reader.kept() == b"2"


@pytest.mark.parametrize(
    "replies",
    [(ValueError(), 1_000, b"1"), (b"OK", ValueError(), b"1"), (b"QUEUED", 1_000, b"1"), (b"OK", 1_000, ValueError())],
)
def test_a_letter_that_fails_in_one_part_keeps_nothing(reader, replies):
    reader.post()
    reader.reply(*replies)
    assert reader.kept() is None
    assert len(reader.answers) == 1


def test_a_letter_that_was_cut_off_begins_again_with_its_first_reply(reader):
    """Also its promise: a change was told on the link before."""
    reader.post()
    reader.reply(*REPLIES[:2])
    reader.push([KEY])
    reader.tracking.end()
    reader.inbox.recover(RedisConnectionError("cut"), 1.0, TIMEOUT, retry_late=False)
    reader.tracking.begin()
    reader.inbox.batch(1.0, TIMEOUT)
    assert reader.answers == []
    reader.reply(*REPLIES)
    assert reader.kept() == b"1"


@pytest.mark.parametrize("way", ["one", "many"])
@pytest.mark.parametrize(("left", "deadline"), [(1_000, 1.0 - TICK), (0, -TICK), (-1, LAG)])
def test_a_slot_lasts_from_the_sending_of_its_letter_as_long_as_its_key(reader, left, deadline, way):
    """Guarantee 31: one without a time to live as long as the link is heard."""
    if way == "one":
        reader.post()
        reader.reply(b"OK", left, b"1")
    else:
        reader.post(partial(TrackedReads, ("k",)))
        reader.reply(b"OK", [left, b"1"])
    assert reader.kept(deadline - TICK) == b"1"
    assert reader.kept(deadline) is None


@pytest.mark.parametrize("is_node", [True, False])
def test_an_absent_key_is_kept_on_a_node_no_longer_than_its_silence_is_trusted(is_node):
    reader = Reader(is_node=is_node)
    reader.post()
    reader.reply(b"OK", -2, None)
    reader.post(partial(TrackedRead, "other"), at=1.5)
    reader.reply(*REPLIES)
    assert reader.kept(LAG - TICK) is ABSENT
    assert reader.kept(LAG) is (None if is_node else ABSENT)


@pytest.mark.parametrize("is_gone", [False, True])
def test_a_value_is_taken_back_though_its_asker_has_gone(reader, is_gone):
    """Guarantee 31: another process has changed the key before the reply to the write of a load."""
    permit = LoadPermit("k", None, None)
    reader.tracking.send = reader.inbox.mailbox.post
    reader.inbox.post(b"", reader, permit, partial(Storing, key="cashews:k"), reads=False)
    reader.inbox.batch(0.0, TIMEOUT)
    permit.refuse()
    reader.is_gone = is_gone
    reader.reply(b"OK")
    (undoing,) = reader.inbox.batch(0.0, TIMEOUT)
    assert undoing.packed == pack(("UNLINK", "cashews:k"))
    assert reader.answers == []
    reader.reply(1)
    assert reader.answers == ([] if is_gone else [None])


@pytest.mark.parametrize("promise", [b"OK", ValueError(), b"QUEUED"])
def test_keys_that_are_read_together_are_kept_if_the_server_tells_of_changes(reader, promise):
    reader.post(partial(TrackedReads, ("k", "l")))
    reader.reply(promise, [-1, b"1", -2, None])
    assert [slot.value for slot in reader.answers[0]] == [b"1", ABSENT]
    assert (reader.kept() == b"1") is (promise == b"OK")
