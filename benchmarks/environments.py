"""The virtual environments of the peers: made on first use, made again when their pins or the interpreter change.

The original has the import name of this library, and so an environment of its own. This library is never installed: it
is imported from the working tree, in the environment of the peers, which has the anyio and trio that it needs.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .progress import show

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
VENVS = HERE / ".venv"


class EnvironmentFailedError(Exception):
    """A virtual environment could not be made."""

    def __init__(self, command: Sequence[str], output: str) -> None:
        super().__init__(f"{' '.join(command)} failed:\n{output}")


@dataclass(frozen=True)
class Environment:
    """An interpreter, and what is added to its path."""

    python: Path
    path: str = ""

    def variables(self) -> dict[str, str]:
        """Return the environment variables of a worker: the caller's, but for those that tell Python where to look."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        return {**inherited, "PYTHONPATH": self.path} if self.path else inherited


def prepare() -> dict[str, Environment]:
    """Return the environments by name, after making those that are missing or out of date.

    :raises EnvironmentFailedError: if a package cannot be installed
    """
    peers = Environment(_venv("peers"))
    originals = {name: Environment(_venv(name)) for name in ("original", "original-near")}
    return {"peers": peers, "ours": Environment(peers.python, str(ROOT)), **originals}


def _venv(name: str) -> Path:
    requirements = HERE / f"requirements-{name}.txt"
    folder = VENVS / name
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = folder / "made-for.txt"
    wanted = hashlib.sha256(f"{sys.version} {sys.prefix}".encode() + requirements.read_bytes()).hexdigest()
    if not (python.exists() and stamp.exists() and stamp.read_text(encoding="ascii") == wanted):
        show(f"making the environment {name!r} with {', '.join(requirements.read_text(encoding='utf-8').split())}")
        _run(sys.executable, "-m", "venv", "--clear", str(folder))
        _run(str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "-r", str(requirements))
        (VENVS / ".gitignore").write_text("*\n", encoding="ascii")
        stamp.write_text(wanted, encoding="ascii")
    return python


def _run(*command: str) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise EnvironmentFailedError(command, done.stdout)
