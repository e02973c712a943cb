"""The public HTTP cache suite over sockets: what a server lets through of guarantee 33."""

import pytest

from tests.http_suite.runner import build, cases_of_the_suite, play, score
from tests.http_suite.test_suite import LEFT_OUT, OPTIMAL, REQUIRED, fallen_short
from tests.http_suite.wire import behind_uvicorn

pytestmark = pytest.mark.integration

WITHHELD_REQUIRED = {"headers-store-Transfer-Encoding", "interim-not-cached"}
WITHHELD = WITHHELD_REQUIRED | {"interim-102", "interim-103", "interim-no-header-reuse"}
"""Cases that need an interim response, or a transfer coding of the application's own: uvicorn sends neither."""


async def test_over_the_wire_all_cases_pass_that_the_server_lets_through():
    """Guarantee 33."""
    cases = cases_of_the_suite()
    results = await play(cases, "mem://", build("rfc"), behind_uvicorn)
    assert fallen_short(cases, results) == LEFT_OUT | WITHHELD
    good = score(cases, results)
    assert good["required"] == REQUIRED - len(WITHHELD_REQUIRED)
    assert good["optimal"] == OPTIMAL - len(LEFT_OUT) - len(WITHHELD - WITHHELD_REQUIRED)
