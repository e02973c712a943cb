"""The scripts about locks: `set_lock`, `renew_lock`, `unlock`, `break_lock` and `lock_times`."""

from __future__ import annotations

import hiredis
import pytest

from tests.redis.scripts.conftest import FOR_EVER, LIVE, LONGER, SOON, evaluated, microseconds

pytestmark = pytest.mark.redis

LOCK, FENCE = b"l\xfflock", b"l\xfffence"
HOUR = 3_600_000


@pytest.mark.parametrize(("lease", "left"), [(SOON, LIVE), ("", FOR_EVER)])
def test_set_lock_takes_a_free_lock_for_a_lease(run, server, lease, left):
    assert run("set_lock", [LOCK, FENCE], "token", lease) > 0
    assert server.command("GET", LOCK) == b"token"
    assert server.command("PTTL", LOCK) in left


@pytest.mark.parametrize("token", ["token", "another"])
def test_set_lock_takes_no_lock_that_is_held_not_even_with_its_token(run, server, token):
    """Guarantee 14."""
    fence = run("set_lock", [LOCK, FENCE], "token", SOON)
    assert run("set_lock", [LOCK, FENCE], token, 10 * SOON) == -1
    assert server.command("GET", LOCK) == b"token"
    assert server.command("PTTL", LOCK) in LIVE
    assert int(server.command("GET", FENCE)) == fence


def test_set_lock_takes_a_lock_whose_lease_has_expired(run, server, expired):
    expired("SET", LOCK, "dead")
    assert run("set_lock", [LOCK, FENCE], "token", SOON) > 0
    assert server.command("GET", LOCK) == b"token"


def test_fencing_numbers_are_the_time_of_the_server_and_grow(run, server):
    before = microseconds(server)
    fences = [run("set_lock", [str(number), FENCE], "token", SOON) for number in range(5)]
    assert fences == sorted(set(fences))
    assert before <= fences[0]
    assert fences[-1] <= microseconds(server) + 5


def test_fencing_numbers_grow_although_the_clock_is_set_back(run, server):
    ahead = microseconds(server) + 10**12
    server.command("SET", FENCE, ahead)
    assert run("set_lock", [LOCK, FENCE], "token", SOON) == ahead + 1
    assert server.command("GET", FENCE) == str(ahead + 1).encode()


@pytest.mark.parametrize("lease", [SOON, ""])
def test_the_last_number_of_a_lock_lives_an_hour_longer_than_the_lock(run, server, lease):
    run("set_lock", [LOCK, FENCE], "token", lease)
    assert server.command("PTTL", FENCE) in (range(HOUR + 1, HOUR + SOON + 1) if lease else FOR_EVER)
    run("renew_lock", [LOCK, FENCE], "token", 10 * SOON)
    assert HOUR + SOON < server.command("PTTL", FENCE) <= HOUR + 10 * SOON
    run("unlock", [LOCK, FENCE], "another")
    assert server.command("PTTL", FENCE) > HOUR
    run("unlock", [LOCK, FENCE], "token")
    assert HOUR - SOON < server.command("PTTL", FENCE) <= HOUR


def test_renew_lock_gives_its_holder_another_lease_and_nobody_else(run, server, expired):
    run("set_lock", [LOCK, FENCE], "token", SOON)
    assert run("renew_lock", [LOCK, FENCE], "token", 10 * SOON) == 1
    assert server.command("PTTL", LOCK) in LONGER
    assert run("renew_lock", [LOCK, FENCE], "another", SOON) == 0
    assert server.command("PTTL", LOCK) in LONGER
    assert run("renew_lock", ["free", FENCE], "token", SOON) == 0
    expired("SET", "late", "token")
    assert run("renew_lock", ["late", FENCE], "token", SOON) == 0
    assert server.command("EXISTS", "free", "late") == 0


def test_unlock_releases_a_lock_and_tells_the_channel_of_its_name(run, server, listening):
    run("set_lock", [LOCK, FENCE], "token", SOON)
    with listening(LOCK) as messages:
        assert run("unlock", [LOCK, FENCE], "another") == 0
        assert messages() == []
        assert server.command("GET", LOCK) == b"token"
        assert run("unlock", [LOCK, FENCE], "token") == 1
        assert messages() == [b""]
        assert run("unlock", [LOCK, FENCE], "token") == 0
        assert messages() == []
    assert server.command("EXISTS", LOCK) == 0


def test_unlock_does_not_release_a_lock_whose_lease_has_expired(run, expired):
    expired("SET", LOCK, "token")
    assert run("unlock", [LOCK, FENCE], "token") == 0


def test_unlock_releases_a_lock_although_it_may_not_tell(own_server):
    with own_server() as server:
        server.command("SET", LOCK, "token")
        server.command("ACL", "SETUSER", "default", "-publish")
        assert evaluated(server, "unlock", [LOCK, FENCE], "token") == 1
        assert server.command("EXISTS", LOCK) == 0


def test_break_lock_frees_a_lock_whichever_token_holds_it_and_tells_the_channel(run, server, listening):
    run("set_lock", [LOCK, FENCE], "token", SOON)
    with listening(LOCK) as messages:
        assert run("break_lock", [LOCK, FENCE]) == 1
        assert messages() == [b""]
        assert run("break_lock", [LOCK, FENCE]) == 0
        assert messages() == []
    assert server.command("EXISTS", LOCK) == 0
    assert server.command("EXISTS", FENCE) == 1, "the numbers go on"


def test_break_lock_frees_a_lock_although_it_may_not_tell(own_server):
    with own_server() as server:
        server.command("SET", LOCK, "token")
        server.command("ACL", "SETUSER", "default", "-publish")
        assert evaluated(server, "break_lock", [LOCK, FENCE]) == 1
        assert server.command("EXISTS", LOCK) == 0


def test_lock_times_answers_the_milliseconds_of_each_lock(run, expired):
    run("set_lock", [LOCK, FENCE], "token", SOON)
    run("set_lock", [b"m\xfflock", b"m\xfffence"], "token", "")
    expired("SET", b"n\xfflock", "token")
    soon, for_ever, gone = run("lock_times", [LOCK, b"m\xfflock", b"n\xfflock"])
    assert soon in LIVE
    assert (for_ever, gone) == (-1, -2)
    assert run("lock_times", []) == []


def test_a_key_of_another_type_is_no_lock_and_cannot_be_taken(run, server):
    server.command("RPUSH", LOCK, "a")
    assert run("set_lock", [LOCK, FENCE], "token", SOON) == -1
    with pytest.raises(hiredis.ReplyError, match="WRONGTYPE"):
        run("renew_lock", [LOCK, FENCE], "token", SOON)
    with pytest.raises(hiredis.ReplyError, match="WRONGTYPE"):
        run("unlock", [LOCK, FENCE], "token")
    assert server.command("LLEN", LOCK) == 1
