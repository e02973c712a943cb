"""A worker process, and the conversation with it: one JSON object for each line."""

from __future__ import annotations

import json
import subprocess
import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import IO, Any

from .environments import HERE, Environment
from .progress import show

PATIENCE_SECONDS = 300.0
CLOSE_SECONDS = 5.0


class WorkerError(Exception):
    """A worker says that something went wrong, or says nothing any more."""


class Worker:
    """A process that answers; `errors` is the file that its standard error goes to."""

    def __init__(self, process: subprocess.Popen[str], errors: IO[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._requests = process.stdin
        self._answers = process.stdout
        self._errors = errors

    def ask(self, **request: object) -> dict[str, Any]:
        """Say what is wanted and return the answer.

        :raises WorkerError: if there is no answer, or the answer is an error
        """
        try:
            self._requests.write(json.dumps(request) + "\n")
            self._requests.flush()
        except OSError:
            raise WorkerError(self._last_words()) from None
        return self.answer()

    def answer(self) -> dict[str, Any]:
        """Return what the worker answers, showing its progress on the way.

        :raises WorkerError: if there is no answer, or the answer is an error
        """
        while "progress" in (answer := self._next_line()):
            show(f"  {answer['progress']}")
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def _next_line(self) -> dict[str, Any]:
        patience = threading.Timer(PATIENCE_SECONDS, self._process.kill)
        patience.daemon = True
        patience.start()
        try:
            line = self._answers.readline()
        finally:
            patience.cancel()
        if not line:
            raise WorkerError(self._last_words())
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _last_words(self) -> str:
        self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        return lines[-1] if lines else f"ended with status {self._process.returncode}, without an answer"


@contextmanager
def worker(environment: Environment, script: str, *arguments: str) -> Generator[Worker]:
    """Run a script of `workers/` in an environment; when the block ends, so does the process, one way or another."""
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors,
        subprocess.Popen(
            [str(environment.python), str(HERE / "workers" / script), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment.variables(),
            text=True,
            encoding="utf-8",
        ) as process,
    ):
        try:
            yield Worker(process, errors)
            process.communicate(timeout=CLOSE_SECONDS)  # hanging up is what tells a worker to end
        except subprocess.TimeoutExpired:
            show(f"{script} {' '.join(arguments)} does not end; killing it")
        finally:
            process.kill()


def run_script(environment: Environment, script: str, *arguments: str) -> dict[str, Any]:
    """Run a script that answers once, and return its answer.

    :raises WorkerError: if there is no answer, or the answer is an error
    """
    with worker(environment, script, *arguments) as process:
        return process.answer()
