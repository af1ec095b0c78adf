"""Signing in elsewhere: OpenID Connect, the flow with a code (RFC 6749, RFC 7636), through authlib.

What has to be remembered between going and coming back is in a signed cookie of the browser: nobody can fill the
server with it. The provider's word is taken from its token endpoint and checked: signature, issuer, audience, nonce.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from voxarium.errors import Code, InputError, StoreError, UnsupportedError
from voxarium.serve.access_file import Oidc
from voxarium.serve.account import local_path
from voxarium.serve.database.sessions import server_secret
from voxarium.serve.gate import Gate

__all__ = ["Person", "begin", "finish"]

_TIMEOUT: Final = 10.0
_LARGEST: Final = 1 << 20
_LEEWAY: Final = 60
# Of keys in public: with one that the provider and this server share, anybody who learns it could make people up.
_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519")


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who signed in.

    Parameters
    ----------
    who : str
        For the log.
    names : tuple of str
        ``user:NAME`` and ``group:NAME``, whose grants hold.
    then : str
        Path to go to.
    """

    who: str
    names: tuple[str, ...]
    then: str


def begin(gate: Gate, oidc: Oidc, back: str, then: str, patience: float) -> tuple[str, str]:
    """Return where to send a browser, and the cookie that it is to bring back.

    Parameters
    ----------
    gate : Gate
        With the database.
    oidc : Oidc
        The provider.
    back : str
        URL to come back to.
    then : str
        Path to go to afterwards.
    patience : float
        Seconds that it may take.

    Raises
    ------
    UnsupportedError
        If authlib is not installed.
    StoreError
        If the provider does not answer.
    """
    found = _discovered(oidc)
    verifier, nonce = secrets.token_urlsafe(48), secrets.token_urlsafe(16)
    with _client(oidc, back) as client:
        url, state = client.create_authorization_url(
            found["authorization_endpoint"], code_verifier=verifier, nonce=nonce
        )
    kept = {"state": state, "nonce": nonce, "verifier": verifier, "next": then, "until": time.time() + patience}
    return str(url), _signed(server_secret(gate.database), json.dumps(kept))


def finish(gate: Gate, oidc: Oidc, back: str, pending: str, given: Mapping[str, str]) -> Person:
    """Return who came back.

    Raises
    ------
    InputError
        If the browser did not go from here, or the provider does not vouch for anybody.
    UnsupportedError, StoreError
        As for `begin`.
    """
    text = _checked(server_secret(gate.database), pending)
    kept = {} if text is None else json.loads(text)
    if not kept or time.time() > kept["until"] or not _same(kept["state"], given["state"]):
        raise _refused("nobody here began this")
    if given["error"] or not given["code"]:
        raise _refused("the provider refused")
    found = _discovered(oidc)
    with _client(oidc, back) as client:
        told = _asked(
            lambda: client.fetch_token(
                found["token_endpoint"], grant_type="authorization_code", code=given["code"],
                code_verifier=kept["verifier"],
            )
        )  # fmt: skip
    claims = _claims(oidc, found, str(told.get("id_token", "")), kept["nonce"])
    return _person(oidc, claims, local_path(kept["next"]))


def _person(oidc: Oidc, claims: Mapping[str, Any], then: str) -> Person:
    subject, email, groups = claims.get("sub"), claims.get("email"), claims.get(oidc.groups_claim)
    if not isinstance(subject, str) or not subject:
        raise _refused("the provider does not say who it is")
    names = [f"user:sub:{subject}"]
    who = f"sub:{subject}"
    # An address that nobody checked is what its owner made up.
    if isinstance(email, str) and claims.get("email_verified") is True:
        names.append(f"user:{email}")
        who = email
    if isinstance(groups, list):
        names.extend(f"group:{group}" for group in groups[:1000] if isinstance(group, str))
    return Person(who=who, names=tuple(names), then=then)


# -------------------------------------------------------------------------------------------------------- provider
def _client(oidc: Oidc, back: str) -> Any:  # Any: a client of authlib, which is optional
    try:
        from authlib.integrations.requests_client import OAuth2Session
    except ImportError as error:
        raise UnsupportedError(
            f"signing in elsewhere needs {error.name}, which is not installed",
            code=Code.EXTRA_NOT_INSTALLED,
            fix="pip install 'voxarium[login]'",
        ) from error
    session = OAuth2Session(
        client_id=oidc.client_id,
        client_secret=oidc.client_secret or None,
        scope=oidc.scopes,
        redirect_uri=back,
        code_challenge_method="S256",
        token_endpoint_auth_method="client_secret_basic" if oidc.client_secret else "none",
        default_timeout=_TIMEOUT,
    )
    session.max_redirects = 0
    return session


def _asked(ask: Any) -> Any:  # Any: JSON
    """Ask the provider; whatever goes wrong with it is told in one way."""
    from authlib.common.errors import AuthlibBaseError
    from requests import RequestException

    try:
        return ask()
    except AuthlibBaseError as error:
        raise _refused(f"the provider refused: {error.error}") from error
    except (RequestException, ValueError) as error:
        raise StoreError(
            f"the provider does not answer: {type(error).__name__}",
            code=Code.STORE_UNREADABLE,
            fix="check issuer in the file about access, and that this machine reaches it",
        ) from error


def _document(url: str) -> Any:  # Any: JSON
    import requests

    def ask() -> Any:  # Any: JSON
        with requests.get(url, timeout=_TIMEOUT, allow_redirects=False, stream=True) as answer:
            if answer.status_code != 200:
                raise ValueError("no document")
            raw = b""
            for part in answer.iter_content(1 << 16):
                raw += part
                if len(raw) > _LARGEST:
                    raise ValueError("too large")
        return json.loads(raw)

    return _asked(ask)


def _discovered(oidc: Oidc) -> Mapping[str, str]:
    """Return the provider's endpoints."""
    with _client(oidc, ""):
        pass  # names the extra where it is not installed
    issuer = oidc.issuer.rstrip("/")
    found = _document(f"{issuer}/.well-known/openid-configuration")
    wanted = ("authorization_endpoint", "token_endpoint", "jwks_uri")
    texts = isinstance(found, dict) and all(isinstance(found.get(name), str) for name in (*wanted, "issuer"))
    if not texts or found["issuer"].rstrip("/") != issuer:
        raise _refused("the provider is another one")
    safe = issuer.startswith("https://")
    if any(safe and not found[name].startswith("https://") for name in wanted):
        raise _refused("the provider has addresses that are not https")
    return {name: str(found[name]) for name in (*wanted, "issuer")}


def _claims(oidc: Oidc, found: Mapping[str, str], token: str, nonce: str) -> Mapping[str, Any]:
    """Return what the provider says, when all of it is as it has to be (OpenID Connect Core §3.1.3.7)."""
    from joserfc import jwt
    from joserfc.errors import JoseError
    from joserfc.jwk import KeySet

    try:
        keys = KeySet.import_key_set(_document(found["jwks_uri"]))
        decoded = jwt.decode(token, keys, algorithms=list(_ALGORITHMS))
        expected = jwt.JWTClaimsRegistry(
            leeway=_LEEWAY,
            iss={"essential": True, "value": found["issuer"]},
            aud={"essential": True, "value": oidc.client_id},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        expected.validate(decoded.claims)
    except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise _refused(f"the provider's word cannot be trusted: {type(error).__name__}") from error
    party = decoded.claims.get("azp")
    if isinstance(decoded.claims.get("aud"), list) and len(decoded.claims["aud"]) > 1 and party != oidc.client_id:
        raise _refused("the provider's word is for somebody else")
    return decoded.claims


def _refused(why: str) -> InputError:
    return InputError(why, code=Code.ARGUMENT_INVALID, fix="sign in again")


# ---------------------------------------------------------------------------------------------------------- cookies
def _signed(key: str, text: str) -> str:
    body = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
    return f"{body}.{_signature(key, body)}"


def _same(a: str, b: str) -> bool:
    return hmac.compare_digest(a.encode("utf-8", "replace"), b.encode("utf-8", "replace"))


def _signature(key: str, body: str) -> str:
    return hmac.new(key.encode(), body.encode("ascii", "replace"), hashlib.sha256).hexdigest()


def _checked(key: str, cookie: str) -> str | None:
    body, _, signature = cookie.partition(".")
    if not body or not _same(_signature(key, body), signature):
        return None
    return base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)).decode()
