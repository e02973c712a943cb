"""The commands about bits, windows, tallies, circuits and sets: `command(remote, message)`, each one round trip."""

from __future__ import annotations

from typing import Any, Final

from cashews import messages as m
from cashews.backends.redis import scripts
from cashews.backends.redis.remote import Remote
from cashews.backends.redis.wire import array, integer, lifetime, milliseconds, number, pack
from cashews.structures.kinds import COUNTER_MAX
from cashews.ttl import LONGEST

WIDE: Final = 53
"""From this many bits on a field is answered in two parts: numbers of scripts have 53 bits."""
LOW: Final = 32
"""The bits of the second part."""


async def get_bits(remote: Remote, message: m.GetBits) -> tuple[int, ...]:
    return await _bits(remote, message, "")


async def incr_bits(remote: Remote, message: m.IncrBits) -> tuple[int, ...]:
    return await _bits(remote, message, max(-COUNTER_MAX, min(message.by, COUNTER_MAX)))


async def _bits(remote: Remote, message: m.GetBits | m.IncrBits, by: int | str) -> tuple[int, ...]:
    if not message.indexes:
        return ()
    key, size, indexes = message.key, message.size, message.indexes
    reply = await scripts.BITS.ask(remote.at(key), (key,), size, by, *indexes)
    fields = array(reply, len(indexes))
    if size < WIDE:
        return tuple(map(integer, fields))
    return tuple([integer(high) << LOW | integer(low) for high, low in [array(field, 2) for field in fields]])


async def slice_incr(remote: Remote, message: m.SliceIncr) -> int:
    most = message.maxvalue
    if most < 1:
        return most + 1
    return integer((await _counted(remote, message))[0])


async def admit_slice(remote: Remote, message: m.AdmitSlice) -> float:
    count, oldest = await _counted(remote, message)
    return 0.0 if integer(count) <= message.maxvalue else number(oldest) - message.start


async def _counted(remote: Remote, message: m.SliceIncr | m.AdmitSlice) -> list[Any]:
    """Count an event; returns the number of events, and the oldest one if the window was full."""
    key, window = message.key, (message.start, message.end, message.maxvalue, lifetime(message.expire))
    return array(await scripts.SLICE_INCR.ask(remote.at(key), (key,), *window), 2)


async def admit(remote: Remote, message: m.Admit) -> float:
    key, rules = message.key, (message.limit, milliseconds(message.period), lifetime(message.ban))
    left = integer(await scripts.ADMIT.ask(remote.at(key), (key,), *rules))
    return (left + 1) / 1000 if left else 0.0  # a key lives through the millisecond in which it ends


async def enter_circuit(remote: Remote, message: m.EnterCircuit) -> float | m.Refusal:
    rules = _rules(message.rules)
    reply = await scripts.ENTER_CIRCUIT.ask(remote.at(message.key), (message.key,), *rules)
    entered, left = array(reply, 2)
    return m.Refusal(number(left) / 1000) if entered is None else number(entered)


async def report_circuit(remote: Remote, message: m.ReportCircuit) -> None:
    key, call = message.key, (f"{message.entered:.3f}", int(message.failed))
    await scripts.REPORT_CIRCUIT.ask(remote.at(key), (key,), *_rules(message.rules), *call)


def _rules(rules: m.CircuitRules) -> tuple[float | str, ...]:
    """Return the rules of a circuit as scripts take them."""
    half_open_ttl = "" if rules.half_open_ttl is None else _exact(rules.half_open_ttl)
    return (rules.errors_rate, _exact(rules.period), _exact(rules.ttl), half_open_ttl, rules.min_calls)


def _exact(seconds: float) -> float:
    """Return a duration in milliseconds, with their fractions."""
    return min(seconds, LONGEST) * 1000


async def set_add(remote: Remote, message: m.SetAdd) -> None:
    if message.values:
        key = message.key
        await scripts.SET_ADD.ask(remote.at(key), (key,), lifetime(message.expire), *message.values)


async def set_remove(remote: Remote, message: m.SetRemove) -> None:
    if message.values:
        integer(await remote.at(message.key).ask(pack(("SREM", message.key, *message.values))))


async def set_pop(remote: Remote, message: m.SetPop) -> list[str]:
    while popped := array(await remote.at(message.key).ask(pack(("SPOP", message.key, message.count)))):
        members = remote.texts(popped)
        if members:  # else none of them is text: others may be
            return members
    return []
