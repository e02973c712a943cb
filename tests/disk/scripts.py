"""What is written under load, who does what in which step, and what there must be after it: without any store."""

from cashews.keys.pattern import matcher

LONG = 10_000_000
"""A time to live that outlasts every test, whatever its clock says."""
COMMITTERS = tuple(f"committer{number}" for number in range(6))
WRITERS = tuple(f"writer{number}" for number in range(4))
READERS = tuple(f"reader{number}" for number in range(2))


def call(verb, *arguments, **options):
    """Return one call of a cache, or of what is expected of it."""
    return verb, arguments, options


def large(number):
    """Return a value that has a file of its own."""
    return b"%06d " % number * 6_000


def transaction(name, number):
    """Return what a committer does in a transaction: everything says the number."""
    if number % 5 == 0:
        yield call("delete_tags", f"{name}:tag")
    for key in whole(name)[:-2]:
        yield call("set", key, number)
    yield call("incr", f"{name}:counter")
    yield call("set", f"{name}:large", large(number))
    yield call("set_add", f"{name}:set", str(number))
    yield call("set_remove", f"{name}:set", str(number - 1))
    yield call(
        "set", f"{name}:tagged{number % 4}", number, expire=LONG, tags=(f"{name}:tag", f"{name}:tag{number % 2}")
    )
    yield call("expire", f"{name}:1", LONG)
    if number % 2:
        yield call("set", f"{name}:now and then", large(number))
    else:
        yield call("delete", f"{name}:now and then")


def whole(name):
    """Return the keys of a committer that say the same number at each instant."""
    return *(f"{name}:{number}" for number in range(4)), f"{name}:counter", f"{name}:large"


def number_of(value):
    """Return the number that a value of a committer says."""
    return int(value.split()[0]) if isinstance(value, bytes) else value


COMMANDS = (
    lambda name, number: call("set", f"{name}:plain", number),
    lambda name, number: call("set", f"{name}:tagged{number % 7}", number, tags=(f"{name}:tag", f"{name}:tag0")),
    lambda name, number: call("incr", f"{name}:counter", number),
    lambda name, number: call("set_many", {f"{name}:many{each}": number for each in range(6)}),
    lambda name, number: call("set", f"{name}:large", large(number)),
    lambda name, number: call("set", f"{name}:tagged{number % 7}", number, tags=(f"{name}:tag1",), expire=LONG),
    lambda name, number: call("set_add", f"{name}:set", str(number), str(-number)),
    lambda name, number: call("delete", f"{name}:plain" if number % 3 else f"{name}:large"),
    lambda name, number: call("set_many", {f"{name}:many{each}": large(number) for each in range(2)}, expire=LONG),
    lambda name, number: call("incr", f"{name}:counter", -number),
    lambda name, number: call("set_remove", f"{name}:set", str(number - 4)),
    lambda name, number: call("delete_tags", f"{name}:tag{number % 2}") if number % 3 else call("incr", f"{name}:rare"),
    lambda name, number: call("delete_match", f"{name}:many*") if number % 2 else call("incr", f"{name}:rare"),
)
"""What a writer does, one after the other."""


def script(name, number):
    """Return the calls of a step of somebody."""
    if "committer" in name:
        return list(transaction(name, number))
    return [COMMANDS[number % len(COMMANDS)](name, number)]


class Expected:
    """What a store holds of one name: values with their tags, and sets."""

    def __init__(self, held=()):
        self.held = dict(held)

    def after(self, calls):
        """Return what it holds after some calls."""
        then = Expected(self.held)
        for verb, arguments, options in calls:
            getattr(then, verb)(*arguments, **options)
        return then

    @property
    def tags(self):
        return {tag for _, tags in self.held.values() for tag in tags}

    def set(self, key, value, expire=None, tags=()):
        self.held[key] = value, tuple(tags)

    def set_many(self, pairs, expire=None):
        for key, value in pairs.items():
            self.set(key, value)

    def incr(self, key, value=1):
        self.set(key, self.held.get(key, (0,))[0] + value)

    def expire(self, key, timeout):
        pass

    def delete(self, key):
        self.held.pop(key, None)

    def delete_tags(self, *tags):
        for key in [key for key, (_, own) in self.held.items() if not set(tags).isdisjoint(own)]:
            del self.held[key]

    def delete_match(self, pattern):
        for key in filter(matcher(pattern), list(self.held)):
            del self.held[key]

    def set_add(self, key, *members):
        self.set(key, self.held.get(key, (frozenset(),))[0] | set(members))

    def set_remove(self, key, *members):
        left = self.held.get(key, (frozenset(),))[0] - set(members)
        if left:
            self.set(key, left)
        else:
            self.delete(key)
