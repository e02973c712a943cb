"""The wrappers of cached functions: the functions that users call, as the text of which each one is written.

A name that begins with ``$`` is the wrapper's own. Each text ends where the answer needs more than a look: there, a
runner goes on.
"""

from __future__ import annotations

from typing import Final

from cashews.messages import GetHit
from cashews.strategies.strategy import Strategy

_HEAD: Final = """
try:
    $make_key
except $NoKeyError as $error:
    $alone = $run_alone($error, $args, $kwargs)
else:"""
_TAIL: Final = """
return await $alone"""  # not in the handler: an error of the function has no context of ours

_LEAD: Final = """
    $flight = $begin($key)
    if $flight is not None:
        try:
            $loaded = await $function($given)
            $cost = $land($flight, $loaded)
        except $Exception as $error:
            $outcome = $fail($flight, $error)
            <failed>
        except $BaseException:
            $hand_over($flight)
            raise
        else:
            if $cost is not None:
                try:
                    await $finish($flight, $Call($args, $kwargs, $key), $loaded, $cost)
                except $BaseException:
                    if $flight.heir is None:
                        $hand_over($flight)
                    raise
            return $loaded"""
"""A load that is led in the frame of the wrapper: it has no coroutine but that of the function."""

_RUN_FIRST: Final = f"""{_HEAD}
    $counts.others += 1<lead>
    return await $load_or_serve($Call($args, $kwargs, $key), $covered){_TAIL}"""

_STAND_IN: Final = """
        return await $stand_in($Call($args, $kwargs, $key), $outcome, $covered)"""

_LOOK: Final = """
    $look = $lines.<line>
    $found = $look($key)
    if <served>"""  # two statements: to call an attribute of an object takes longer

_LOOK_FIRST: Final = f"""{_HEAD}<look>
    if $found is $NOT_NOW and $lines.credit <= 0:
        await $pause()<look again>
    if $found is not $ABSENT:
        return await $answer($Call($args, $kwargs, $key), $found)
    $counts.others += 1
    if $observing.listeners:
        $missed($key)
    if $key in $running:
        $flight, $reply = $join($key)
        if $reply is not None:
            try:
                $outcome = await $reply
            except $BaseException:
                $leave($flight, $reply)
                raise
            $call = $Call($args, $kwargs, $key)
            if $outcome is not $TAKE_OVER and $outcome is not $ALONE:
                return $shared_answer($call, $outcome)
            return await $go_on($call, $flight, $outcome)<lead>
    $call = $Call($args, $kwargs, $key)
    $outcome, $shared = await $load($call)
    return $shared_answer($call, $outcome) if $shared else $answer_of($outcome, shared=False){_TAIL}"""

_BARE: Final = """$type($found) not in $JUDGED:
        $counts.hits += 1
        return $found"""

_ENTRY: Final = """$type($found) is $Entry and <fresh>:
        $outcome = $found.outcome
        if $type($outcome) is $Returned and $type($outcome.value) is not $Replay:
            $counts.hits += 1
            return $outcome.value"""

REPLAY_FIRST: Final = """
try:
    $make_key
except $NoKeyError as $error:
    $run = $run_alone($error, $args, $kwargs)
else:
    $run = $lines.look($key)
    if $type($run) is $StoredRun:
        $counts.hits += 1
    else:
        $run = await $begin($Call($args, $kwargs, $key), $run)
if $type($run) is $StoredRun:
    $count = $len($run.items)
    for $end in $range($PACE, $count + $PACE, $PACE):
        for $item in $run.items[$end - $PACE : $end]:
            yield $item
        if $end <= $count:
            await $pause()
else:
    async with $aclosing($run) as $items:
        async for $item in $items:
            yield $item"""
"""The wrapper of an async generator function: a stored run has no generator but this one."""


def run_first(*, leads: bool) -> str:
    """Return the text of the wrapper of a strategy that runs the function at each call.

    :param leads: whether the wrapper leads plain loads
    """
    return _RUN_FIRST.replace("<lead>", _LEAD.replace("<failed>", "pass") + _STAND_IN if leads else "")


def look_first(strategy: Strategy, *, leads: bool) -> str:
    """Return the text of the wrapper of a strategy that serves what is stored.

    The straight lines of the engine find a value or a fresh entry: such a hit has no object and no call of its own. If
    the budget is spent, the wrapper lets other tasks run, and looks again.
    """
    if strategy.serves_bare:
        served = _BARE
    else:
        fresh = strategy.freshness.replace("entry", "$found").replace("now()", "$wall()")
        served = _ENTRY.replace("<fresh>", fresh)
    look = _LOOK.replace("<line>", "look_hit" if strategy.read is GetHit else "look").replace("<served>", served)
    lead = _LEAD.replace("<failed>", "raise") if leads else ""
    text = _LOOK_FIRST.replace("<look>", look).replace("<look again>", look.replace("\n", "\n    "))
    return text.replace("<lead>", lead)
