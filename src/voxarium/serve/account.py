"""Pages about who is signed in."""

from __future__ import annotations

from html import escape
from typing import Final
from urllib.parse import quote

from voxarium.serve.access import Visitor
from voxarium.serve.page import page

__all__ = ["account_line", "local_path", "login_page"]

_STYLE: Final = """
body{max-width:28rem}form{margin:1.25rem 0}label{display:block;margin-bottom:.25rem}
input{font:inherit;padding:.35rem .6rem;width:100%;border:1px solid var(--line);border-radius:6px;
background:var(--well);color:inherit}
button,.button{display:inline-block;font:inherit;margin-top:.75rem;padding:.35rem .9rem;border:1px solid var(--line);
border-radius:6px;background:var(--well);color:var(--link);cursor:pointer}
[role=alert]{padding:.5rem .75rem;border:1px solid var(--line);border-radius:6px}
""".strip()


def local_path(text: str) -> str:
    """Return a path of this server to go to; the first page for anything that leads elsewhere.

    Examples
    --------
    >>> local_path("/view/lab/em"), local_path("//evil.example"), local_path("https://evil.example")
    ('/view/lab/em', '/', '/')
    """
    plain = text.isascii() and text.isprintable() and " " not in text and "\\" not in text
    return text if plain and text.startswith("/") and not text.startswith("//") and len(text) < 2048 else "/"


def account_line(visitor: Visitor | None) -> str:
    """Return who is signed in, or where to sign in; nothing without access control, or with a token in the path."""
    if visitor is None or visitor.prefix:
        return ""
    if not visitor.who:
        return '<p class="small"><a href="login">Sign in</a></p>'
    return f'<p class="small">Signed in as {escape(visitor.who)} · <a href="login">Account</a></p>'


def login_page(visitor: Visitor | None, *, then: str, provider: str | None, problem: str = "", top: str = "") -> str:
    """Return the page where people sign in and out.

    Parameters
    ----------
    visitor : Visitor or None
        Who is signed in.
    then : str
        Path to go to afterwards.
    provider : str or None
        Name of where people sign in; None where there is no such place.
    problem : str
        Why it did not work.
    top : str
        What leads from the page to the address of the server.
    """
    parts = ["<h1>Sign in</h1>"]
    if problem:
        parts.append(f'<p role="alert">{escape(problem)}</p>')
    if visitor is not None and visitor.who:
        parts.append(
            f"<p>You are signed in as {escape(visitor.who)}.</p>"
            f'<form method="post" action="{top}logout"><button>Sign out</button></form>'
        )
    if provider is not None:
        where = f"{top}login/start?next={quote(then, safe='')}"
        parts.append(f'<p><a class="button" href="{escape(where)}">Sign in with {escape(provider)}</a></p>')
    parts.append(
        f'<form method="post" action="{top}login"><input type="hidden" name="next" value="{escape(then)}">'
        '<label for="token">Token</label>'
        '<input id="token" name="token" type="password" autocomplete="off" spellcheck="false" required>'
        "<button>Sign in</button></form>"
        '<p class="small faint">Tokens are made by those who run this server.</p>'
        f'<p><a href="{top or "./"}">All images</a></p>'
    )
    return page("Sign in", "".join(parts), style=_STYLE)
