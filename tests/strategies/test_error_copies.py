"""Each waiter, and each call that a remembered exception answers, raises an exception that equals the original."""

import builtins

import anyio
import pytest

from cashews import Cache
from cashews.strategies.copying import copied
from cashews.testing.clock import VirtualClock


def caught(function):
    try:
        function()
    except Exception as error:  # noqa: BLE001  the exception is wanted
        return error
    raise AssertionError


def group():
    make = getattr(builtins, "ExceptionGroup", None)  # from Python 3.11 on
    return make("group", [ValueError(1)]) if make else ValueError(1)


class SlottedError(Exception):
    __slots__ = ("__hidden", "code", "unset")

    def __init__(self, code):
        super().__init__("slotted")
        self.code = code
        self.__hidden = [code]


class TwoArgumentsError(Exception):
    def __init__(self, one, another):
        super().__init__(one)
        self.another = another


class OwnMakerError(Exception):
    made = 0

    def __new__(cls, one, _another):
        OwnMakerError.made += 1
        return super().__new__(cls, one)

    def __init__(self, one, another):
        super().__init__(one)
        self.another = another


class UncopyableError(Exception):
    """A property without a setter says something else about each object."""

    def __setattr__(self, name, value):
        raise AttributeError(name)


class OwnOSError(OSError):
    def __init__(self, path):
        super().__init__(2, "gone", path)


def noted():
    error = ValueError("noted")
    error.add_note("a note") if hasattr(error, "add_note") else None
    error.__cause__ = KeyError("the cause")
    error.extra = {"a": 1}
    return error


ERRORS = {
    "OSError": lambda: caught(lambda: open("/does/not/exist")),  # noqa: PTH123, SIM115  its error is wanted
    "OSError of two files": lambda: OSError(2, "gone", "one", None, "another"),
    "BlockingIOError": lambda: BlockingIOError(11, "later", 5),
    "a kind of OSError": lambda: OwnOSError("path"),
    "ImportError": lambda: caught(lambda: __import__("does_not_exist")),
    "AttributeError": lambda: caught(lambda: [].missing),
    "NameError": lambda: caught(lambda: missing),  # noqa: F821  likewise
    "UnicodeDecodeError": lambda: caught(b"\xff".decode),
    "UnicodeEncodeError": lambda: caught(lambda: "é".encode("ascii")),
    "SyntaxError": lambda: caught(lambda: compile("a b", "file", "exec")),
    "StopIteration": lambda: StopIteration(5),
    "KeyError": lambda: KeyError("key"),
    "slots": lambda: SlottedError(5),
    "two arguments": lambda: TwoArgumentsError(1, 2),
    "a maker of its own": lambda: OwnMakerError(1, 2),
    "notes and a cause": noted,
    "a group": group,
}
FIELDS = (
    *("errno", "strerror", "filename", "filename2", "characters_written", "name", "path", "obj", "msg", "value"),
    *("object", "start", "end", "reason", "encoding", "lineno", "offset", "text", "code", "another", "extra"),
    *(
        "_SlottedError__hidden",
        "unset",
        "exceptions",
        "message",
        "__notes__",
        "__cause__",
        "__suppress_context__",
        "args",
    ),
)
every_error = pytest.mark.parametrize("make", ERRORS.values(), ids=ERRORS)


def facts(error):
    return {name: getattr(error, name, "absent") for name in FIELDS}, str(error), repr(error)


@every_error
def test_a_copy_equals_its_original_and_is_another_object(make):
    error = make()
    before, made = facts(error), OwnMakerError.made
    twin = copied(error)
    assert type(twin) is type(error)
    assert facts(twin) == facts(error) == before
    assert twin is not error
    assert twin.__traceback__ is None
    assert OwnMakerError.made == made
    if "__notes__" in vars(error):
        twin.add_note("another")
        assert error.__notes__ == ["a note"]


def test_an_exception_that_cannot_be_copied_is_raised_itself():
    error = UncopyableError("x")
    assert copied(error) in (error, copied(error))
    assert copied(error).args == ("x",)


@every_error
async def test_waiters_and_later_calls_raise_what_the_function_raised(make):
    clock, error, told = VirtualClock(), make(), []
    async with Cache.open("mem://", clock=clock) as cache:

        @cache(60, key="k", condition=lambda result, *_, **__: result)
        async def load():
            await clock.sleep(1)
            raise error

        async def call():
            try:
                await load()
            except Exception as raised:  # noqa: BLE001  whatever it is
                told.append(raised)

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(call)
            await clock.settle()
            await clock.advance(1)
        await call()
    if isinstance(error, StopIteration):  # Python makes another of it
        return
    assert [facts(each) for each in told] == [facts(error)] * 4
    assert len({id(each) for each in told}) == 4
