"""Signing in: with a token, and at a provider of OpenID Connect that is a real server of this machine."""

from __future__ import annotations

import re
import time
from http.cookies import SimpleCookie
from urllib.parse import parse_qs, quote, urlsplit

import numpy as np
import pytest

from voxarium.errors import InputError
from voxarium.serve.access_file import parse_grant, read_access_file
from voxarium.serve.account import local_path

pytest.importorskip("sqlalchemy", reason="SQLAlchemy is not installed")

PATH = "/raw/lab/x.npy"
ACCESS = """
default = "private"

[datasets]
"lab/open.npy" = "public"

[users]
"ada@example.org" = ["read:lab/x.npy"]
"sub:bob-2" = ["read:lab/x.npy"]

[groups]
"emlab" = ["annotate:lab/y.npy"]

[oidc]
issuer = "{issuer}"
client_id = "voxarium"
client_secret_file = "oidc-secret"
name = "Example & Sons"
"""


@pytest.fixture
def folder(tmp_path):
    lab = tmp_path / "lab"
    lab.mkdir()
    for name in ("x.npy", "y.npy", "open.npy"):
        np.save(lab / name, np.zeros((2, 3, 4), np.uint8))
    return lab


@pytest.fixture
def database(tmp_path):
    from voxarium.serve.database import open_database

    found = open_database(str(tmp_path / "server.db"))
    yield found
    found.close()


@pytest.fixture
def token(database):
    from voxarium.serve.database.tokens import create_token

    return create_token(database, "Ada", [("read", "lab")])[0]


class Browser:
    """Keeps cookies, says which page sends a form, and follows redirects of its server."""

    def __init__(self, client):
        self.client = client
        self.cookies = {}

    def request(self, path, method="GET", headers=None, body=None):
        path = path.removeprefix(self.client.url)
        headers = {"accept": "text/html", **(headers or {})}
        if self.cookies:
            headers["cookie"] = "; ".join(f"{k}={v.value}" for k, v in self.cookies.items())
        answer = self.client.request(path, method, headers, body)
        for name, value in answer.getheaders():
            if name.lower() == "set-cookie":
                for key, morsel in SimpleCookie(value).items():
                    if morsel["max-age"] == "0" or not morsel.value:
                        self.cookies.pop(key, None)
                    else:
                        self.cookies[key] = morsel
        return answer

    def post(self, path, form, **headers):
        body = "&".join(f"{k}={quote(v, safe='')}" for k, v in form.items()).encode()
        kind = {"content-type": "application/x-www-form-urlencoded", "origin": self.client.url, **headers}
        return self.request(path, "POST", {k: v for k, v in kind.items() if v}, body)


@pytest.fixture
def client(folder, serve, tmp_path, token):
    return serve(folder, private=True, database=str(tmp_path / "server.db"))


# ------------------------------------------------------------------------------------------------------------- tokens
def test_a_token_is_pasted_and_a_cookie_stands_for_it(client, token, database):
    from voxarium.serve.database.audit import list_events

    browser = Browser(client)
    page = browser.request("/login?next=/raw/lab/").body.decode()
    assert (
        'type="password"' in page
        and 'value="/raw/lab/"' in page
        and 'href="login"' in browser.request("/").body.decode()
    )
    assert browser.request(PATH).status == 404
    answer = browser.post("/login", {"token": f" {token} ", "next": "/raw/lab/"})
    assert (answer.status, answer.getheader("location")) == (303, f"{client.url}/raw/lab/")
    cookie = browser.cookies["voxarium"]
    assert cookie["httponly"] and cookie["samesite"].lower() == "lax" and cookie["path"] == "/" and not cookie["secure"]
    assert cookie.value not in token and len(cookie.value) == 43
    assert browser.request(PATH).status == 200 and client.get(PATH).status == 404
    assert token.encode() not in browser.request("/").body and b"Signed in as token:" in browser.request("/").body
    assert browser.request(PATH).getheader("cache-control") in ("no-cache", "private, no-cache")
    answer = browser.post("/logout", {})
    assert answer.status == 303 and browser.cookies == {}
    browser.cookies = {"voxarium": cookie}
    assert browser.request(PATH).status == 404  # it is over, for whoever kept the cookie too
    assert [e.action for e in list_events(database)][:2] == ["signed-out", "signed-in"]


def test_a_session_ends_with_its_token(client, token, database):
    from voxarium.serve.database.tokens import list_tokens, revoke_token

    browser = Browser(client)
    browser.post("/login", {"token": token})
    assert browser.request(PATH).status == 200
    revoke_token(database, list_tokens(database)[0].id)
    for _ in range(200):
        if browser.request(PATH).status == 404:
            break
        time.sleep(0.1)
    assert browser.request(PATH).status == 404 and browser.request("/login").status == 200


def test_wrong_tokens_do_not_sign_in(client, token):
    browser = Browser(client)
    for text in (
        "",
        "x",
        token[:-1] + ("A" if token[-1] != "A" else "B"),
        "vx_" + "0" * 12 + "_" + "A" * 43,
        "<script>",
    ):
        answer = browser.post("/login", {"token": text})
        assert answer.status in (400, 401) and browser.cookies == {} and b"<script>" not in answer.body
        assert b'role="alert"' in answer.body
    for body in (b"a=b&" * 100, b"\xff\x00=%zz&token", b"token=x" * 100_000):
        answer = browser.request("/login", "POST", {"origin": client.url}, body)
        assert answer.status in (400, 413)
    for i in range(30):
        answer = browser.post("/login", {"token": f"vx_{i:012d}_{'A' * 43}"})
    assert answer.status == 429 and int(answer.getheader("retry-after")) > 0


def test_other_sites_sign_nobody_in_or_out(client, token):
    browser = Browser(client)
    for headers in (
        {"origin": "https://evil.example"}, {"origin": "null"}, {"origin": None},
        {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"},
        {"origin": client.url.replace("127.0.0.1", "127.0.0.1.evil.example")},
    ):  # fmt: skip
        assert browser.post("/login", {"token": token}, **headers).status == 403
        assert browser.cookies == {}
    browser.post("/login", {"token": token})
    kept = dict(browser.cookies)
    assert browser.post("/logout", {}, origin="https://evil.example").status == 403
    assert browser.cookies == kept and browser.request(PATH).status == 200
    assert browser.request("/logout").status in (404, 405)
    body = browser.request("/states", "POST", {"origin": "https://evil.example"}, b"{}")
    assert body.status == 400


@pytest.mark.parametrize(
    "path", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:x", "", "/a b",
             "/x\r\nSet-Cookie: a", "\\/evil.example", "/" * 3000, "/é"]
)  # fmt: skip
def test_nobody_is_led_elsewhere(client, token, path):
    assert local_path(path) == "/"
    browser = Browser(client)
    answer = browser.post("/login", {"token": token, "next": path})
    assert answer.getheader("location") == f"{client.url}/"
    assert "evil" not in str(answer.getheaders()) and "a" not in browser.cookies


def test_under_https_the_cookie_is_for_https_alone(folder, serve, tmp_path, token):
    client = serve(folder, private=True, database=str(tmp_path / "server.db"), url="https://data.example.org")
    browser = Browser(client)
    answer = browser.post("/login", {"token": token, "next": "/x"}, origin="https://data.example.org")
    cookie = browser.cookies["__Host-voxarium"]
    assert cookie["secure"] and cookie["path"] == "/" and not cookie["domain"]
    assert answer.getheader("location") == "https://data.example.org/x"
    assert browser.request(PATH).status == 200
    assert browser.post("/login", {"token": token}, origin="https://evil.example").status == 403


def test_pages_about_signing_in_load_nothing_and_are_framed_by_nobody(client):
    answer = client.get("/login?next=%22%3E%3Cscript%3E")
    policy = answer.getheader("content-security-policy")
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "form-action 'self'" in policy
    assert answer.getheader("cache-control") == "no-store" and b"<script>" not in answer.body
    assert client.get("/login/start").status == 404 and client.get("/login/done").status == 404


# --------------------------------------------------------------------------------------------------------- elsewhere
@pytest.fixture
def provider():
    pytest.importorskip("authlib", reason="authlib is not installed")
    pytest.importorskip("requests", reason="requests is not installed")
    from . import provider

    with provider.running() as found:
        yield found


@pytest.fixture
def asked(provider, folder, serve, tmp_path, database):
    """Return a server where people sign in at the provider."""
    (tmp_path / "oidc-secret").write_text("hush\n")
    (tmp_path / "access.toml").write_text(ACCESS.format(issuer=provider.url))
    return serve(folder, access=str(tmp_path / "access.toml"), database=str(tmp_path / "server.db"))


def sign_in(browser, provider, then="/raw/lab/", change=lambda url: url):
    """Go to the provider and come back; return the last answer."""
    answer = browser.request(f"/login/start?next={quote(then)}")
    assert answer.status == 302 and answer.getheader("location").startswith(f"{provider.url}/authorize?")
    query = {k: v[0] for k, v in parse_qs(urlsplit(answer.getheader("location")).query).items()}
    assert query["code_challenge_method"] == "S256" and query["response_type"] == "code" and "hush" not in str(query)
    return browser.request(change(provider.authorize(query)))


def test_people_sign_in_at_a_provider(asked, provider, database, tmp_path):
    from voxarium.serve.database.audit import list_events

    browser = Browser(asked)
    assert b"Sign in with Example &amp; Sons" in browser.request("/login").body
    answer = sign_in(browser, provider)
    assert (answer.status, answer.getheader("location")) == (303, f"{asked.url}/raw/lab/")
    assert set(browser.cookies) == {"voxarium"} and browser.cookies["voxarium"]["httponly"]
    assert browser.request(PATH).status == 200 and browser.request("/raw/lab/y.npy").status == 200
    assert asked.get(PATH).status == 404 and asked.get("/raw/lab/open.npy").status == 200
    assert b"Signed in as ada@example.org" in browser.request("/").body
    assert [(e.action, e.who) for e in list_events(database, action="signed-in")] == [("signed-in", "ada@example.org")]
    assert browser.post("/logout", {}).status == 303 and browser.request(PATH).status == 404


def test_what_people_may_follows_the_file_as_it_is_now(asked, provider, tmp_path):
    browser = Browser(asked)
    sign_in(browser, provider)
    assert browser.request(PATH).status == 200
    text = (tmp_path / "access.toml").read_text()
    (tmp_path / "access.toml").write_text(text.replace('"ada@example.org" = ["read:lab/x.npy"]', ""))
    for _ in range(300):
        if browser.request(PATH).status == 404:
            break
        time.sleep(0.1)
    assert browser.request(PATH).status == 404 and browser.request("/raw/lab/y.npy").status == 200
    (tmp_path / "access.toml").write_text("default = nonsense")  # a slip of an editor opens nothing, and closes nothing
    time.sleep(6)
    assert browser.request(PATH).status == 404 and browser.request("/raw/lab/y.npy").status == 200


def test_addresses_that_nobody_checked_are_nobodys(asked, provider):
    provider.person["email_verified"] = False
    browser = Browser(asked)
    assert sign_in(browser, provider).status == 303
    assert browser.request(PATH).status == 404 and b"Signed in as sub:ada-1" in browser.request("/").body
    provider.person = {"sub": "bob-2", "email": "x", "groups": "emlab"}
    browser = Browser(asked)
    sign_in(browser, provider)
    assert browser.request(PATH).status == 200 and browser.request("/raw/lab/y.npy").status == 404


LIES = {
    "another nonce": lambda c: c | {"nonce": "x"}, "no nonce": lambda c: {k: v for k, v in c.items() if k != "nonce"},
    "another audience": lambda c: c | {"aud": "other"},
    "several audiences": lambda c: c | {"aud": ["voxarium", "other"]},
    "another issuer": lambda c: c | {"iss": "https://evil.example"}, "over": lambda c: c | {"exp": 1, "iat": 0},
    "no end": lambda c: {k: v for k, v in c.items() if k != "exp"}, "nobody": lambda c: c | {"sub": ""},
    "a number": lambda c: c | {"sub": 7}, "not yet": lambda c: c | {"nbf": 1 << 40},
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_what_a_provider_says_of_others_is_not_believed(asked, provider, lie):
    provider.change = LIES[lie]
    browser = Browser(asked)
    answer = sign_in(browser, provider)
    assert answer.status == 403 and "voxarium" not in browser.cookies and b"Please try again" in answer.body
    assert browser.request(PATH).status == 404


@pytest.mark.parametrize("how", ["public key", "none", "another key", "junk", "number"])
def test_signatures_are_checked(asked, provider, how):
    from joserfc import jwt
    from joserfc.jwk import RSAKey

    def unsigned(claims):
        import base64
        import json

        parts = [
            base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in ({"alg": "none"}, claims)
        ]
        return ".".join([*parts, ""])

    other = RSAKey.generate_key(2048, parameters={"kid": "one"})
    provider.sign = {
        "public key": provider.sign_with_public_key, "none": unsigned, "junk": lambda _: "a.b.c", "number": lambda _: 7,
        "another key": lambda claims: jwt.encode({"alg": "RS256", "kid": "one"}, claims, other),
    }[how]  # fmt: skip
    browser = Browser(asked)
    assert sign_in(browser, provider).status == 403 and "voxarium" not in browser.cookies


def test_nobody_is_signed_in_by_a_link_of_somebody_else(asked, provider):
    eve, ada = Browser(asked), Browser(asked)
    query = {k: v[0] for k, v in parse_qs(urlsplit(eve.request("/login/start").getheader("location")).query).items()}
    link = provider.authorize(query)
    assert ada.request(link).status == 403 and ada.cookies == {}  # she did not go from here
    ada.request("/login/start")
    assert ada.request(link).status == 403 and "voxarium" not in ada.cookies
    assert provider.asked == []
    assert eve.request(link).status == 303 and eve.request(link).status == 403  # once


@pytest.mark.parametrize(
    "change",
    [lambda u: re.sub("state=[^&]*", "state=x", u), lambda u: re.sub("code=[^&]*", "code=x", u),
     lambda u: re.sub("code=[^&]*", "error=access_denied", u), lambda u: u.partition("?")[0],
     lambda u: re.sub("state=[^&]*", "state=%C3%A9", u)],
)  # fmt: skip
def test_answers_that_were_changed_on_the_way_are_refused(asked, provider, change):
    browser = Browser(asked)
    assert sign_in(browser, provider, change=change).status == 403 and "voxarium" not in browser.cookies


@pytest.mark.parametrize("cookie", ["", "x", "x.y", "e30.0", ".", "é.é", "bnVsbA." + "0" * 64])
def test_cookies_that_were_made_up_are_refused(asked, cookie):
    answer = asked.get("/login/done?code=x&state=y", headers={"cookie": f"voxarium-login={cookie}".encode()})
    assert answer.status == 403


def test_providers_that_are_others_or_gone_sign_nobody_in(asked, provider):
    for change in (
        lambda d: d | {"issuer": "https://evil.example"}, lambda d: {}, lambda d: [], lambda d: d | {"jwks_uri": 7},
        lambda d: d | {"pad": "x" * (2 << 20)},
    ):  # fmt: skip
        provider.document = change
        assert asked.get("/login/start").status == 502
    provider.document = lambda d: d | {"token_endpoint": "http://127.0.0.1:1/token"}
    assert sign_in(Browser(asked), provider).status == 403


def test_the_secret_of_the_provider_is_written_nowhere(asked, provider, database):
    from voxarium.serve.database.audit import list_events

    assert "hush" not in repr(asked.server.site.gate.file) and asked.server.site.gate.file.oidc.client_secret == "hush"
    provider.change = LIES["over"]
    sign_in(Browser(asked), provider)
    asked.server.stop()
    assert "hush" not in str(list_events(database))
    assert [e.action for e in list_events(database, action="sign-in-failed")] == ["sign-in-failed"]


def test_without_authlib_the_extra_is_named(asked, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "authlib.integrations.requests_client", None)
    answer = asked.get("/login/start")
    assert answer.status == 501 and b"voxarium[login]" in answer.body


# --------------------------------------------------------------------------------------------------------------- file
@pytest.mark.parametrize(
    "text",
    [
        'default = "open"', "default = 1", '[datasets]\n"lab" = "hidden"', '[datasets]\n"lab/x.h5::/em" = "private"',
        "datasets = 3", '[users]\n"ada" = "read:lab"', '[users]\n"ada" = ["root:lab"]', '[users]\n"ada" = ["read"]',
        '[users]\n"ada" = ["read:"]', "[groups]\nx = [1]", "[unknown]", "x = ", '[oidc]\nissuer = "x"', "oidc = 1",
        '[oidc]\nissuer = "x"\nclient_id = "y"\nclient_secret = "z"', '[oidc]\nissuer = "x"\nclient_id = 7',
        '[oidc]\nissuer = "x"\nclient_id = "y"\nclient_secret_file = "none"',
        '[oidc]\nissuer="x"\nclient_id="y"\nwho="z"',
    ],
)  # fmt: skip
def test_files_about_access_that_are_wrong_say_so(tmp_path, text):
    (tmp_path / "access.toml").write_text(text)
    with pytest.raises(InputError, match=r"access\.toml"):
        read_access_file(str(tmp_path / "access.toml"))


def test_secrets_stand_in_files_or_in_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("HUSH", "quiet")
    text = '[oidc]\nissuer = "x"\nclient_id = "y"\nclient_secret_env = "HUSH"'
    (tmp_path / "access.toml").write_text(text)
    assert read_access_file(str(tmp_path / "access.toml")).oidc.client_secret == "quiet"
    with pytest.raises(InputError):
        read_access_file(str(tmp_path))
    with pytest.raises(InputError):
        read_access_file(str(tmp_path / "none"))
    assert parse_grant("read:*") == ("read", "*")
