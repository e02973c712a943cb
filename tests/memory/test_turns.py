"""One floor plan: a message and its turn are in rooms of one name, and the turn has the message's name."""

from __future__ import annotations

import re

import pytest

from cashews import messages as m
from cashews.table.turns import TURNS

ROOMS = {"values", "structures", "locks", "tags", "keys", "transactions"}
SHARED = {"recall": "get", "get_raw": "get", "recall_many": "get_many"}
"""Messages whose turn is another's."""
IN_SEVERAL_TURNS = {m.DeleteMatch, m.DeleteTags, m.Clear, m.GetKeysCount}


def room(part):
    return part.__module__.rpartition(".")[2]


def name(kind):
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind.__name__).lower()


@pytest.mark.parametrize("kind", TURNS, ids=name)
def test_a_turn_has_the_name_of_its_message_and_is_in_the_same_room(kind):
    turn = TURNS[kind]
    assert turn.__name__.rstrip("_") == SHARED.get(name(kind), name(kind))
    assert room(turn) == room(kind)
    assert room(kind) in ROOMS


def test_every_message_is_served_in_one_turn_or_is_known_to_take_several():
    assert TURNS.keys() | IN_SEVERAL_TURNS == set(m.MESSAGES)
    assert not TURNS.keys() & IN_SEVERAL_TURNS
