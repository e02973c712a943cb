"""The errors and warnings of the package, as values: they are copied, and sent to other processes."""

import copy
import inspect
import pickle

import pytest

from cashews import exceptions

FACTS = {
    "kind": "Point",
    "waited": 1.5,
    "limit": 3,
    "period": 60.0,
    "retry_after": 2.5,
    "errors_rate": 10.0,
    "seconds": 5.0,
    "prefixes": ("user",),
    "known": ("mem",),
    "doubt": exceptions.Doubt.PARTIAL,
}
COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda error: pickle.loads(pickle.dumps(error)),
    "old pickle": lambda error: pickle.loads(pickle.dumps(error, protocol=0)),
}


def every_kind():
    """Give the errors and warnings of the package."""
    for kind in vars(exceptions).values():
        if inspect.isclass(kind) and issubclass(kind, Exception) and kind.__module__ == exceptions.__name__:
            yield kind


def made(kind):
    """Make an error of some fact for each parameter of its class."""
    parameters = inspect.signature(kind).parameters.values() if "__init__" in vars(kind) else ()
    facts = [FACTS.get(one.name, one.name) for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]
    return kind(*facts or ["a sentence"])


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("kind", list(every_kind()), ids=lambda kind: kind.__name__)
def test_a_copy_of_an_error_says_the_same(kind, copied):
    """A pool of processes, and a parallel run of tests, hand errors on as pickles."""
    error = made(kind)
    error.__dict__["__notes__"] = ["a note"]
    twin = copied(error)
    assert type(twin) is kind
    assert twin is not error
    assert (str(twin), twin.args, vars(twin)) == (str(error), error.args, vars(error))
