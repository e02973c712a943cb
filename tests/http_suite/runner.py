"""Runs the public HTTP cache suite against an ASGI cache: in process, in virtual time.

A case is a short conversation. Each of its steps says what the client sends, what the
origin answers, and what must then be true: that the answer came from the store, that a
request reached the origin and how, which fields arrived. The cache stands between the
two parties and knows nothing of the case. Time passes only where a case pauses.

    python -m tests.http_suite --url mem:// --loop trio --required 160 --optimal 97

The cases are those of https://github.com/http-tests/cache-tests at commit b55b8bd, as data and under their own licence,
which lies beside them. Where this runner differs from the suite's own: cases run one after the other; interim answers
are ASGI early hints, of which the status is judged; an origin that breaks off is an exception before the response; and
the client goes on at the last byte, not when the application returns.
"""

from __future__ import annotations

import gzip
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cache as remembered
from pathlib import Path
from typing import Any, TypeAlias
from uuid import uuid4

import anyio
from anyio.abc import TaskGroup

from cashews import Cache
from cashews.contrib.asgi import HTTPCache
from cashews.testing import VirtualClock

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]
Build: TypeAlias = Callable[[App, Cache, VirtualClock], App]
Serving: TypeAlias = Callable[[App], AbstractAsyncContextManager[App]]
Pairs: TypeAlias = list[tuple[str, str]]
Step: TypeAlias = dict[str, Any]
Case: TypeAlias = dict[str, Any]
Result: TypeAlias = "bool | list[str]"  # True, or what went wrong: the suite's own form

CASES = Path(__file__).with_name("cases.json.gz")
EPOCH = 1_800_000_000.25
PAUSE = 3  # seconds of virtual time, where a case says that the client pauses
PATIENCE = 5  # seconds of real time, after which a case counts as hanging
MAX_HANGING = 5  # cases, after which the others are not tried
HANGS = ["AbortError", f"no end in {PATIENCE} s"]
DATES = {"date", "expires", "last-modified", "if-modified-since", "if-unmodified-since"}
PLACES = {"location", "content-location"}
CONDITIONS = {"last-modified": "if-modified-since", "etag": "if-none-match"}
VALIDATED = {"lm_validated": "if-modified-since", "etag_validated": "if-none-match"}
BODILESS = {204, 304}
TOO_LATE = 999  # the origin's status where it had expected a condition
SENT_BESIDES = {"pragma": "foo", "cache-control": "nothing-to-see-here"}
SENT_UNLESS = {
    "host": "127.0.0.1",
    "accept": "*/*",
    "accept-language": "*",
    "user-agent": "http-suite",
}


class UnmetError(Exception):
    """An expectation that did not come true: of the case itself, or of its setup."""

    def __init__(self, setup: bool, reason: str) -> None:
        super().__init__(reason)
        self.name = "Setup" if setup else "Assertion"


class DisconnectedError(Exception):
    """The origin has gone away without an answer."""


class Fields(dict[str, str]):
    """Header fields by lower-case name; those of one name are joined by commas."""

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> Fields:
        fields = cls()
        for name, value in pairs:
            fields[name] = f"{fields[name]}, {value}" if name in fields else value
        return fields

    @classmethod
    def read(cls, raw: Iterable[tuple[bytes, bytes]]) -> Fields:
        latin = [(k.decode("latin-1"), v.decode("latin-1")) for k, v in raw]
        return cls.of((name.lower(), value) for name, value in latin)


def raw(pairs: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Return fields as ASGI has them."""
    return [(k.encode("latin-1"), v.encode("latin-1")) for k, v in pairs]


def spell(step: Step, name: str, value: str | int, now: float, url: str) -> str:
    """Return the text of a field: numbers in dates count from now, places are ours."""
    if name in DATES and isinstance(value, int):
        old = name in step.get("rfc850date", ())
        form = "%A, %d-%b-%y %H:%M:%S GMT" if old else "%a, %d %b %Y %H:%M:%S GMT"
        return time.strftime(form, time.gmtime(now + value))
    if name in PLACES and step.get("magic_locations"):
        return f"{url}/{value}" if value else url
    return str(value)


def listed(step: Step, member: str) -> Iterator[tuple[str, list[Any]]]:
    """Yield the fields that a step lists: the name, and what is said of the value."""
    for entry in step.get(member, ()):
        name, *rest = [entry] if isinstance(entry, str) else entry
        yield name.lower(), rest


# --- the origin


@dataclass
class Seen:
    """A request that came through, and the fields of its answer that must arrive."""

    number: int
    method: str
    fields: Fields
    answered: Fields = field(default_factory=Fields)


@dataclass
class Origin:
    """The application behind the cache: answers as the case has it, and remembers."""

    clock: VirtualClock
    steps: dict[str, list[Step]] = field(default_factory=dict)
    seen: dict[str, list[Seen]] = field(default_factory=dict)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        token = scope["path"].split("/")[2]
        fields = Fields.read(scope["headers"])
        number, seen = int(fields["req-num"]), self.seen[token]
        step = self.steps[token][number - 1]
        while (await receive()).get("more_body"):
            pass
        await self.clock.advance(step.get("response_pause", 0))
        if "http.response.early_hint" in scope.get("extensions", {}):
            for status, *headers in step.get("interim_responses", ()):
                await send(interim(status, headers[0] if headers else []))
        seen.append(Seen(number, scope["method"], fields))
        pairs = self._fields(step, scope, seen)
        if step.get("disconnect"):
            raise DisconnectedError
        status, body = self._status(token, seen[-1]), b""
        if status not in BODILESS:
            body = (step.get("response_body") or token).encode()
            body = body[: int(dict(pairs).get("content-length", len(body)))]
            if "content-length" not in dict(pairs):
                pairs.append(("content-length", str(len(body))))
        body = b"" if scope["method"] == "HEAD" else body
        start = {"status": status, "headers": raw(pairs)}
        await send({"type": "http.response.start", **start})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    def _status(self, token: str, request: Seen) -> int:
        step, before = self.steps[token][request.number - 1], request.number - 2
        if step.get("expected_type") not in VALIDATED:
            return int(step.get("response_status", [200])[0])
        for name, (value, *_) in listed(self.steps[token][before], "response_headers"):
            if value and request.fields.get(CONDITIONS.get(name, "")) == value:
                return 304
        return TOO_LATE

    def _fields(self, step: Step, scope: Message, seen: list[Seen]) -> Pairs:
        now, query = self.clock.wall(), scope["query_string"].decode()
        url = scope["path"] + (f"?{query}" if query else "")
        pairs = [
            ("server-base-url", url),
            ("server-request-count", str(len(seen))),
            ("client-request-count", str(seen[-1].number)),
            ("server-now", str(int(now * 1000))),
            ("request-numbers", " ".join(str(one.number) for one in seen)),
        ]
        for header in step.get("response_headers", ()):
            name = header[0].lower()
            header[1] = spell(step, name, header[1], now, url)  # a date is said once
            pairs.append((name, header[1]))
            if False not in header[2:]:
                seen[-1].answered[name] = Fields.of(pairs)[name]
        date = spell({}, "date", 0, now, url)
        usual = {"content-type": "text/plain", "date": date}
        return pairs + [pair for pair in usual.items() if pair[0] not in dict(pairs)]


def interim(status: int, headers: list[list[str]]) -> Message:
    """Return ASGI's message for an early hint; the status stands in it for the judge."""
    links = [value.encode() for name, value in headers if name == "link"]
    return {"type": "http.response.early_hint", "links": links, "status": status}


# --- the client


@dataclass
class Answer:
    """What the client got."""

    status: int = 0
    fields: Fields = field(default_factory=Fields)
    body: bytes = b""
    interim: list[int] = field(default_factory=list)

    def count(self) -> int:
        """Return how many requests the origin had seen; 0 if the answer hides it."""
        return int(self.fields.get("server-request-count", 0))


@dataclass
class Exchange:
    """One request to an app; the client goes on when it has the answer's last byte."""

    app: App
    scope: Message
    body: bytes
    answer: Answer = field(default_factory=Answer)
    whole: anyio.Event = field(default_factory=anyio.Event)
    ended: anyio.Event = field(default_factory=anyio.Event)
    error: Exception | None = None
    asked: bool = False

    async def run(self) -> None:
        try:
            await self.app(self.scope, self._receive, self._send)
        except Exception as error:  # noqa: BLE001  whatever an app raises is a finding
            if self.answer.status:
                self.error = error
            else:  # what a server makes of it
                self.answer = Answer(500, body=b"Internal Server Error")
        self.whole.set()
        self.ended.set()

    async def _receive(self) -> Message:
        if self.asked:
            await self.whole.wait()
            return {"type": "http.disconnect"}
        self.asked = True
        return {"type": "http.request", "body": self.body, "more_body": False}

    async def _send(self, message: Message) -> None:
        answer = self.answer
        if message["type"] == "http.response.early_hint":
            answer.interim.append(message["status"])
        elif message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.fields = Fields.read(message.get("headers", []))
        elif message["type"] == "http.response.body":
            answer.body += message.get("body", b"")
            if not message.get("more_body"):
                self.whole.set()


def scope_of(case: Case, number: int, token: str, before: Answer) -> Message:
    """Return the request of a step; dates in it count from the answer before."""
    step = case["requests"][number - 1]
    now = int(before.fields.get("server-now", 0)) / 1000
    pairs = list(SENT_BESIDES.items())
    for name, (value,) in listed(step, "request_headers"):
        pairs.append((name, spell(step, name, value, now, "").strip()))
    own = {"test-id": case["id"], "req-num": str(number)}
    fields = {**SENT_UNLESS, **Fields.of(pairs), **own}
    path = f"/test/{token}" + (f"/{step['filename']}" if "filename" in step else "")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": step.get("request_method", "GET"),
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": step.get("query_arg", "").encode(),
        "headers": raw(fields.items()),
        "client": ("127.0.0.1", 40000),
        "server": ("127.0.0.1", 80),
        "extensions": {"http.response.early_hint": {}},
    }


# --- the judge


@dataclass(frozen=True)
class Judge:
    """Holds one step of a case against what has happened."""

    step: Step
    number: int
    token: str

    def expect(self, member: str, true: bool, reason: str) -> None:
        """Raise UnmetError; of the setup is what the step says, and what has no member."""
        of_setup = ["", *self.step.get("setup_tests", ())]
        if not true:
            setup = self.step.get("setup") is True or member in of_setup
            raise UnmetError(setup, f"{self.number}: {reason}")

    def answer(self, answer: Answer) -> None:
        """Judge what the client got."""
        numbers = answer.fields.get("request-numbers", "").split()
        if len(set(numbers)) != len(numbers):
            raise UnmetError(True, "retry")
        self._source(answer)
        self._status(answer.status)
        self._present(answer.fields)
        self._absent("expected_response_headers_missing", answer.fields)
        if (wanted := self.step.get("expected_interim_responses")) is not None:
            same = [status for status, *_ in wanted] == answer.interim
            why = f"interim answers are {answer.interim}, not {wanted}"
            self.expect("expected_interim_responses", same, why)
        self._body(answer)

    def _source(self, answer: Answer) -> None:
        kind, count = self.step.get("expected_type"), answer.count()
        if kind == "cached" and (count or answer.status != 304):
            self.expect("expected_type", 0 < count < self.number, "not from the cache")
        if kind == "not_cached":
            self.expect("expected_type", count == self.number, "from the cache")

    def _status(self, status: int) -> None:
        member, wanted = "expected_type" if status == TOO_LATE else "", 200
        if "response_status" in self.step:
            member, wanted = "", self.step["response_status"][0]
        if "expected_status" in self.step:
            member, wanted = "expected_status", self.step["expected_status"] or status
        self.expect(member, status == wanted, f"the status is {status}, not {wanted}")

    def _present(self, fields: Fields) -> None:
        member, url = "expected_response_headers", fields.get("server-base-url", "")
        now = int(fields.get("server-now", 0)) / 1000
        for name, said in listed(self.step, member):
            value = fields.get(name)
            true = value is not None
            if true and said[:1] == [">"]:
                true = int(value or 0) > said[1]
            elif true and said:
                true = value == spell(self.step, name, said[0], now, url)
            self.expect(member, true, f"{name} is {value!r}, expected {said}")

    def _absent(self, member: str, fields: Fields) -> None:
        for name, said in listed(self.step, member):
            value = fields.get(name)
            gone = value is None or (bool(said) and said[0] not in value)
            self.expect(member, gone, f"{name} is there: {value!r}")

    def _body(self, answer: Answer) -> None:
        step, member, text = self.step, "", answer.body.decode("latin-1")
        wanted = step.get("response_body")
        if wanted is None and step.get("request_method") != "HEAD":
            wanted = None if answer.status in BODILESS else self.token
        if "expected_response_text" in step:
            member, wanted = "expected_response_text", step["expected_response_text"]
        if wanted is not None and step.get("check_body") is not False:
            self.expect(member, text == wanted, f"the body is {text!r}, not {wanted!r}")

    def request(self, seen: Seen | None, answer: Answer) -> None:
        """Judge what the origin got, in a step that the cache need not have answered."""
        kind = self.step.get("expected_type", "")
        fields = seen.fields if seen else Fields()
        if kind == "not_cached":
            own = seen is not None and seen.number == self.number
            self.expect("expected_type", own, "from the cache")
        if (condition := VALIDATED.get(kind)) is not None:
            why = f"no {condition} came to the origin"
            self.expect("expected_type", condition in fields, why)
        for name, said in listed(self.step, "expected_request_headers"):
            value = fields.get(name)
            true = value is not None and said in ([], [value])
            why = f"the origin got {name}: {value!r}, expected {said}"
            self.expect("expected_request_headers", true, why)
        self._absent("expected_request_headers_missing", fields)
        for name, value in (seen.answered if seen else Fields()).items():
            got = answer.fields.get(name)
            why = f"{name} arrived as {got!r}, not {value!r}"
            self.expect("", name == "date" or got == value, why)
        if (method := self.step.get("expected_method")) is not None:
            true = seen is not None and seen.method == method
            self.expect("expected_method", true, f"the origin got no {method}")


# --- a run


@dataclass
class Run:
    """All cases, one after the other, through one cache."""

    app: App
    origin: Origin
    clock: VirtualClock
    tasks: TaskGroup
    cache: Cache

    async def result(self, case: Case) -> Result:
        """Play a case; return True or why not."""
        try:
            with anyio.fail_after(PATIENCE):
                await self._play(json.loads(json.dumps(case)))  # dates are written in
        except UnmetError as unmet:
            return [unmet.name, str(unmet)]
        except TimeoutError:
            return HANGS
        except Exception as error:  # noqa: BLE001  likewise
            return [type(error).__name__, str(error)]
        return True

    async def _play(self, case: Case) -> None:
        token, steps = str(uuid4()), case["requests"]
        self.origin.steps[token] = steps
        seen = self.origin.seen[token] = []
        judges = [Judge(step, number, token) for number, step in enumerate(steps, 1)]
        exchanges: list[Exchange] = []
        for judge in judges:
            before = exchanges[-1].answer if exchanges else Answer()
            scope = scope_of(case, judge.number, token, before)
            body = (judge.step.get("request_body") or "").encode()
            exchanges.append(Exchange(self.app, scope, body))
            self.tasks.start_soon(exchanges[-1].run)
            await exchanges[-1].whole.wait()
            if exchanges[-1].error is None:
                judge.answer(exchanges[-1].answer)
            await self._rest(PAUSE if judge.step.get("pause_after") else 0)
        requests = iter(seen)
        for judge, exchange in zip(judges, exchanges, strict=True):
            await exchange.ended.wait()
            if exchange.error is not None:  # after the answer had begun
                raise exchange.error
            if judge.step.get("expected_type") != "cached":
                judge.request(next(requests, None), exchange.answer)

    async def _rest(self, seconds: float) -> None:
        """Let what goes on behind the answer end, and then let time pass."""
        await self.clock.settle()
        while self.cache.statistics().refreshes["pending"]:  # they wait for a store in another process
            await self.clock.settle()
        await self.clock.advance(seconds)


async def play(cases: list[Case], url: str, build: Build, serving: Serving = nullcontext) -> dict[str, Result]:
    """Play all cases on a cache of this URL, which is emptied before and after.

    `serving` puts a server before the cache.
    """
    clock = VirtualClock(epoch=EPOCH)
    results: dict[str, Result] = {}
    async with Cache.open(url, clock=clock) as cache:
        await cache.clear()
        origin = Origin(clock)
        async with serving(build(origin, cache, clock)) as app, anyio.create_task_group() as tasks:
            run = Run(app, origin, clock, tasks, cache)
            for case in cases:
                if sum(result == HANGS for result in results.values()) < MAX_HANGING:
                    results[case["id"]] = await run.result(case)
            tasks.cancel_scope.cancel()
        await cache.clear()
    return results


# --- the score


def verdicts(cases: list[Case], results: dict[str, Result]) -> dict[str, str]:
    """Return each case's verdict; one counts only where all that it depends on do."""
    by_id = {case["id"]: case for case in cases}

    @remembered
    def verdict(ident: str) -> str:
        case, result = by_id[ident], results.get(ident)
        kind = case.get("kind", "required")
        if result is None:
            return "untested"
        if any(verdict(i) not in ("pass", "yes") for i in case.get("depends_on", ())):
            return "dependency_fail"
        if result is True:
            return "yes" if kind == "check" else "pass"
        name, reason = result if isinstance(result, list) else ("AbortError", "")
        if name == "Setup":
            return "retry" if reason == "retry" else "setup_fail"
        if name == "AbortError":
            return "harness_fail"
        return {"optimal": "optional_fail", "check": "no"}.get(kind, "fail")

    return {ident: verdict(ident) for ident in by_id}


def score(cases: list[Case], results: dict[str, Result]) -> Counter[str]:
    """Return how many cases of each kind pass."""
    found = verdicts(cases, results)
    return Counter(kind_of(case) for case in cases if found[case["id"]] in {"pass", "yes"})


def shortfalls(cases: list[Case], results: dict[str, Result]) -> Iterator[str]:
    """Give a line for each case that falls short, with the reason."""
    found = verdicts(cases, results)
    for case in cases:
        ident, kind, result = case["id"], kind_of(case), results.get(case["id"])
        if kind != "check" and found[ident] != "pass":
            reason = ": ".join(result) if isinstance(result, list) else ""
            yield f"{kind:8} {found[ident]:15} {ident:44} {reason}"


def kind_of(case: Case) -> str:
    return str(case.get("kind", "required"))


def cases_of_the_suite() -> list[Case]:
    """Return the cases, but for those that are about browsers alone."""
    with gzip.open(CASES) as file:
        cases = [case for group in json.load(file) for case in group["tests"]]
    return [case for case in cases if not case.get("browser_only")]


def build(profile: str) -> Build:
    """Return the function that puts the cache before the origin."""

    def http_cache(app: App, cache: Cache, _: VirtualClock) -> App:
        options = {"trust_requests": profile == "rfc", "stale_if_error": 3600}
        return HTTPCache(app, cache, profile=profile, targets=("cdn-cache-control",), **options)

    return http_cache
