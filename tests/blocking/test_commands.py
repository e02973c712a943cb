"""The blocking face in plain threads: commands, blocks, errors, and the event loop that it begins."""

import inspect
import subprocess
import sys
from contextlib import suppress
from threading import Thread
from time import monotonic

import pytest

from cashews import Cache, CacheClosedError, CommitOutcome, EventLoopError, LockReenteredError, TransactionMode
from cashews.api.caching import DecoratorAPI
from cashews.api.commands import CommandAPI
from cashews.api.guarding import GuardAPI
from cashews.api.many import ManyAPI
from cashews.exceptions import CounterOverflowError, WrongArgumentError, WrongTTLError

PLAIN = {"register_tag", "set_default_fail_exceptions"}
"""Methods that wait for nothing and decorate nothing: the cache's own serve threads, too."""


@pytest.fixture(params=["mem://", "disk"])
def cache(request, tmp_path):
    url = f"disk://?directory={tmp_path}" if request.param == "disk" else request.param
    with Cache.open_blocking(url) as face:
        yield face


@pytest.fixture
def memory():
    with Cache.open_blocking("mem://") as face:
        yield face


def in_thread(function):
    """Run a function in a thread of its own, and return its result or its error."""
    outcome = []

    def run():
        try:
            outcome.append(function())
        except Exception as error:  # noqa: BLE001  the outcome
            outcome.append(error)

    thread = Thread(target=run)
    thread.start()
    thread.join()
    return outcome[0]


def test_every_public_command_is_there_with_its_parameters(memory):
    for name, method in inspect.getmembers(CommandAPI, inspect.isfunction):
        if name.startswith("_") or name in PLAIN:
            continue
        wanted = [*inspect.signature(method).parameters]
        given = [*inspect.signature(getattr(type(memory), name)).parameters]
        assert given == [each for each in wanted if name != "lock" or each != "check_interval"], name
        assert getattr(memory, name).__doc__ or not method.__doc__, name


def test_every_decorator_is_there_with_its_parameters(memory):
    for face in (DecoratorAPI, GuardAPI, ManyAPI):
        for name, method in inspect.getmembers(face, inspect.isfunction):
            if name == "__call__" or not (name.startswith("_") or name in PLAIN):
                assert inspect.signature(getattr(type(memory), name)) == inspect.signature(method), name


def test_values_come_back(cache):
    cache.set("a", 1, expire="1m", tags=["t"])
    assert (cache.get("a"), cache.get("b", "none"), cache.get_many("a", "b")) == (1, "none", (1, None))
    assert cache.incr("n", 2) == 2
    assert cache.get_key_tags("a") == ("t",)
    cache.delete_tags("t")
    assert not cache.exists("a")


def test_iterators_are_plain_and_page_by_page(cache):
    cache.set_many({f"k:{number}": number for number in range(250)})
    assert dict(cache.get_match("k:*")) == {f"k:{number}": number for number in range(250)}
    assert sorted(cache.scan("k:*")) == sorted(f"k:{number}" for number in range(250))
    assert next(iter(cache.scan("k:1"))) == "k:1"


def test_a_default_is_called_once_and_only_if_needed(cache):
    calls = []
    assert [cache.get_or_set("a", lambda: calls.append(1) or "made") for _ in range(2)] == ["made", "made"]
    assert (calls, cache.get_or_set("b", 5)) == ([1], 5)


def test_errors_are_raised_to_the_caller(cache):
    with pytest.raises(WrongTTLError):
        cache.set("a", 1, expire="soon")
    cache.set("n", 2**63 - 1)
    with pytest.raises(CounterOverflowError):
        cache.incr("n")
    with pytest.raises(WrongArgumentError):
        cache.lock("a", expire=0)
    with pytest.raises(ZeroDivisionError):
        cache.get_or_set("z", lambda: 1 / 0)


def test_a_lock_holds_other_threads_off(cache):
    with cache.lock("l") as held:
        assert held.fence
        assert cache.is_locked("l")
        assert str(in_thread(lambda: cache.lock("l", wait=False).__enter__())).startswith("the lock 'l'")
    assert not cache.is_locked("l")


def test_one_lock_object_serves_many_threads(memory):
    lock, inside, most = memory.lock("l"), [], []

    def work():
        with lock:
            inside.append(1)
            most.append(len(inside))
            memory.get("a")
            inside.pop()

    workers = [Thread(target=work) for _ in range(20)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert most == [1] * 20


def test_a_thread_does_not_wait_for_its_own_lock(memory):
    @memory.locked(key="l")
    def countdown(number):
        return number and countdown(number - 1)

    with memory.lock("k"), pytest.raises(LockReenteredError), memory.lock("k"):
        pass
    assert countdown(3) == 0


@pytest.mark.parametrize("mode", TransactionMode)
def test_a_transaction_is_the_threads_own(cache, mode):
    with cache.transaction(mode) as tx:
        cache.set("a", 1)
        assert cache.get("a") == 1
        if mode is TransactionMode.FAST:
            assert in_thread(lambda: cache.get("a")) is None
        tx.commit()
        cache.set("a", 2)
        tx.rollback()
    assert cache.get("a") == 1
    assert list(tx.outcomes) == [""]
    assert tx.mode is mode


def test_a_failed_transaction_leaves_nothing(cache):
    with suppress(ZeroDivisionError), cache.transaction(timeout="2s") as tx:
        cache.set("a", 1)
        assert tx.outcome is CommitOutcome.OPEN
        raise ZeroDivisionError
    assert tx.outcome is CommitOutcome.ABORTED
    assert tx.timeout == 2
    assert cache.get("a") is None
    cache.set("a", 2)
    assert cache.get("a") == 2


def test_a_transaction_decorates_a_plain_function(cache):
    @cache.transaction()
    def work(fails):
        cache.set("a", fails)
        if fails:
            raise ZeroDivisionError
        return "done"

    assert work(0) == "done"
    with pytest.raises(ZeroDivisionError):
        work(1)
    assert cache.get("a") == 0


def test_a_transaction_reaches_the_functions_that_its_body_calls(memory):
    @memory.locked(key="f")
    def work():
        return memory.get("a")

    with memory.transaction():
        memory.set("a", 1)
        assert work() == 1


def test_a_filling_is_void_once_its_key_is_deleted(cache):
    with cache.filling("a") as filling:
        assert filling.set("a", 1)
        assert not filling.overtaken
    assert filling.overtaken
    with cache.filling("b") as filling:
        cache.delete("b")
        assert not filling.set("b", 1)
    assert (cache.get("a"), cache.get("b")) == (1, None)


def test_switches_of_the_caller_hold(memory):
    memory.set("a", 1)
    with memory.asynchronous.disabling():
        assert memory.get("a") is None
    assert memory.get("a") == 1


async def test_a_command_in_an_event_loop_is_refused():
    cache = Cache()
    cache.setup("mem://")
    with pytest.raises(EventLoopError, match="await the async command"):
        cache.blocking.get("a")
    with pytest.raises(EventLoopError, match="await the async command"):
        cache.blocking.lock("a").__enter__()
    await cache.close()


def test_the_loop_is_begun_once_and_ended(portals):
    with Cache.open_blocking("mem://") as cache:
        assert [in_thread(lambda: cache.incr("n")) for _ in range(3)] == [1, 2, 3]
        assert len(portals()) == 1
    assert not portals()
    with pytest.raises(CacheClosedError):
        cache.get("n")
    cache.close()
    assert not portals()


def test_a_cache_that_is_set_up_needs_no_block():
    cache = Cache()
    cache.setup("mem://")
    cache.blocking.set("a", 1, expire="1m")
    assert cache.blocking.get("a") == 1
    assert cache.blocking.statistics().actors == cache.statistics().actors
    cache.blocking.close()


SCRIPT = """
from threading import Thread
from cashews import Cache
cache = Cache()
cache.setup("mem://")

@cache.blocking(ttl="1m")
def double(number):
    return 2 * number

def late():
    print(double(2))

print(double(1))
Thread(target=late).start()
"""


def test_a_script_ends_by_itself_without_a_warning():
    """Guarantee 30."""
    started = monotonic()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=True
    )
    assert (done.stdout, done.stderr) == ("2\n4\n", "")
    assert monotonic() - started < 60


FORKING = """
import os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)
from cashews import Cache
cache = Cache()
cache.setup("mem://")
cache.blocking.set("a", 1)
child = os.fork()
if not child:
    cache.blocking.set("b", 2)
    with cache.blocking.lock("l"):
        print(cache.blocking.get("b"), flush=True)
    sys.exit()
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), cache.blocking.get("a"), cache.blocking.get("b"))
"""


def test_the_child_of_a_fork_begins_anew():
    done = subprocess.run([sys.executable, "-c", FORKING], capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == ("2\n0 1 None\n", "")
