"""The frame of all pages: one file each, nothing loaded from anywhere, light and dark."""

from __future__ import annotations

from html import escape
from typing import Final

__all__ = ["page"]

_STYLE: Final = """
:root{color-scheme:light dark;--paper:#fff;--ink:#1b1e23;--faint:#667080;--line:#dde1e7;--well:#f4f6f8;--link:#0b62c4}
@media (prefers-color-scheme:dark){:root{--paper:#15171b;--ink:#e7eaef;--faint:#98a2b1;--line:#2d323a;--well:#1d2026;
--link:#7db5ff}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:72rem;padding:1.5rem;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
a{color:var(--link);text-decoration:none}a:hover,a:focus-visible{text-decoration:underline}
h1{font-size:1.5rem;margin:0 0 .25rem}h2{font-size:1.1rem;margin:0}
p{margin:.25rem 0}.faint{color:var(--faint)}.small{font-size:.875rem}
code,pre{font:13px/1.45 ui-monospace,"DejaVu Sans Mono",monospace}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.25rem .75rem .25rem 0;vertical-align:top}
th{font-weight:500;color:var(--faint)}
tbody tr{border-top:1px solid var(--line)}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
""".strip()


def page(title: str, body: str, *, style: str = "", script: str = "") -> str:
    """Return a whole page. `title` is text; `body` is HTML, put together from escaped parts."""
    code = f"<script>{script}</script>" if script else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>{_STYLE}{style}</style></head><body><main>{body}</main>{code}</body></html>\n"
    )
