"""The tutorials' programs in `examples/` run as the tutorials say."""

import hashlib
import os
import shutil
import subprocess
import sys
from contextlib import asynccontextmanager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


def program(name):
    """Return a program as a fresh module."""
    spec = spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def python(*arguments, cwd):
    """Run Python as a user does, in another folder, and return the lines that it prints."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-W", "error", *map(str, arguments)]
    done = subprocess.run(
        command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    return done.stdout.splitlines()


def test_every_program_belongs_to_a_tutorial():
    tutorials = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs" / "tutorials").glob("*.md"))
    assert [path.name for path in EXAMPLES.glob("*.py") if f"examples/{path.name}" not in tutorials] == []


@asynccontextmanager
async def client_of(app):
    """Run an application in process, and give a client of it."""
    import httpx  # noqa: PLC0415  not everywhere where the other tests of this file run

    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://shop") as client,
    ):
        yield client


@pytest.mark.integration
class TestTheFastAPIService:
    @pytest.fixture
    async def service(self):
        return program("fastapi_service")

    @pytest.fixture
    async def client(self, service):
        async with client_of(service.app) as client:
            yield client

    async def test_a_product_is_read_from_the_database_once(self, client, service):
        first, second = await client.get("/products/1"), await client.get("/products/1")
        assert first.json() == second.json() == {"number": 1, "name": "cashew"}
        assert [each.headers["X-From-Cache"] for each in (first, second)] == ["nothing", "product:1"]
        assert service.database.queries == 1

    async def test_a_product_that_is_not_there_is_asked_for_again(self, client, service):
        answers = [await client.get("/products/9") for _ in range(2)]
        assert [answer.status_code for answer in answers] == [404, 404]
        assert service.database.queries == 2

    async def test_a_change_is_seen_at_once(self, client):
        await client.get("/products/1")
        await client.put("/products/1", params={"name": "kaju"})
        assert (await client.get("/products/1")).json()["name"] == "kaju"

    async def test_all_products_go_by_their_tag(self, client, service):
        for number in (1, 2, 3):
            await client.get(f"/products/{number}")
        assert (await client.delete("/products/cache")).status_code == 204
        await client.get("/products/3")
        assert service.database.queries == 4

    async def test_the_fourth_try_to_log_in_is_refused(self, client):
        answers = [await client.post("/login", params={"password": "nuts"}) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert answers[0].json() == {"welcome": True}


@pytest.mark.diskcache
@pytest.mark.integration
def test_the_script_reads_a_file_once(tmp_path):
    (tmp_path / "a").write_bytes(b"nuts")
    (tmp_path / "b").write_bytes(b"more nuts")
    arguments = (EXAMPLES / "checksums.py", "--directory", tmp_path / "cache", "a", "b")
    first, second = python(*arguments, cwd=tmp_path), python(*arguments, cwd=tmp_path)
    assert first[:2] == second[:2]
    assert first[0] == f"{hashlib.sha256(b'nuts').hexdigest()} a"
    assert (first[2], second[2]) == ("2 of 2 files were read", "0 of 2 files were read")
    (tmp_path / "a").write_bytes(b"other nuts")
    assert python(*arguments, cwd=tmp_path)[2] == "1 of 2 files were read"


@pytest.mark.integration
def test_the_tests_of_ones_own_pass(tmp_path, anyio_backend):
    for name in ("quotes.py", "test_quotes.py"):
        shutil.copy(EXAMPLES / name, tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    printed = python("-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", anyio_backend, cwd=tmp_path)
    assert printed[-1].startswith("4 passed")


@pytest.mark.integration
class TestTheHTTPCache:
    @pytest.fixture
    async def service(self):
        return program("http_cache")

    @pytest.fixture
    async def client(self, service):
        async with client_of(service.app) as client:
            yield client

    async def test_a_book_is_read_once_and_its_change_is_seen_at_once(self, client, service):
        answers = [await client.get("/books/1") for _ in range(2)]
        assert {answer.json()["title"] for answer in answers} == {"Oranges"}
        assert answers[0].headers["cache-status"] == "catalogue; fwd=uri-miss; fwd-status=200; ttl=60; stored"
        assert answers[1].headers["cache-status"].startswith("catalogue; hit; ttl=")
        assert service.queries == [1]
        await client.put("/books/1", json={"title": "Almonds"})
        assert (await client.get("/books/1")).json()["title"] == "Almonds"

    async def test_a_soft_purge_serves_once_more(self, client, service):
        await client.get("/books/2")
        service.books[2] = "Pecans"
        assert (await client.post("/books/reprint")).status_code == 204
        assert (await client.get("/books/2")).json()["title"] == "Walnuts"

    async def test_a_basket_is_nobody_elses(self, client):
        answers = [await client.get("/basket") for _ in range(2)]
        assert ["hit" in answer.headers["cache-status"] for answer in answers] == [False, False]

    async def test_an_export_streams_and_is_stored(self, client, service):
        answers = [(await client.get("/export")).text for _ in range(2)]
        assert answers == ["1 Oranges\n2 Walnuts\n"] * 2
        assert service.queries == [0]
