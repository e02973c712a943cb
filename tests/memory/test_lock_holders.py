"""The holders of the locks of the memory store, and the collector, which may release a lock in any turn."""

from cashews.table.holders import FEW, LockHolders


class Releasing:
    """A holder that has another lock released as soon as somebody asks for its time."""

    token = "t"

    def __init__(self, release):
        self.release = release

    @property
    def until(self):
        self.release()
        return 5.0


def test_a_lock_that_is_released_meanwhile_stays_free():
    holders = LockHolders(1)
    for number in range(FEW + 1):
        holders.take(f"k{number}", "t", 1.0 if number % 2 else None, 0.0)
    holders.by_key["k0"] = Releasing(lambda: holders.by_key.pop("k1000", None))
    holders.throw_out_expired(2.0)
    assert "k1000" not in holders.by_key
    assert len(holders) == FEW // 2
    assert holders.is_held("k2", "t", 2.0)
