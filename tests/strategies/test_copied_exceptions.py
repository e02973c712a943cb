"""A remembered exception is raised as a copy, so that no two callers share a traceback (guarantees 9, 12)."""

import pytest

from cashews.strategies.entry import copied


class ToldTwiceError(Exception):
    def __init__(self, told):
        super().__init__(f"{told} {told}")
        self.told = told


class OneOfAKindError(Exception):
    """Each exception of this class has a number of its own, which nothing can set."""

    __slots__ = ("_number",)

    @property
    def number(self):
        return self._number

    def __setattr__(self, name, value):
        if name == "_number" and value is not None:
            raise AttributeError(name)
        super().__setattr__(name, value)


def raised(error):
    with pytest.raises(type(error)) as caught:
        raise error
    return caught.value


@pytest.mark.parametrize("error", [ValueError("a", 1), OSError(2, "gone", "file"), ToldTwiceError("a"), KeyError("k")])
def test_a_copy_says_the_same_without_a_traceback(error):
    error.note = ["more"]
    error = raised(error)
    twin = copied(error)
    assert twin is not error
    assert (type(twin), twin.args, str(twin), vars(twin)) == (type(error), error.args, str(error), vars(error))
    assert twin.__traceback__ is None
    assert error.__traceback__ is not None


def test_a_copy_keeps_the_cause():
    cause = KeyError("k")
    error = ValueError("v")
    error.__cause__ = cause
    assert copied(error).__cause__ is cause


def test_what_cannot_be_copied_is_raised_itself():
    error = OneOfAKindError("only")
    object.__setattr__(error, "_number", 1)
    error = raised(error)
    assert copied(error) is error
    assert error.__traceback__ is None
