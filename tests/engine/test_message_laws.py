"""What holds for every message: so whoever stands between user and store needs to know none of them."""

from __future__ import annotations

import inspect
import logging
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cashews import Cache, Command
from cashews import messages as m
from cashews._steps import finished
from cashews.commands import Effect
from cashews.engine.coordinator.keeper import HeldLock
from cashews.engine.interceptors import Middlewares
from cashews.engine.passing import passing_of
from cashews.exceptions import WrongArgumentError
from cashews.messages.message import public_fields
from cashews.runners.call import Call
from cashews.strategies.entry import Entry, Raised, Returned, StoredRun, Unstored
from tests.internals import inside

RULES = m.CircuitRules(errors_rate=10, period=60, ttl=60)
FILLED = [
    m.SetTagged("value", 1, tags=("tag",)),
    m.SetAdd("set", ("a", "b")),
    m.IncrBits("bits", (1, 3)),
    m.SliceIncr("window", 0, 1, 5),
    m.SetLock("lock", "token", 10),
]
EXAMPLES = [
    m.Get("value"),
    m.Get("absent", "default"),
    m.Recall("value"),
    m.GetHit("value"),
    m.GetRaw("value", 0),
    m.GetMany(("value", "absent", "value"), "default"),
    m.RecallMany(("value", "absent"), "default"),
    m.GetMatch("v*"),
    m.Set("value", 2, 10.0, exist=True),
    m.SetTagged("value", 2, 10.0, exist=True, tags=("tag", "other"), since=5),
    m.SetRaw("raw", b"2"),
    m.SetMany({"value": 1, "other": 2}, 10.0),
    m.Incr("counter", 5, 10.0),
    m.Exists("value"),
    m.Delete("value"),
    m.DeleteMany(("value", "absent")),
    m.DeleteMatch("v*"),
    m.DeleteTags(("tag", "other")),
    m.GetKeyTags("value"),
    m.MarkLoad("value"),
    m.Scan("*", 10),
    m.Expire("value", 10.0),
    m.GetExpire("absent"),
    m.GetSize("value"),
    m.GetBits("bits", (0, 1, 2), 1),
    m.IncrBits("bits", (1,), 4, -1),
    m.SliceIncr("window", 0, 2, 5, 10.0),
    m.AdmitSlice("window", 0, 2, 1, 10.0),
    m.Admit("tally", 3, 10.0, 60.0),
    m.EnterCircuit("circuit", RULES),
    m.ReportCircuit("circuit", RULES, 1.0, failed=True),
    m.SetAdd("set", ("c",), 10.0),
    m.SetRemove("set", ("a",)),
    m.SetPop("set", 1),
    m.SetLock("other lock", "token", 10.0),
    m.RenewLock("lock", "token", 20.0),
    m.Unlock("lock", "token"),
    m.LockTimeLeft("lock"),
    m.LockTimeLeft("free"),
    m.ListLocks("*", 10),
    m.BreakLock("lock"),
    m.WatchLock("lock", list),
    m.UnwatchLock("lock", list),
    m.Peek("value"),
    m.Commit((("lock", "token"),), (m.Set("value", 2, 10.0), m.Delete("set"), m.Incr("counter", 2))),
    m.GetKeysCount(),
    m.Ping(b"hello"),
    m.Clear(),
]
"""Every message at least once, with arguments that are not the defaults."""

OF_STRATEGIES = {m.RenewLock, m.Admit, m.AdmitSlice, m.EnterCircuit, m.ReportCircuit, m.MarkLoad}
"""Messages that no public command makes with these arguments."""


def name(message):
    return type(message).__name__


def rest(message):
    """All but what the message is about."""
    return {field.name: getattr(message, field.name) for field in fields(message) if field.name not in ABOUT}


ABOUT = {"key", "many", "pattern", "pairs", "tags"}
over_all = pytest.mark.parametrize("message", EXAMPLES, ids=name)
PASSING = [message for message in EXAMPLES if not isinstance(message, m.Commit)]
"""The messages that pass a chain; a commit goes from the engine to one store, whose keys it names."""
over_passing = pytest.mark.parametrize("message", PASSING, ids=name)


def test_there_is_an_example_of_every_message():
    """A message without an example escapes the laws: add one to EXAMPLES."""
    assert {name(message) for message in EXAMPLES} == {kind.__name__ for kind in m.MESSAGES}


def test_every_message_is_listed_once():
    """A slotted dataclass is made twice: the class that the decorator threw away is no message."""
    assert [kind for kind in m.MESSAGES if getattr(m, kind.__name__) is not kind] == []
    assert len(m.MESSAGES) == len(set(m.MESSAGES))


def test_every_command_has_a_message():
    assert {kind.command for kind in m.MESSAGES} == set(Command)


@over_all
def test_a_message_is_a_slotted_value(message):
    assert not hasattr(message, "__dict__")
    assert replace(message) == message
    assert isinstance(message.effect, Effect)


@over_all
def test_a_message_names_its_keys_or_says_what_it_covers(message):
    assert isinstance(message.keys, tuple)
    assert (message.covers is None) is bool(message.keys)


@over_passing
@given(st.text(max_size=3), st.text(max_size=3))
def test_renaming_changes_what_a_message_is_about_and_nothing_else(message, inner, outer):
    def add_inner(key):
        return inner + key

    def add_outer(key):
        return outer + key

    assert message.rename(str) == message
    renamed = message.rename(add_inner)
    assert renamed == finished(message.renaming(add_inner))
    assert type(renamed) is type(message)
    assert renamed.keys == tuple(map(add_inner, message.keys))
    assert rest(renamed) == rest(message)
    assert renamed.rename(add_outer) == message.rename(lambda key: add_outer(add_inner(key)))
    if isinstance(message, m.Matching):
        assert renamed.pattern == inner + message.pattern
    if isinstance(message, (m.SetTagged, m.DeleteTags)):
        assert renamed.tags == tuple(map(add_inner, message.tags))
    if isinstance(message, m.SetMany):
        assert list(renamed.pairs.values()) == list(message.pairs.values())


@over_all
def test_renaming_leaves_the_original_as_it_is(message):
    before = replace(message)
    message.rename(lambda key: f"other:{key}")
    assert message == before


@over_passing
@given(st.lists(st.text("ab", min_size=1, max_size=2), min_size=1, max_size=6))
def test_the_parts_of_a_message_have_its_keys_each_at_its_owner(message, keys):
    if isinstance(message, m.ManyKeys):
        message = replace(message, many=tuple(keys))
    elif isinstance(message, m.SetMany):
        message = replace(message, pairs={key: place for place, key in enumerate(keys)})
    parts = finished(message.split(lambda key: key[0]))
    if message.covers is not None:
        assert parts == {}
        return
    for owner, part in parts.items():
        assert type(part) is type(message)
        assert part.keys == tuple(key for key in message.keys if key[0] == owner)
        assert rest(part) == rest(message)
    assert {key[0] for key in message.keys} == set(parts)


@given(st.lists(st.text("ab", min_size=1, max_size=2), min_size=1, max_size=6))
def test_the_replies_to_the_parts_make_the_reply_to_the_whole(keys):
    """Guarantee 1: duplicates and order survive the split."""
    whole = m.GetMany(tuple(keys))
    parts = finished(whole.split(lambda key: key[0])).values()
    assert finished(whole.merge([(part, tuple(map(str.upper, part.keys))) for part in parts])) == tuple(
        map(str.upper, keys)
    )


class EqualToAll:
    """An object that is equal to any other, as a value of a user's may be."""

    def __eq__(self, other):
        return True

    __hash__ = object.__hash__


EQUAL_TO_ALL = EqualToAll()


def arguments_of(message):
    """Return the arguments with which a middleware is called for a message."""
    middlewares = Middlewares((lambda _call, _cmd, _backend, *args, **kwargs: (args, kwargs),), None)
    return middlewares(message, lambda passed: passed)


def test_counts_are_added_and_other_replies_are_the_last_ones():
    count, clear = m.GetKeysCount(), m.Clear()
    assert finished(count.merge([(count, 2), (count, 3)])) == 5
    assert finished(clear.merge([(clear, None), (clear, None)])) is None
    for message in EXAMPLES:
        if message.covers is not None:
            assert finished(message.merge([])) == message.declined()


@over_all
def test_a_message_is_remade_from_its_arguments(message):
    args, kwargs = arguments_of(message)
    assert message.with_arguments(*args, **kwargs) == message
    assert message.with_arguments(**{name: getattr(message, name) for name in public_fields(type(message))}) == message
    assert not {"cursor", "permit", "since"} & kwargs.keys()


@over_all
def test_what_no_argument_stands_for_is_kept(message):
    if isinstance(message, m.Paged):
        message = replace(message, cursor="place")
    if isinstance(message, m.Set):
        message = replace(message, permit=m.LoadPermit("k"))
    args, kwargs = arguments_of(message)
    assert message.with_arguments(*args, **kwargs) == message


@over_all
def test_any_argument_may_be_changed(message):
    args, kwargs = arguments_of(message)
    for argument in kwargs:
        changed = message.with_arguments(*args, **{**kwargs, argument: "changed"})
        assert getattr(changed, argument) == "changed"
        assert type(changed) is type(message)
    if args:
        changed = message.with_arguments("changed", *args[1:])
        about = changed.tags if isinstance(changed, m.DeleteTags) else changed.keys or (changed.covers,)
        assert about[0] == "changed"


@over_all
def test_a_message_is_passed_on_by_its_arguments(message):
    """The message itself goes on unless an argument is another object, even an equal one."""
    passing = passing_of(type(message))
    args, kwargs = arguments_of(message)

    def passed(*args, **kwargs):
        return passing.pass_on(message, lambda passed: passed, *args, **kwargs)

    assert passed(*args, **kwargs) is passed(*args) is message
    assert passed(**kwargs) is message, "what is not given stays as it is"
    for argument in kwargs:
        changed = passed(*args, **{**kwargs, argument: EQUAL_TO_ALL})
        assert changed is not message
        assert getattr(changed, argument) is EQUAL_TO_ALL
    if args:
        assert passed("changed", *args[1:], **kwargs) == message.with_arguments("changed", *args[1:])
        assert passed(*args, "more", **kwargs) == message.with_arguments(*args, "more")
    else:
        assert passed(*kwargs.values()) is message, "all of them may be given by their places"
        assert passed(*kwargs.values(), "too many") is message
    with pytest.raises(WrongArgumentError):
        passed(*args, **kwargs, nonsense=1)


@over_all
def test_an_argument_that_the_command_has_not_is_an_error_that_names_those_it_has(message):
    with pytest.raises(WrongArgumentError, match=rf"{message.command.value}\(nonsense=\) is 1; allowed:"):
        message.with_arguments(nonsense=1)


@over_passing
def test_the_arguments_are_those_of_the_public_command(message):
    """Guarantee 20."""
    if type(message) in OF_STRATEGIES:
        return
    args, kwargs = arguments_of(message)
    inspect.signature(getattr(Cache, message.command.value)).bind(None, *args, **kwargs)


OF_THEIR_OWN = {m.Get: {str}, m.RenewLock: {type(None)}}
"""Types of declined replies that no store answers: the asker's default, and "nobody knows"."""


@over_all
async def test_a_message_declines_in_the_type_of_its_real_replies(message):
    """Guarantee 19; D29: the types of the replies are those of an empty and of a filled store."""
    async with Cache.open("mem://") as cache:
        replies = [await inside(cache).ask(message)]
        await inside(cache).ask(m.Clear())
        for filling in FILLED:
            await inside(cache).ask(filling)
        replies.append(await inside(cache).ask(message))
    declined = message.declined()
    assert type(declined) in {type(reply) for reply in replies} | OF_THEIR_OWN.get(type(message), set())
    if isinstance(declined, tuple):
        assert len(declined) == len(replies[0])


MARKER = "Mv4lue"
TELLING = [
    m.Get("k", MARKER),
    m.GetRaw("k", MARKER),
    m.GetMany(("k",), MARKER),
    m.RecallMany(("k",), MARKER),
    m.Set("k", MARKER),
    m.SetTagged("k", MARKER, tags=("t",)),
    m.SetRaw("k", MARKER),
    m.SetMany({"k": MARKER}),
    m.SetAdd("k", (MARKER,)),
    m.SetRemove("k", (MARKER,)),
    m.SetLock("k", MARKER, 1),
    m.RenewLock("k", MARKER, 1),
    m.Unlock("k", MARKER),
    m.Ping(MARKER.encode()),
    m.Commit((("k", MARKER),), (m.Set("k", MARKER), m.SetAdd("k", (MARKER,)))),
    m.Page([("k", MARKER)]),
    m.State(MARKER),
    m.State(members=frozenset({MARKER})),
    Returned(MARKER),
    Raised(ValueError(MARKER)),
    Unstored(MARKER, ValueError(MARKER)),
    Entry(Returned(MARKER), 1.0),
    StoredRun((MARKER,)),
    Call((MARKER,), {"argument": MARKER}, "k"),
    HeldLock("k", MARKER, 1, None),
]


@pytest.mark.parametrize("told", TELLING, ids=name)
def test_the_text_of_an_object_shows_no_value_and_no_token(told):
    """Guarantee 24."""
    assert MARKER not in f"{told!r} {told}"


def test_every_message_with_a_value_is_among_them():
    """A field that may hold a value of a user's is hidden, in whichever message it is."""
    shown = {field.name for kind in m.MESSAGES for field in fields(kind) if field.repr}
    assert not shown & {"value", "values", "pairs", "default", "message"}


async def test_no_statistics_and_no_text_of_a_cache_shows_a_value(caplog):
    """Guarantee 24."""
    caplog.set_level(logging.DEBUG)
    async with Cache.open("mem://", secret=MARKER, pickle_type="json") as cache:

        @cache(ttl=10, key="k")
        async def load(argument):
            return argument

        await load(MARKER)
        await load(MARKER)
        await cache.set("other", MARKER)
        await cache.set_lock("lock", MARKER, 10)
        async with cache.transaction() as transaction, cache.lock("mine") as held:
            await cache.set("k", MARKER)
            text = f"{cache!r} {cache.statistics()!r} {transaction!r} {held!r} {load!r} {cache.lock('k')!r}"
    assert held.token not in text
    assert MARKER not in text + caplog.text
