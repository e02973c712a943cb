"""URLs with sentinels, and the messages by which they tell of a new master."""

import pytest

from cashews import Cache
from cashews.backends.redis.address import Address
from cashews.backends.redis.sentinels import _leaves
from cashews.exceptions import WrongOptionError
from tests.internals import inside

URL = "redis+sentinel://"


def directory_of(url, **options):
    (connection,) = inside(Cache.open(url, **options)).connections
    return connection._directory


@pytest.mark.parametrize(
    ("hosts", "places"),
    [
        ("one", [("one", 26379)]),
        ("one:1,two,three:3", [("one", 1), ("two", 26379), ("three", 3)]),
        ("[::1]:1,[2001:db8::2],h:3", [("::1", 1), ("2001:db8::2", 26379), ("h", 3)]),
        ("me:word@one,two", [("one", 26379), ("two", 26379)]),
        ("0.0.0.0:1", [("127.0.0.1", 1)]),
    ],
)
def test_a_url_lists_sentinels(hosts, places):
    directory = directory_of(f"{URL}{hosts}/service/2?socket_timeout=3")
    assert [(each.host, each.port) for each in directory._places] == places
    assert directory._service == "service"
    assert directory._master.db == 2
    assert directory._master.is_master


def test_credentials_of_the_url_are_the_masters():
    url = f"{URL}me:pass%2Fw%40rd@one/my%20service"
    directory = directory_of(url, sentinel_username="guest", sentinel_password="quiet")
    assert (directory._master.username, directory._master.password) == ("me", "pass/w@rd")
    assert [(each.username, each.password) for each in directory._places] == [("guest", "quiet")]
    assert directory._service == "my service"
    assert "pass" not in repr(directory._master) + repr(directory._places) + str(directory)
    assert "quiet" not in repr(directory._places)
    assert directory_of(f"{URL}me:old@one/service", password="new", db=3)._master == Address(
        db=3, username="me", password="new", is_master=True
    )


def test_tls_is_for_sentinels_and_for_the_master():
    directory = directory_of("rediss+sentinel://one,two/service")
    assert all(each.tls is not None for each in (*directory._places, directory._master))


@pytest.mark.parametrize(
    "rest",
    ["", "/service", "one", "one/", "one/service/x", "one,/service", "one:x/service", "[::1/service", "a:b:c/service"],
)
def test_a_wrong_url_is_an_error_that_shows_the_form_and_nothing_of_the_url(rest):
    with pytest.raises(WrongOptionError, match="user:password@host1:26379,host2:26379/service/0") as refused:
        Cache.open(f"{URL}me:secret@{rest}" if rest else URL)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("push", "leaves"),
    [
        ([b"message", b"+switch-master", b"service h 1 h 2"], True),
        ([b"message", b"+switch-master", b"service h 2 h 1"], False),
        ([b"message", b"+switch-master", b"service h 1 other 1"], True),
        ([b"message", b"+switch-master", b"another h 1 h 2"], False),
        ([b"subscribe", b"+switch-master", 1], False),
    ],
)
def test_a_master_is_left_when_another_takes_its_place(push, leaves):
    assert _leaves(push, "service", Address("h", 1)) is leaves
