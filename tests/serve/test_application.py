"""A file of routes is one function; everything that all requests share comes with it."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from starlette.responses import JSONResponse
from starlette.routing import Route

from voxarium.errors import Code, FormatError, InputError, NotFoundError, UnsupportedError
from voxarium.serve.application import MOUNTS, Application
from voxarium.serve.roots import open_roots
from voxarium.serve.site import Mount, Settings, Site


def asked(application, path, method="GET", headers=(), bodies=(b"",)):
    """Return status, headers and body of an answer, without any server between."""
    scope = {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b"",
        "scheme": "http",
        "headers": list(headers), "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "state": {}, "root_path": "",
    }  # fmt: skip
    parts, sent = list(bodies), []

    async def receive():
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def send(message):
        sent.append(message)

    asyncio.run(application(scope, receive, send))
    found = {k.decode().lower(): v.decode() for k, v in sent[0]["headers"]}
    return sent[0]["status"], found, b"".join(m.get("body", b"") for m in sent[1:])


@pytest.fixture
def site(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((3, 4, 5), np.uint8))
    site = Site(open_roots([f"em={tmp_path}"]), Settings(most_body=10))
    yield site
    site.close()


def shapes(site):
    async def shape(request):
        found = await site.run(site.catalogue.find, request.path_params["address"])
        return JSONResponse({"shape": found.image.shape, "rest": found.rest})

    async def fast(scope, receive, send):
        body = (await receive())["body"] if scope["method"] == "POST" else b"fast"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})

    return Mount(name="shapes", bare={"fast": fast}, routes=[Route("/shape/{address:path}", shape)])


def test_routes_are_added_by_a_function(site):
    application = Application(site, mounts=(*MOUNTS, shapes))
    status, headers, body = asked(application, "/shape/em/a.npy/x/y")
    assert (status, body) == (200, b'{"shape":[3,4,5],"rest":"x/y"}')
    assert headers["access-control-allow-origin"] == "*"
    status, headers, body = asked(application, "/fast/anything")
    assert (status, body) == (200, b"fast") and headers["x-content-type-options"] == "nosniff"
    assert asked(application, "/shape/em/nothing")[0] == 404
    assert asked(application, "/raw/em/a.npy")[0] == 200
    text = site.metrics.text()
    assert (
        'route="shapes",method="GET",status="200"} 2' in text and 'route="shapes",method="GET",status="404"} 1' in text
    )


def test_bodies_that_do_not_say_how_large_they_are_are_cut_off(site):
    application = Application(site, mounts=(shapes,))
    assert asked(application, "/fast/x", "POST", bodies=(b"12345",))[2] == b"12345"
    assert asked(application, "/fast/x", "POST", bodies=(b"12345678901",))[0] == 413
    assert asked(application, "/fast/x", "POST", [(b"content-length", b"11")])[0] == 413
    assert asked(application, "/fast/x", "POST", [(b"content-length", b"-1")])[0] == 413


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotFoundError("secret", code=Code.PATH_MISSING, fix="secret"), 404),
        (InputError("secret", code=Code.ARGUMENT_INVALID, fix="secret"), 400),
        (UnsupportedError("secret", code=Code.FEATURE_UNSUPPORTED, fix="secret"), 501),
        (FormatError("secret", code=Code.CHUNK_CORRUPT, fix="secret"), 500),
        (ZeroDivisionError("secret"), 500),
    ],
)
def test_errors_become_answers_that_tell_nothing_of_the_inside(site, error, status):
    async def failing(scope, receive, send):
        raise error

    application = Application(site, mounts=(lambda _: Mount(name="x", bare={"x": failing}),))
    found, headers, body = asked(application, "/x")
    assert found == status and b"secret" not in body and headers["access-control-allow-origin"] == "*"


def test_an_answer_that_breaks_off_is_not_completed(site):
    async def failing(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ZeroDivisionError

    application = Application(site, mounts=(lambda _: Mount(name="x", bare={"x": failing}),))
    with pytest.raises(ZeroDivisionError):
        asked(application, "/x")
    assert site.metrics.in_flight == 0
