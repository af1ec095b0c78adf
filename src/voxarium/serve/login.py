"""``/login`` and ``/logout``: for people, with a token or elsewhere; a cookie then stands for them.

Forms change something only when a page of this server sends them: browsers say which page did.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

from voxarium.errors import UnsupportedError, VoxariumError
from voxarium.serve.access import current_visitor
from voxarium.serve.account import local_path, login_page
from voxarium.serve.answers import Answer
from voxarium.serve.credentials import COOKIES, Credential, own_page, session_cookies
from voxarium.serve.gate import Gate
from voxarium.serve.guards import OPEN
from voxarium.serve.pages import plain_url
from voxarium.serve.secret_text import split_token
from voxarium.serve.site import Mount, Site

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

__all__ = ["mount"]

_HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
}
_UNKEPT: Final = {"cache-control": "no-store"}
_LARGEST: Final = 8192
_PENDING: Final = "voxarium-login"  # cookie of a browser that has gone to sign in elsewhere
_PATIENCE: Final = 600  # seconds that this may take


def mount(site: Site) -> Mount:
    """Return the routes; none without access control."""
    from starlette.routing import Route

    if site.gate is None:
        return Mount(name="login")
    login = _Login(site, site.gate)
    routes = [
        Route("/login", login.page),
        Route("/login", login.enter, methods=["POST"]),
        Route("/login/start", login.start),
        Route("/login/done", login.done),
        Route("/logout", login.leave, methods=["POST"]),
    ]
    return Mount(name="login", routes=routes, guards={"login": OPEN, "logout": OPEN})


class _Login:
    def __init__(self, site: Site, gate: Gate) -> None:
        self._site = site
        self._gate = gate

    # -------------------------------------------------------------------------------------------------------- pages
    def _told(self, then: str, problem: str = "", status: int = 200, *, retry: str = "", top: str = "") -> Response:
        from starlette.responses import HTMLResponse

        oidc = self._gate.file.oidc
        provider = None if oidc is None else oidc.name or oidc.issuer.partition("://")[2]
        text = login_page(current_visitor(), then=then, provider=provider, problem=problem, top=top)
        return HTMLResponse(text, status, headers={**_HEADERS, **({"retry-after": retry} if retry else {})})

    async def page(self, request: Request) -> Response:
        """Show the form."""
        return self._told(local_path(request.query_params.get("next", "/")))

    async def enter(self, request: Request) -> Response:
        """Take a token, and begin a session."""
        if not own_page(request.scope, self._site.settings.url):
            return self._told("/", "Please send this form from the page of this server.", 403)
        try:
            form = parse_qs((await request.body())[:_LARGEST].decode("latin-1"), max_num_fields=8)
        except ValueError:
            form = {}
        then = local_path(form.get("next", ["/"])[0])
        text = form.get("token", [""])[0].strip()
        visitor = current_visitor()
        client = "" if visitor is None else visitor.client
        if split_token(text) is None:
            return self._told(then, "This is no token of this server.", 400)
        known = await self._site.run(self._gate.visitor, Credential("header", text), client)
        if isinstance(known, Answer):
            retry = next((v.decode() for n, v in known.headers if n == b"retry-after"), "")
            problem = bytes(known.first).decode().strip().capitalize() + "."
            return self._told(then, problem, known.status, retry=retry)
        return self._entered(request, await self._site.run(self._begun, text, client), then)

    def _begun(self, text: str, client: str) -> str:
        from voxarium.serve.database.sessions import begin_session
        from voxarium.serve.database.tokens import verify_token

        token = verify_token(self._gate.database, text)
        who = "" if token is None else f"token:{token.id}"
        return begin_session(self._gate.database, who=who, token=token, client=client)

    def _entered(self, request: Request, secret: str, then: str) -> Response:
        from starlette.responses import RedirectResponse

        from voxarium.serve.database.sessions import LONGEST

        secure = self._secure(request)
        answer = RedirectResponse(plain_url(request, self._site.settings) + then, 303, headers=_UNKEPT)
        answer.set_cookie(
            COOKIES[0] if secure else COOKIES[1],
            secret,
            max_age=int(LONGEST),
            path="/",
            httponly=True,
            samesite="lax",
            secure=secure,
        )
        answer.delete_cookie(_PENDING, path="/login", httponly=True, samesite="lax", secure=secure)
        return answer

    def _secure(self, request: Request) -> bool:
        return plain_url(request, self._site.settings).startswith("https:")

    async def leave(self, request: Request) -> Response:
        """End a session."""
        from starlette.responses import RedirectResponse

        from voxarium.serve.database.sessions import end_session

        if not own_page(request.scope, self._site.settings.url):
            return self._told("/", "Please send this form from the page of this server.", 403)
        given = session_cookies([value for name, value in request.scope["headers"] if name == b"cookie"])
        visitor = current_visitor()
        base = plain_url(request, self._site.settings)
        answer = RedirectResponse(f"{base}/login", 303, headers=_UNKEPT)
        for name in COOKIES:
            if name in given:
                client = "" if visitor is None else visitor.client
                await self._site.run(end_session, self._gate.database, given[name], client=client)
                self._gate.forget(Credential("cookie", given[name]))
                answer.delete_cookie(name, path="/", httponly=True, samesite="lax", secure=name == COOKIES[0])
        return answer

    # ---------------------------------------------------------------------------------------------------- elsewhere
    async def start(self, request: Request) -> Response:
        """Lead to where people sign in."""
        from starlette.responses import RedirectResponse

        oidc = self._gate.file.oidc
        then = local_path(request.query_params.get("next", "/"))
        if oidc is None:
            return self._told(then, "People sign in here with a token only.", 404, top="../")
        try:
            from voxarium.serve.oidc import begin

            url, pending = await self._site.run_slow(begin, self._gate, oidc, self._back(request), then, _PATIENCE)
        except UnsupportedError as error:
            return self._told(then, f"{error.message}: {error.fix}", 501, top="../")
        except VoxariumError:
            return self._told(then, "The place where people sign in does not answer.", 502, top="../")
        answer = RedirectResponse(url, 302, headers=_UNKEPT)
        secure = self._secure(request)
        answer.set_cookie(
            _PENDING, pending, max_age=_PATIENCE, path="/login", httponly=True, samesite="lax", secure=secure
        )
        return answer

    def _back(self, request: Request) -> str:
        return f"{plain_url(request, self._site.settings)}/login/done"

    async def done(self, request: Request) -> Response:
        """Take what the provider says of somebody who comes back."""
        oidc = self._gate.file.oidc
        visitor = current_visitor()
        client = "" if visitor is None else visitor.client
        pending = session_cookies([v for n, v in request.scope["headers"] if n == b"cookie"]).get(_PENDING, "")
        given = {name: request.query_params.get(name, "")[:4096] for name in ("code", "state", "error")}
        if oidc is None:
            return self._told("/", "People sign in here with a token only.", 404, top="../")
        try:
            from voxarium.serve.oidc import finish

            person = await self._site.run_slow(finish, self._gate, oidc, self._back(request), pending, given)
        except UnsupportedError as error:
            return self._told("/", f"{error.message}: {error.fix}", 501, top="../")
        except VoxariumError as error:
            self._gate.note("", "sign-in-failed", error.message, client)
            return self._told("/", "Signing in did not work. Please try again.", 403, top="../")
        secret = await self._site.run(self._person_begun, person.who, person.names, client)
        return self._entered(request, secret, person.then)

    def _person_begun(self, who: str, names: tuple[str, ...], client: str) -> str:
        from voxarium.serve.database.sessions import begin_session

        return begin_session(self._gate.database, who=who, names=names, client=client)
