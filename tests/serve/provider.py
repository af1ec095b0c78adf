"""A small provider of OpenID Connect, over real HTTP on this machine, that can be told to misbehave."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, RSAKey


class Provider:
    """What it knows: its key, who is there, codes that were given out, and how it misbehaves."""

    def __init__(self, url):
        self.url = url
        self.key = RSAKey.generate_key(2048, parameters={"kid": "one"})
        self.person = {"sub": "ada-1", "email": "ada@example.org", "email_verified": True, "groups": ["emlab"]}
        self.codes = {}
        self.asked = []
        self.change = lambda claims: claims
        self.sign = self._sign
        self.document = lambda found: found

    def _sign(self, claims):
        return jwt.encode({"alg": "RS256", "kid": "one"}, claims, self.key)

    def authorize(self, query):
        """Return where to send somebody who signs in at once."""
        code = secrets.token_urlsafe(16)
        self.codes[code] = query
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"

    def token(self, form, authorization):
        """Return the answer of the token endpoint."""
        self.asked.append(form)
        given = self.codes.pop(form.get("code"), None)  # a code is good once
        expected = "Basic " + base64.b64encode(b"voxarium:hush").decode()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if given is None or authorization != expected or form.get("redirect_uri") != given["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        if given.get("code_challenge_method") != "S256" or given["code_challenge"] != challenge.decode().rstrip("="):
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": "voxarium",
            "iat": now,
            "exp": now + 300,
            "nonce": given["nonce"],
            **self.person,
        }
        token = self.sign(self.change(claims))
        return 200, {"access_token": "x", "token_type": "Bearer", "expires_in": 300, "id_token": token}

    def answer(self, path):
        """Return a document."""
        if path == "/.well-known/openid-configuration":
            found = {"issuer": self.url, "authorization_endpoint": f"{self.url}/authorize",
                     "token_endpoint": f"{self.url}/token", "jwks_uri": f"{self.url}/jwks"}  # fmt: skip
            return self.document(found)
        return KeySet([self.key]).as_dict(private=False) if path == "/jwks" else None

    def sign_with_public_key(self, claims):
        """Sign with the public key as if it were a secret that both share: an old trick."""
        key = OctKey.import_key(self.key.as_pem(private=False))
        return jwt.encode({"alg": "HS256", "kid": "one"}, claims, key)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _send(self, status, body, headers=()):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(raw)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)

    def do_GET(self):
        parts = urlsplit(self.path)
        if parts.path == "/authorize":
            query = {k: v[0] for k, v in parse_qs(parts.query).items()}
            self._send(302, b"", [("location", self.server.provider.authorize(query))])
            return
        found = self.server.provider.answer(parts.path)
        self._send(404 if found is None else 200, found)

    def do_POST(self):
        raw = self.rfile.read(int(self.headers["content-length"]))
        form = {k: v[0] for k, v in parse_qs(raw.decode()).items()}
        self._send(*self.server.provider.token(form, self.headers.get("authorization")))

    def log_message(self, *_):
        pass


@contextmanager
def running():
    """Run a provider."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.daemon_threads = True
        server.provider = Provider(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.provider
        finally:
            server.shutdown()
            thread.join(20)
