"""Plain generators, plain functions of many ids, and Bloom filters before plain functions, on each store."""

import ctypes
import inspect
from contextlib import closing
from functools import partial, wraps
from threading import Event, Lock, get_ident

import anyio
import pytest

from cashews import Cache, Command, NotAsyncError
from cashews.exceptions import WrongArgumentError, WrongKeyError


class Source:
    """A generator function that notes its runs, its threads, and whether each run was closed."""

    def __init__(self):
        self.runs, self.threads, self.closed, self.given = [], set(), [], []

    def __call__(self, count):
        self.runs.append(count)
        self.threads.add(get_ident())
        try:
            for item in range(count):
                self.given.append(item)
                yield item
        finally:
            self.closed.append(count)


@pytest.fixture
def source():
    return Source()


def numbers_of(face, source, **options):
    @face.iterator(**{"ttl": "1m", "key": "numbers:{count}", **options})
    def numbers(count):
        yield from source(count)

    return numbers


@pytest.fixture
def memory():
    with Cache.open_blocking("mem://") as face:
        yield face


# --- generators


def test_a_run_whose_call_does_not_fit_its_signature_is_not_stored(memory):
    """Guarantee 29: a decorator that adds an argument shows the signature of the function within."""

    def with_session(function):
        @wraps(function)
        def run(*args):
            yield from function("session", *args)

        return run

    @memory.iterator(ttl="1m")
    @with_session
    def rows(session, uid):
        yield session, uid

    assert list(rows(1)) == [("session", 1)]
    with pytest.raises(TypeError, match="'uid'"):
        list(rows())
    assert memory.statistics().uncached == {"no key": 2}


def test_a_complete_run_is_replayed(stored, source):
    """Guarantee 13."""
    numbers = numbers_of(stored, source)
    assert inspect.isgeneratorfunction(numbers)
    for _ in range(3):
        assert list(numbers(250)) == list(range(250))
    assert (source.runs, source.closed) == ([250], [250])
    assert numbers.key(250) == "numbers:250"
    assert numbers.explain(250).verdict == "serve"
    figures = numbers.statistics()
    assert (figures.calls, figures.hits, figures.loads) == (3, 2, 1)
    assert numbers.invalidate(250)
    assert list(numbers(250)) == list(range(250))
    assert source.runs == [250, 250]


def test_the_generator_runs_in_its_consumers_thread_one_item_at_a_time(memory, source):
    numbers = numbers_of(memory, source)
    for item in numbers(3):
        assert source.given == list(range(item + 1))
    assert source.threads == {get_ident()}


def test_half_a_run_is_not_stored_and_is_closed(stored, source):
    """Guarantee 13."""
    numbers = numbers_of(stored, source)
    with closing(numbers(5)) as items:
        assert next(items) == 0
    assert source.closed == [5]
    assert stored.get_keys_count() == 0
    assert stored.statistics().loads == 0
    assert list(numbers(5)) == [0, 1, 2, 3, 4]
    assert source.runs == [5, 5]


def test_a_run_that_fails_is_not_stored(memory):
    @memory.iterator(ttl="1m", key="fails")
    def fails():
        yield 1
        raise ZeroDivisionError

    for _ in range(2):
        items = fails()
        assert next(items) == 1
        with pytest.raises(ZeroDivisionError):
            next(items)
    assert memory.get_keys_count() == 0
    assert fails.statistics().errors == 2
    assert memory.statistics().loads == 0


def test_a_run_whose_key_is_deleted_meanwhile_is_not_stored(stored, source):
    """Guarantee 10."""
    numbers = numbers_of(stored, source)
    items = numbers(2)
    assert next(items) == 0
    stored.delete("numbers:2")
    assert list(items) == [1]
    assert stored.get_keys_count() == 0


@pytest.mark.parametrize("is_async", [False, True])
def test_a_condition_may_refuse_a_run(memory, source, is_async):
    asked = []

    def few(item, *_, key):
        asked.append(key)
        return item < 2

    async def few_later(item, *_, key):
        return few(item, key=key)

    numbers = numbers_of(memory, source, condition=few_later if is_async else few)
    for _ in range(2):
        assert list(numbers(2)) == [0, 1]
        assert list(numbers(4)) == [0, 1, 2, 3]
    assert source.runs == [2, 4, 4]
    assert asked == ["numbers:2"] * 2 + ["numbers:4"] * 6
    assert numbers.statistics().refused == 2


def test_tags_and_long_runs(memory, source):
    numbers = numbers_of(memory, source, tags=["n:{count}"], max_items=3)
    for _ in range(2):
        assert (list(numbers(3)), list(numbers(4))) == ([0, 1, 2], [0, 1, 2, 3])
    assert source.runs == [3, 4, 4]
    memory.delete_tags("n:3")
    assert list(numbers(3)) == [0, 1, 2]
    assert source.runs == [3, 4, 4, 3]


def test_generators_of_methods_bind(memory):
    class Shop:
        runs = 0

        @memory.iterator(ttl="1m", key="goods:{kind}")
        def goods(self, kind):
            self.runs += 1
            yield from (self, kind)

        @memory.iterator(ttl="1m", key="of:{kind}")
        @classmethod
        def of(cls, kind):
            yield from (cls, kind)

    shop = Shop()
    for _ in range(2):
        assert list(shop.goods("tea")) == [shop, "tea"]
        assert list(Shop.of("tea")) == [Shop, "tea"]
    assert shop.runs == 1
    assert (shop.goods.key("tea"), Shop.of.key("tea")) == ("goods:tea", "of:tea")
    assert shop.goods.invalidate("tea")


def test_a_call_without_a_key_runs_uncached(memory):
    """Guarantee 29."""

    @memory.iterator(ttl="1m", key="{thing}")
    def parts(thing):
        yield thing

    thing = object()
    assert list(parts(thing)) == [thing]
    assert parts.statistics().uncached == {"no key": 1}


def test_an_interrupted_call_leaves_no_load(memory, source):
    """Of a notebook, while an event loop looks for a stored run."""
    consumer = ctypes.c_ulong(get_ident())

    def interrupt(*_):
        ctypes.pythonapi.PyThreadState_SetAsyncExc(consumer, ctypes.py_object(KeyboardInterrupt))

    numbers = numbers_of(memory, source)
    with memory.asynchronous.callback(interrupt, Command.GET), pytest.raises(KeyboardInterrupt):
        list(numbers(3))
    assert (memory.ping(), memory.statistics().loads) == (b"PONG", 0)
    assert list(numbers(3)) == [0, 1, 2]


@pytest.mark.parametrize("options", [{}, {"condition": lambda *_, **__: True}], ids=["plain", "condition"])
async def test_a_run_that_ends_in_an_event_loop_is_not_stored_and_goes_on(source, options):
    """Guarantee 29: its consumer has handed it over, and may not block there."""
    cache = Cache()
    cache.setup("mem://")
    numbers = numbers_of(cache.blocking, source, **options)
    for _ in range(2):
        items = numbers(3)
        assert await anyio.to_thread.run_sync(next, items) == 0
        assert list(items) == [1, 2]
    assert source.closed == [3, 3]
    assert numbers.statistics().uncached == {"no event loop": 2}
    assert cache.statistics().loads == 0
    await cache.close()


def test_fifty_threads_consume_and_each_gets_one_whole_run(stored, source, crowd):
    """Guarantee 13."""
    numbers = numbers_of(stored, source)
    whole = list(range(120))
    assert crowd(lambda: list(numbers(120))) == [whole] * 50
    assert list(numbers(120)) == whole
    figures = numbers.statistics()
    assert (figures.calls, figures.errors, figures.hits + figures.loads) == (51, 0, 51)


def test_other_functions_are_refused(memory):
    async def items():
        yield 1

    for function in (items, lambda: 1):
        with pytest.raises(WrongArgumentError, match="a plain generator function"):
            memory.iterator(ttl="1m")(function)
    with pytest.raises(NotAsyncError):
        memory.asynchronous.iterator(ttl="1m")(lambda: 1)


# --- many ids


def users_of(face, runs, **options):
    @face.many(**{"ttl": "1m", "key": "user:{id}", **options})
    def users(ids):
        runs.append(ids)
        return {one: f"user {one}" for one in ids if one < 100}

    return users


def test_only_what_is_missing_is_loaded(stored):
    runs = []
    users = users_of(stored, runs)
    assert users([1, 2]) == {1: "user 1", 2: "user 2"}
    assert list(users(ids=[3, 1, 200]).items()) == [(3, "user 3"), (1, "user 1")]
    assert runs == [[1, 2], [3, 200]]
    assert stored.get(users.key(3)) == "user 3"
    assert {one: each.verdict for one, each in users.explain([1, 9]).items()} == {1: "serve", 9: "load"}
    users.invalidate([1])
    users([1, 2])
    assert runs == [[1, 2], [3, 200], [1]]
    figures = users.statistics()
    assert (figures.calls, figures.hits, figures.loads) == (7, 2, 3)


def test_fifty_threads_load_each_id_once(stored, crowd):
    """Guarantee 9."""
    runs, over = [], Event()

    @stored.many(ttl="1m", key="user:{id}")
    def users(ids):
        runs.extend(ids)
        over.wait(0.05)
        return dict.fromkeys(ids, "here")

    assert crowd(partial(users, [1, 2, 3])) == [{1: "here", 2: "here", 3: "here"}] * 50
    assert sorted(runs) == [1, 2, 3]
    figures = users.statistics()
    assert (figures.calls, figures.errors) == (150, 0)
    assert figures.hits + figures.shared == 147


def test_methods_of_many_ids_bind(memory):
    class Users:
        @memory.many(ttl="1m", key="user:{id}")
        def get(self, ids):
            return dict.fromkeys(ids, self)

    users = Users()
    assert users.get([1]) == {1: users}
    assert users.get.key(1) == "user:1"
    users.get.invalidate([1])
    assert not users.get.explain([1])[1].found


def test_single_calls_of_threads_are_gathered(memory, crowd):
    runs, numbers, lock = [], iter(range(50)), Lock()

    @memory(ttl="1m", key="user:{id}")
    @memory.batching(window=5, size=50)
    def user(ids, lang="en"):
        runs.append(sorted(ids))
        return {one: f"{one} {lang}" for one in ids if one}

    def ask():
        with lock:
            one = next(numbers)
        return one, user(one)

    assert dict(crowd(ask)) == {one: f"{one} en" if one else None for one in range(50)}
    assert runs == [list(range(50))]
    assert user(7) == "7 en"
    assert list(inspect.signature(user).parameters) == ["id", "lang"]


# --- Bloom filters


def test_a_filter_answers_for_a_plain_function(stored):
    runs = []

    @stored.bloom(capacity=100, name="emails:{email}")
    def is_known(email):
        runs.append(email)
        return email == "ann@example.org"

    assert not is_known("bob@example.org")
    assert is_known.set("ann@example.org") is True
    assert runs == ["bob@example.org", "ann@example.org"]
    assert is_known("bob@example.org") is False
    assert is_known("ann@example.org") is True
    assert runs[2:] == ["ann@example.org"]
    assert is_known.key("bob@example.org") == "bloom:emails:bob@example.org"


def test_two_filters_answer_for_a_plain_function(stored):
    runs = []

    @stored.dual_bloom(capacity=100, name="words:{word}")
    def is_word(word):
        runs.append(word)
        return word == "tea"

    for _ in range(2):
        assert is_word("tea") is True
        assert is_word("xyz") is False
    assert runs == ["tea", "xyz"]


def test_methods_behind_filters_bind(memory):
    class Users:
        @memory.bloom(capacity=100, name="users:{name}")
        def has(self, name):
            return name == "ann"

    users = Users()
    assert users.has.set("ann")
    assert (users.has("ann"), users.has("bob")) == (True, False)
    assert users.has.key("ann") == "bloom:users:ann"


def test_fifty_threads_put_what_they_know_in_one_filter(stored, crowd):
    numbers, lock = iter(range(50)), Lock()

    @stored.bloom(capacity=1_000, name="n:{number}", check_false_positive=False)
    def is_here(number):
        return number < 50

    def put():
        with lock:
            number = next(numbers)
        return is_here.set(number)

    assert crowd(put) == [True] * 50
    assert all(is_here(number) for number in range(50))
    assert sum(is_here(number) for number in range(100, 1_100)) < 50


def test_mistakes_are_errors_at_decoration(memory):
    def load(numbers):
        """Have no parameter for the ids."""

    with pytest.raises(WrongArgumentError, match="ids"):
        memory.many(ttl="1m")(load)
    with pytest.raises(WrongArgumentError, match="ids"):
        memory.batching()(load)
    with pytest.raises(WrongKeyError):
        memory.many(ttl="1m", key="{id}:{other}", ids="numbers")(load)
    with pytest.raises(WrongArgumentError, match="name"):
        memory.bloom(capacity=10, name="same")(load)
