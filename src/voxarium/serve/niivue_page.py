"""The page around NiiVue: one canvas, what is under the pointer, and buttons for the layout."""

from __future__ import annotations

import base64
import hashlib
import json
from html import escape
from typing import Any, Final

__all__ = ["NIIVUE_SCRIPT", "niivue_page"]

_STYLE: Final = """
:root{color-scheme:dark}html,body{margin:0;height:100%;background:#000;color:#e7eaef;font:14px/1.4 system-ui,sans-serif}
body{display:flex;flex-direction:column}header{display:flex;gap:.5rem;align-items:center;padding:.25rem .5rem;
flex-wrap:wrap}h1{font-size:1rem;font-weight:500;margin:0 auto 0 0;overflow-wrap:anywhere}
main{flex:1;min-height:0;position:relative}canvas{width:100%;height:100%;outline:none}
button{font:inherit;background:#1d2026;color:inherit;border:1px solid #2d323a;border-radius:4px;padding:.1rem .6rem}
button[aria-pressed=true]{background:#0b62c4}footer{padding:.25rem .5rem;min-height:1.4em;
font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
""".strip()

NIIVUE_SCRIPT: Final = """
import { Niivue } from './client.js';
const told = JSON.parse(document.getElementById('shown').textContent);
const line = document.getElementById('line');
const say = text => { line.textContent = text; };
const niivue = new Niivue({
  backColor: [0, 0, 0, 1], show3Dcrosshair: true, crosshairWidth: 0.25, isColorbar: false, logLevel: 'error',
  isResizeCanvas: true, dragAndDropEnabled: false,
  onLocationChange: where => say(where.string + ' ' + told.unit),
});
window.niivue = niivue;
const buttons = [...document.querySelectorAll('button')];
function choose(name) {
  niivue.opts.multiplanarShowRender = name === 'All' ? 1 : 0;
  niivue.setSliceType(name === '3D' ? niivue.sliceTypeRender : niivue.sliceTypeMultiplanar);
  for (const b of buttons) b.setAttribute('aria-pressed', String(b.textContent === name));
}
for (const b of buttons) b.addEventListener('click', () => choose(b.textContent));
try {
  await niivue.attachToCanvas(document.getElementById('view'));
  const base = path => new URL(path.slice(1), new URL(told.root, document.baseURI)).href;
  if (told.volumes.length) await niivue.loadVolumes(told.volumes.map(v => ({ ...v, url: base(v.url) })));
  if (told.meshes.length) await niivue.loadMeshes(told.meshes.map(m => ({ ...m, url: base(m.url) })));
  choose(told.volumes.length ? 'All' : '3D');
  document.body.dataset.ready = 'true';
} catch (error) {
  say('This could not be shown: ' + error);
  document.body.dataset.ready = 'false';
}
""".strip()


def niivue_page(shown: dict[str, Any], root: str) -> tuple[str, str]:  # Any: JSON
    """Return the page and its Content-Security-Policy.

    Parameters
    ----------
    shown : dict
        Title, unit, volumes and meshes.
    root : str
        What leads from the page to the top of the server, such as ``../``.
    """
    data = json.dumps(shown | {"root": root}).replace("<", "\\u003c")
    style = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    title = escape(str(shown["title"]))
    buttons = "".join(f'<button type="button" aria-pressed="false">{n}</button>' for n in ("Sections", "All", "3D"))
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><link rel="icon" href="data:,">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body><header><h1>{title}</h1>{buttons}</header>"
        f'<main><canvas id="view" tabindex="0" aria-label="{title}"></canvas></main><footer id="line" role="status">'
        f'</footer><script type="application/json" id="shown">{data}</script>'
        f'<script type="module" src="{root}nii/page.js"></script></body></html>\n'
    )
    policy = (
        f"default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self' data: blob:; "
        f"img-src 'self' data: blob:; style-src 'sha256-{style}'; worker-src 'self' blob:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors *"
    )
    return text, policy
