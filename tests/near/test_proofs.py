"""The proofs of `tests.near.proofs`, each for a moment; how long anything takes is judged by its command alone."""

import pytest

from tests.near.proofs import PROOFS, own_server
from tests.servers import binaries

pytestmark = pytest.mark.redis


@pytest.fixture(params=binaries() or ["none"], scope="module")
def own(request):
    with own_server(binaries()[request.param]) as server:
        yield server


@pytest.mark.parametrize("proof", PROOFS, ids=lambda proof: proof.__name__)
async def test_nothing_goes_wrong(own, proof):
    """Guarantees 10, 15, 16, 25, 31."""
    own.command("FLUSHALL")
    rounds, _ = PROOFS[proof]
    outcome = await proof(own, rounds)
    assert outcome.wrong == 0, str(outcome)
    assert outcome.done >= rounds
