"""A small world around an HTTP cache: an origin that counts its calls, and clients that read to the end."""

import anyio

from cashews import Cache
from cashews.contrib.http.fields import Fields


def pairs_of(fields):
    """Return fields as ASGI has them; an underscore in a name is a hyphen."""
    return [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in fields.items()]


def scope_of(path, fields, *, method="GET", host="example.org", scheme="http"):
    """Return a request."""
    path, _, query = path.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": scheme,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(b"host", host.encode()), *pairs_of(fields)],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "extensions": {"http.response.early_hint": {}},
    }


class Answer:
    """The response that a client has got so far."""

    def __init__(self):
        self.status = 0
        self.fields = Fields()
        self.body = b""
        self.pieces = []
        self.other = []
        self.begun, self.whole, self.ended = anyio.Event(), anyio.Event(), anyio.Event()
        self.error = None

    def __getitem__(self, name):
        return self.fields.get(name)

    @property
    def told(self):
        """The last member of Cache-Status."""
        return (self["cache-status"] or "").rpartition("cashews; ")[2]


class Client:
    """Sends requests to an application."""

    def __init__(self, app, tasks=None):
        self.app = app
        self.tasks = tasks

    async def get(self, path="/", *, method="GET", host="example.org", scheme="http", extensions=None, **fields):
        """Send a request and return the answer when the application has returned."""
        answer = Answer()
        scope = scope_of(path, fields, method=method, host=host, scheme=scheme)
        if extensions is not None:
            scope["extensions"] = extensions
        await self._run(answer, scope)
        if answer.error is not None:
            raise answer.error
        return answer

    def start(self, path="/", *, method="GET", host="example.org", scheme="http", **fields):
        """Send a request in a task of its own."""
        answer = Answer()
        scope = scope_of(path, fields, method=method, host=host, scheme=scheme)
        self.tasks.start_soon(self._run, answer, scope)
        return answer

    async def _run(self, answer, scope):
        given = False

        async def receive():
            nonlocal given
            if given:
                await answer.whole.wait()
                return {"type": "http.disconnect"}
            given = True
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message):
            if message["type"] == "http.response.start":
                answer.status, answer.fields = message["status"], Fields(message["headers"])
                answer.begun.set()
            elif message["type"] == "http.response.body":
                answer.body += message.get("body", b"")
                answer.pieces.append(message.get("body", b""))
                length = answer["content-length"]
                if not message.get("more_body") or (length and len(answer.body) >= int(length)):
                    answer.whole.set()
            else:
                answer.other.append(message)

        try:
            assert await self.app(scope, receive, send) is None
        except Exception as error:  # noqa: BLE001  an application raises anything
            answer.error = error
        finally:
            answer.ended.set()
            answer.begun.set()
            answer.whole.set()


class Origin:
    """An application: every call takes a number, and answers with it unless a test says otherwise."""

    def __init__(self, status=200, body=None, **fields):
        self.status = status
        self.body = body
        self.fields = fields
        self.calls = 0
        self.requests = []
        self.methods = []
        self.scopes = []
        self.gate = None
        self.failing = None

    async def __call__(self, scope, receive, send):
        self.calls += 1
        number = self.calls
        self.scopes.append(scope)
        self.methods.append(scope["method"])
        self.requests.append(Fields(scope["headers"]))
        while (await receive()).get("more_body"):
            pass
        if self.gate is not None:
            await self.gate.wait()
        if self.failing is not None:
            raise self.failing
        body = b"%d" % number if self.body is None else self.body
        status = self.status
        if (etag := self.fields.get("etag")) and self.requests[number - 1].get("if-none-match") == etag:
            status, body = 304, b""
        await send({"type": "http.response.start", "status": status, "headers": pairs_of(self.fields)})
        await send({"type": "http.response.body", "body": body})


def memory(clock, **options):
    return Cache.open("mem://", clock=clock, **options)
