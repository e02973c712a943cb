"""The public HTTP cache suite: guarantee 33, as others measure it."""

import pytest

from tests.http_suite.runner import build, cases_of_the_suite, play, score, shortfalls
from tests.servers import binaries

REQUIRED, OPTIMAL = 160, 105
LEFT_OUT = {
    "conditional-lm-fresh-no-lm",
    "method-POST",
    "partial-store-partial-complete",
    "partial-store-partial-reuse-partial",
    "partial-store-partial-reuse-partial-absent",
    "partial-store-partial-reuse-partial-byterange",
    "partial-store-partial-reuse-partial-suffix",
    "vary-normalise-lang-select",
}
"""Optimal cases that are not worth their cost: parts that are stored, POST for GET, and a choice among languages."""
PERSONAL = {"headers-store-Set-Cookie", "other-set-cookie"}
"""Cases that want a cookie to be stored, for all."""


@pytest.fixture(
    params=[
        "mem://",
        pytest.param("redis:", marks=pytest.mark.redis),
        pytest.param("disk:", marks=pytest.mark.diskcache),
    ]
)
def url(request, tmp_path):
    if request.param == "redis:":
        return request.getfixturevalue("empty")(next(iter(binaries()))).url
    return f"disk://?directory={tmp_path}" if request.param == "disk:" else request.param


def fallen_short(cases, results):
    return {line.split()[2] for line in shortfalls(cases, results)}


async def test_every_required_case_of_the_public_suite_passes(url):
    """Guarantee 33."""
    cases = cases_of_the_suite()
    results = await play(cases, url, build("rfc"))
    assert fallen_short(cases, results) == LEFT_OUT
    good = score(cases, results)
    assert (good["required"], good["optimal"]) == (REQUIRED, OPTIMAL - len(LEFT_OUT))


async def test_the_safe_profile_stores_no_cookies_and_passes_the_rest():
    """Guarantee 33."""
    cases = cases_of_the_suite()
    assert fallen_short(cases, await play(cases, "mem://", build("safe"))) == LEFT_OUT | PERSONAL
