"""The public HTTP cache suite: guarantee 33, as others measure it."""

from tests.http_suite.runner import build, cases_of_the_suite, play, score, shortfalls

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
