"""The blocking face in frameworks of plain functions (guarantee 30)."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import gunicorn
import httpx
import pytest
from django import conf
from django.http import JsonResponse
from django.test import Client
from django.urls import path
from flask import Flask

from cashews import Cache

ROOT = Path(__file__).parents[2]
PATIENCE = 60
"""Seconds after which a process that does not end is a failure."""


@pytest.fixture
def cache():
    cache = Cache("shop")
    cache.setup("mem://")
    yield cache
    cache.blocking.close()


@pytest.fixture
def price(cache):
    @cache.blocking(ttl="1m", key="price:{item}")
    def price(item):
        price.runs += 1
        return len(item)

    price.runs = 0
    return price


def test_the_client_of_flask(price, portals):
    app = Flask("shop")

    @app.get("/price/<item>")
    def show(item):
        return {"price": price(item)}

    client = app.test_client()
    assert [client.get("/price/tea").json for _ in range(3)] == [{"price": 3}] * 3
    assert price.runs == 1
    assert len(portals()) == 1, "requests share one event loop"


def test_the_client_of_django(price, portals):
    def show(_, item):
        return JsonResponse({"price": price(item)})

    conf.settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=(path("price/<str:item>", show),))
    client = Client()
    assert [client.get("/price/tea").json() for _ in range(3)] == [{"price": 3}] * 3
    assert price.runs == 1
    assert len(portals()) == 1, "requests share one event loop"


APP = """
import os
from cashews import Cache
from flask import Flask

cache = Cache("shop")
cache.setup("mem://")
app = Flask("shop")


@cache.blocking(ttl="1m", key="{name}")
def process(name):
    return os.getpid()


process("born in")  # the master begins an event loop of the cache's own before it forks


@app.get("/")
def show():
    return [os.getpid(), process("born in"), process("works in"), process("works in")]
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
def test_workers_that_gunicorn_forks_have_loops_of_their_own(tmp_path):
    """Guarantee 28: the master and its workers end at once."""
    tmp_path.joinpath("shop.py").write_text(APP, encoding="utf-8")
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        options = [
            "--preload",
            "--workers=2",
            "--threads=2",
            f"--bind=fd://{listening.fileno()}",
        ]
        master = subprocess.Popen(
            [sys.executable, "-m", gunicorn.__name__, *options, "shop:app"],
            cwd=tmp_path,
            env={**os.environ, "HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path[1:]])},
            pass_fds=[listening.fileno()],
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            address = f"http://127.0.0.1:{listening.getsockname()[1]}/"
            answers = [httpx.get(address, timeout=PATIENCE).json() for _ in range(20)]
        finally:
            master.terminate()
            _, said = master.communicate(timeout=PATIENCE)
    assert master.returncode == 0, said
    for worker, born, first, second in answers:
        assert worker != born == master.pid
        assert first == second == worker
    assert "Traceback" not in said
