"""One floor plan: a turn stands in the room of its message and is named as the message is."""

import re

import pytest

from cashews.backends.disk.reading import READS
from cashews.backends.disk.writing import WRITES

pytestmark = pytest.mark.diskcache
TURNS = {**READS, **WRITES}
SHARED = {"GetRaw": "get", "Recall": "get", "RecallMany": "get_many"}
"""Messages that have the turn of another one: what they differ in is done by the store."""


def room(thing):
    return thing.__module__.rpartition(".")[2]


def turn_name(kind):
    return SHARED.get(kind.__name__) or re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind.__name__).lower()


@pytest.mark.parametrize("kind", TURNS, ids=lambda kind: kind.__name__)
def test_a_turn_is_named_as_its_message_and_is_in_its_room(kind):
    turn = TURNS[kind]
    assert turn.__name__.rstrip("_") == turn_name(kind)
    assert room(turn) == room(kind)


def test_a_message_either_reads_or_writes():
    assert not READS.keys() & WRITES.keys()
