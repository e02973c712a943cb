"""`circuit_breaker`: the circuit kept in the store, around functions."""

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cashews import Cache, CircuitBreakerOpen, Command, circuit_breaker, invalidate_further, noself
from cashews.exceptions import WrongArgumentError
from cashews.testing.clock import VirtualClock


class Service:
    """Fails on demand, takes as long as it is told, and counts its calls."""

    def __init__(self, clock):
        self.clock = clock
        self.calls = 0

    async def call(self, failure=None, takes=0):
        self.calls += 1
        if takes:
            await self.clock.sleep(takes)
        if failure:
            raise failure
        return "answer"


@pytest.fixture
def service(clock):
    return Service(clock)


async def ends(function, *args, **kwargs):
    """Say how a call ended."""
    try:
        await function(*args, **kwargs)
    except CircuitBreakerOpen:
        return "refused"
    except Exception as error:  # noqa: BLE001  whatever it is, its name is told
        return type(error).__name__
    return "passed"


async def test_calls_are_refused_for_the_ttl_once_too_many_have_failed(cache, clock, service):
    guarded = cache.circuit_breaker(errors_rate=50, period=60, ttl=10, min_calls=2)(service.call)
    assert [await ends(guarded), await ends(guarded, ValueError()), await ends(guarded)] == [
        "passed",
        "ValueError",
        "refused",
    ]
    await clock.advance(9.9)
    assert await ends(guarded) == "refused"
    await clock.advance(0.1)
    assert await ends(guarded) == "passed"
    assert service.calls == 3


async def test_the_error_names_the_key(cache, service):
    guarded = cache.circuit_breaker(errors_rate=1, period=60, ttl=10, key="to:{failure}", prefix="cb")(service.call)
    with pytest.raises(ValueError, match="no"):
        await guarded(ValueError("no"))
    with pytest.raises(CircuitBreakerOpen) as refused:
        await guarded(ValueError("no"))
    assert refused.value.key == guarded.key(ValueError("no")) == "cb:circuit:1:60:10:1:to:no"


async def test_no_least_number_of_calls_is_one(cache, service):
    guarded = cache.circuit_breaker(errors_rate=50, period=60, ttl=10, min_calls=0)(service.call)
    assert guarded.key() == cache.circuit_breaker(errors_rate=50, period=60, ttl=10)(service.call).key()
    assert [await ends(guarded, ValueError()), await ends(guarded)] == ["ValueError", "refused"]


async def test_the_error_tells_what_opened_the_circuit_and_when_to_try_again(cache, clock, service):
    guarded = cache.circuit_breaker(errors_rate=5, period=60, ttl=10, half_open_ttl=4, key="k")(service.call)
    await ends(guarded, ValueError())
    await clock.advance(3)
    with pytest.raises(CircuitBreakerOpen, match=r"5 % or more .* in 60 s failed: .* try again in 7 s") as refused:
        await guarded()
    assert (refused.value.errors_rate, refused.value.period) == (5, 60)
    assert refused.value.retry_after == pytest.approx(7, abs=0.05)
    await clock.advance(refused.value.retry_after + 1)
    assert await ends(guarded) == "passed"
    with pytest.raises(CircuitBreakerOpen) as refused:
        await guarded()
    assert refused.value.retry_after == 0


async def test_one_circuit_serves_all_calls_of_a_function(cache, service):
    guarded = cache.circuit_breaker(errors_rate=1, period=60, ttl=10)(service.call)
    assert [await ends(guarded, ValueError("a")), await ends(guarded)] == ["ValueError", "refused"]


async def test_stacked_breakers_have_circuits_of_their_own(cache, service):
    """With one key, too: the outer one opens at the second failure, though the inner one has let each through."""
    inner = cache.circuit_breaker(errors_rate=1, period=60, ttl=10, min_calls=9, key="k")(service.call)
    outer = cache.circuit_breaker(errors_rate=1, period=60, ttl=10, min_calls=2, key="k")(inner)
    assert [await ends(outer, ValueError()) for _ in range(3)] == ["ValueError", "ValueError", "refused"]
    assert await ends(inner, ValueError()) == "ValueError"


async def test_each_key_of_a_template_has_a_circuit_of_its_own(cache, service):
    guarded = cache.circuit_breaker(errors_rate=1, period=60, ttl=10, key="{failure}")(service.call)
    assert [await ends(guarded, ValueError("a")), await ends(guarded)] == ["ValueError", "passed"]


async def test_methods_of_different_classes_do_not_share_a_circuit(cache):
    """D22."""

    class A:
        @cache.circuit_breaker(errors_rate=1, period=60, ttl=10)
        async def get(self):
            raise ValueError

    class B:
        @cache.circuit_breaker(errors_rate=1, period=60, ttl=10)
        async def get(self):
            return "answer"

    assert [await ends(A().get), await ends(A().get), await ends(B().get)] == ["ValueError", "refused", "passed"]


async def test_half_open_is_reached_without_a_call_while_it_is_open(cache, clock, service):
    """D22; reading i."""
    guarded = cache.circuit_breaker(errors_rate=1, period=60, ttl=10, half_open_ttl=5)(service.call)
    await ends(guarded, ValueError())
    await clock.advance(12)
    assert [await ends(guarded) for _ in range(4)] == ["passed", "refused"] * 2
    assert await ends(guarded, ValueError()) == "ValueError"
    await clock.advance(9.9)
    assert await ends(guarded) == "refused"
    await clock.advance(5.1)
    assert [await ends(guarded) for _ in range(4)] == ["passed"] * 4


async def test_other_exceptions_than_those_named_do_not_open_it(cache, service):
    guarded = cache.circuit_breaker(errors_rate=50, period=60, ttl=10, exceptions=KeyError)(service.call)
    assert [await ends(guarded, ValueError()), await ends(guarded, KeyError()), await ends(guarded)] == [
        "ValueError",
        "KeyError",
        "refused",
    ]


async def test_results_of_calls_that_began_before_it_opened_do_not_count(cache, clock, service):
    guarded = cache.circuit_breaker(errors_rate=1, period=60, ttl=5, half_open_ttl=60)(service.call)
    ended = []

    async def slow():
        ended.append(await ends(guarded, ValueError(), takes=20))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(slow)
        await clock.settle()
        await ends(guarded, ValueError())
        await clock.advance(20)
    assert ended == ["ValueError"]
    assert await ends(guarded) == "passed"


async def test_calls_in_flight_count_when_they_end(cache, clock, service):
    guarded = cache.circuit_breaker(errors_rate=50, period=5, ttl=60, min_calls=3)(service.call)
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(ends, guarded, ValueError(), 20)
        await clock.advance(20)
        await clock.settle()
    assert await ends(guarded) == "refused"


async def test_a_cancelled_call_neither_failed_nor_succeeded(cache, clock, service):
    guarded = cache.circuit_breaker(errors_rate=50, period=600, ttl=10, min_calls=2)(service.call)
    for _ in range(5):
        with clock.move_on_at(clock.now() + 1) as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(guarded, None, 100)
                await clock.advance(1)
        assert scope.cancelled_caught
    assert [await ends(guarded, ValueError()) for _ in range(3)] == ["ValueError", "ValueError", "refused"]


async def test_it_survives_a_flood_of_other_keys(cache, service):
    guarded = cache.circuit_breaker(errors_rate=1, period=60, ttl=10)(service.call)
    await ends(guarded, ValueError())
    for number in range(300):
        await cache.set(f"other:{number}", number)
    assert await ends(guarded) == "refused"


async def test_nothing_is_left_of_a_circuit_that_nobody_uses(cache, clock, service):
    guarded = cache.circuit_breaker(errors_rate=1, period=60, ttl=10, half_open_ttl=5)(service.call)
    await ends(guarded)
    await clock.advance(60)
    assert await cache.get_keys_count() == 0
    await ends(guarded, ValueError())
    await clock.advance(15)
    assert await cache.get_keys_count() == 1
    await clock.advance(70)
    assert await cache.get_keys_count() == 0


async def test_a_ttl_may_depend_on_the_call(cache, clock, service):
    guarded = cache.circuit_breaker(
        errors_rate=1,
        period="1m",
        ttl=lambda failure=None, takes=0: 10 if failure or not takes else takes,
        half_open_ttl=None,
    )(service.call)
    await ends(guarded, ValueError())
    await clock.advance(9.9)
    assert await ends(guarded) == "refused"
    await clock.advance(0.1)
    assert await ends(guarded) == "passed"


async def test_a_ttl_that_a_call_makes_zero_is_an_error(cache, service):
    guarded = cache.circuit_breaker(errors_rate=1, period=60, ttl=lambda failure=None, takes=0: bool(failure) + takes)(
        service.call
    )
    with pytest.raises(WrongArgumentError, match="ttl is 0"):
        await guarded()


async def test_a_disabled_cache_lets_all_calls_pass_and_counts_none(cache, service):
    guarded = cache.circuit_breaker(errors_rate=1, period=60, ttl=10)(service.call)
    with cache.disabling():
        assert [await ends(guarded, ValueError()) for _ in range(3)] == ["ValueError"] * 3
    assert await ends(guarded) == "passed"


async def test_a_call_that_entered_while_counting_was_off_is_not_counted(cache, clock, service):
    guarded = cache.circuit_breaker(errors_rate=1, period=60, ttl=10)(service.call)
    cache.disable(Command.INCR)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ends, guarded, ValueError(), 5)
        await clock.settle()
        cache.enable(Command.INCR)
        await clock.advance(5)
    assert await ends(guarded) == "passed"


async def test_invalidate_further_leaves_circuits_alone(cache, service):
    """Guarantee 21."""
    guarded = cache.circuit_breaker(errors_rate=1, period=60, ttl=10)(service.call)
    await ends(guarded, ValueError())
    with invalidate_further():
        assert [await ends(guarded) for _ in range(3)] == ["refused"] * 3


async def test_a_failover_covers_an_open_circuit(cache, service):
    """The specification's second example."""
    guarded = cache.circuit_breaker(errors_rate=10, period="10m", ttl="5m", half_open_ttl="1m")(service.call)
    covered = cache.failover(ttl="10m", key="k", exceptions=(CircuitBreakerOpen,))(guarded)
    assert await covered() == "answer"
    await ends(guarded, ValueError())
    assert await covered() == "answer"
    assert service.calls == 2


async def test_middlewares_see_its_messages_under_renamed_keys(clock, service, subject):
    seen = []

    async def watch(call, cmd, _backend, *args, **kwargs):
        seen.append((cmd, kwargs["key"]))
        return await call(*args, **kwargs)

    async with subject.open(clock, middlewares=(watch,)) as cache:
        guarded = cache.circuit_breaker(errors_rate=1, period=60, ttl=10, key="k")(service.call)
        assert [await ends(guarded, ValueError()), await ends(guarded)] == ["ValueError", "refused"]
    assert seen == [(Command.INCR, "circuit_breaker:circuit:1:60:10:1:k")] * 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"errors_rate": 0},
        {"errors_rate": 101},
        {"period": 0},
        {"period": None},
        {"ttl": "0s"},
        {"ttl": None},
        {"half_open_ttl": -1},
        {"min_calls": -1},
        {"exceptions": (int,)},
        {"ttl": lambda: 1, "period": 0},
    ],
)
def test_wrong_arguments_are_refused_at_decoration(wrong):
    (argument,) = set(wrong) - ({"ttl"} if len(wrong) > 1 else set())
    with pytest.raises(WrongArgumentError) as refused:
        circuit_breaker(**{"errors_rate": 10, "period": 1, "ttl": 1, **wrong})
    assert refused.value.argument == argument


def test_noself_leaves_the_key_of_the_function_alone():
    cache = Cache()

    @noself(cache.circuit_breaker)(errors_rate=10, period=1, ttl=1)
    async def call(self):
        pass

    assert call.key(1) == cache.circuit_breaker(errors_rate=10, period=1, ttl=1)(call.__wrapped__).key(2)


@given(outcomes=st.lists(st.booleans(), max_size=40), rate=st.integers(1, 100), calls=st.integers(1, 8))
async def test_it_opens_at_the_first_failure_that_reaches_the_rate(outcomes, rate, calls):
    clock = VirtualClock()
    service = Service(clock)
    async with Cache.open("mem://", clock=clock) as cache:
        guarded = cache.circuit_breaker(errors_rate=rate, period=60, ttl=10, min_calls=calls)(service.call)
        failures, is_open = 0, False
        for number, failed in enumerate(outcomes, 1):
            expected = "refused" if is_open else "ValueError" if failed else "passed"
            assert await ends(guarded, ValueError() if failed else None) == expected
            failures += failed
            is_open = is_open or (failed and number >= calls and failures / number >= rate / 100)
