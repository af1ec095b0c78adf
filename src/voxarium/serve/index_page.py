"""The page of all images: what is there, how it looks, and what to copy for each program."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any, Final
from urllib.parse import quote, urlencode

from voxarium.core.report import bytes_text
from voxarium.serve.addresses import quoted
from voxarium.serve.catalogue import Entry, Scan
from voxarium.serve.page import page
from voxarium.serve.releases import ReleaseEntry
from voxarium.serve.roots import Root
from voxarium.serve.snippets import raw_url, snippets
from voxarium.view.portal.words import axes_text, times, voxel_size_of, voxel_text

__all__ = ["INDEX_SCRIPT", "image_json", "index_page", "release_json"]

_ON_A_PAGE: Final = 100
_RELEASES_SHOWN: Final = 20  # of one dataset; images.json names all

_STYLE: Final = """
header{margin-bottom:1.25rem}
form{margin:1rem 0}input{font:inherit;padding:.35rem .6rem;width:100%;max-width:24rem;border:1px solid var(--line);
border-radius:6px;background:var(--well);color:inherit}
article{display:grid;grid-template-columns:9rem 1fr;gap:0 1.25rem;padding:1rem 0;border-top:1px solid var(--line)}
.picture{width:9rem;height:9rem;background:var(--well);border-radius:6px;display:flex;align-items:center;
justify-content:center;overflow:hidden;color:var(--faint)}
.picture img{width:100%;height:100%;object-fit:contain}
summary{cursor:pointer;color:var(--link);width:max-content;margin-top:.25rem}
dl{display:grid;grid-template-columns:7.5rem 1fr;gap:.35rem .75rem;margin:.5rem 0 0}
dt{color:var(--faint)}dd{margin:0;min-width:0}
.copy{display:flex;gap:.5rem;align-items:flex-start}
.copy pre{margin:0;padding:.3rem .55rem;background:var(--well);border-radius:6px;flex:1;min-width:0;
white-space:pre-wrap;overflow-wrap:anywhere}
button{font:inherit;font-size:.8rem;padding:.15rem .6rem;border:1px solid var(--line);border-radius:6px;
background:var(--paper);color:var(--link);cursor:pointer}
.problem{padding:.5rem 0;border-top:1px solid var(--line)}
nav{padding:1rem 0;border-top:1px solid var(--line);display:flex;gap:1.5rem}
@media (max-width:40rem){article{grid-template-columns:1fr}.picture{width:100%;height:12rem;margin-bottom:.5rem}
dl{grid-template-columns:1fr}}
""".strip()

# Copies what stands beside a button. Without scripts the page says the same, only without the buttons.
INDEX_SCRIPT: Final = """
for(const b of document.querySelectorAll('button[data-copy]')){b.hidden=!navigator.clipboard;
b.addEventListener('click',async()=>{await navigator.clipboard.writeText(b.previousElementSibling.textContent);
b.textContent='Copied';setTimeout(()=>{b.textContent='Copy'},1500)})}
for(const i of document.querySelectorAll('.picture img')){const gone=()=>i.replaceWith('no picture');
if(i.complete&&!i.naturalWidth)gone();else i.addEventListener('error',gone)}
""".strip()


# -------------------------------------------------------------------------------------------------------------- JSON
def image_json(entry: Entry, base: str) -> dict[str, Any]:
    """Return what is known of an image, and its addresses, for programs."""
    out: dict[str, Any] = {"address": entry.address, "kind": entry.kind, "url": raw_url(base, entry.address)}
    image = entry.image
    if image is None:
        return out
    size = voxel_size_of(image)
    return out | {
        "name": image.name,
        "format": image.info.format,
        "spec_version": image.info.spec_version,
        "role": image.role,
        "dtype": image.dtype.name,
        "axes": [{"name": a.name, "type": a.type, "unit": a.unit} for a in image.axes],
        "voxel_size": None if size is None else list(size),
        "levels": [{"path": level.path, "shape": list(level.array.shape)} for level in image.levels],
        "thumbnail": f"{base}/thumbnail/{quoted(entry.address)}",
        "view": f"{base}/view/{quoted(entry.address)}",
        "copy": [{"program": s.program, "text": s.text} for s in snippets(image, entry.address, base)],
    }


def release_json(entry: ReleaseEntry, base: str) -> dict[str, Any]:
    """Return what is known of a release, and where it is, for programs."""
    return {
        "dataset": entry.dataset,
        "name": entry.name,
        "address": entry.address,
        "url": raw_url(base, entry.address),
        "time": entry.time,
        "objects": entry.objects,
        "bytes": entry.nbytes,
        "withdrawn": entry.withdrawn or None,
    }


# -------------------------------------------------------------------------------------------------------------- HTML
def index_page(
    scan: Scan,
    roots: Sequence[Root],
    base: str,
    *,
    first: int = 0,
    search: str = "",
    release: str = "",
    account: str = "",
) -> str:
    """Return the page.

    Parameters
    ----------
    scan : Scan
        What was found.
    roots : sequence of Root
        What is served.
    base : str
        Address of the server.
    first : int
        Number of the first image on the page.
    search : str
        Show only what has all these words in its address, format or type.
    release : str
        Address of the release whose images are shown; empty for all that is served.
    account : str
        HTML: who is signed in, or where to sign in.
    """
    words = search.lower().split()
    shown = [e for e in scan.entries if e.image is not None and all(w in _searched(e) for w in words)]
    problems = [e for e in scan.entries if e.image is None] if not words and not first else []
    parts = [account, _head(scan, roots, len(shown), search, release)]
    parts.extend(_article(e, base) for e in shown[first : first + _ON_A_PAGE])
    parts.extend(_problem(e) for e in problems[:_ON_A_PAGE])
    parts.append(_turning(len(shown), first, search, release))
    return page(f"Images of {release}" if release else "Images", "".join(parts), style=_STYLE, script=INDEX_SCRIPT)


def _searched(entry: Entry) -> str:
    image = entry.image
    facts = "" if image is None else f"{image.info.format} {image.role} {image.dtype.name}"
    return f"{entry.address} {facts}".lower()


def _head(scan: Scan, roots: Sequence[Root], count: int, search: str, release: str) -> str:
    links = ", ".join(
        f'<a href="raw/{quoted(root.name)}{"/" if root.lister else ""}">{escape(root.name)}</a>' for root in roots
    )
    if scan.at is None:
        state = "The folders are being looked through. Reload the page in a moment."
    else:
        state = f"{count:,} image{'' if count == 1 else 's'}"
        state += f" with “{escape(search)}”" if search else ""
    inside = f'<input type="hidden" name="release" value="{escape(release)}">' if release else ""
    field = (
        f'<form role="search">{inside}<label><span class="small faint">Search</span><br>'
        f'<input type="search" name="search" value="{escape(search)}" placeholder="address, format, type">'
        "</label></form>"
    )
    if release:
        files = f'<a href="raw/{quoted(release)}/">{escape(release)}</a> · <a href="images">all images</a>'
        title = f"Images of {escape(release)}"
    else:
        files, title = f'{links} · <a href="images.json">images.json</a>', "Images"
    return (
        f'<header><p class="small"><a href="./">All datasets</a></p><h1>{title}</h1><p>{state}</p>'
        f'<p class="small faint">Files: {files}</p>{_releases(scan.releases)}</header>{field if scan.entries else ""}'
    )


def _releases(found: Sequence[ReleaseEntry]) -> str:
    """Return a line of links for each dataset, the newest release first."""
    datasets: dict[str, list[ReleaseEntry]] = {}
    for entry in found:
        if not entry.withdrawn:
            datasets.setdefault(entry.dataset, []).insert(0, entry)
    lines = [
        f"Releases of {escape(dataset)}: " + ", ".join(map(_release_link, entries[:_RELEASES_SHOWN]))
        for dataset, entries in datasets.items()
    ]
    return "".join(f'<p class="small faint">{line}</p>' for line in lines[:_ON_A_PAGE])


def _release_link(entry: ReleaseEntry) -> str:
    query = urlencode({"release": entry.address}, quote_via=quote)
    return f'<a href="?{escape(query)}" title="{escape(entry.time[:10])}">{escape(entry.name)}</a>'


def _article(entry: Entry, base: str) -> str:
    image = entry.image
    if image is None:  # pragma: no cover  only images are shown so
        return ""
    version = f" {image.info.spec_version}" if image.info.spec_version else ""
    axes = axes_text([a.name for a in image.axes])
    levels = f" · {len(image.levels)} levels" if len(image.levels) > 1 else ""
    nbytes = bytes_text(image.level(0).nbytes)
    where = raw_url(".", entry.address) + ("/" if entry.root.lister and "::" not in entry.address else "")
    copies = "".join(
        f'<dt>{escape(s.program)}</dt><dd><div class="copy"><pre>{escape(s.text)}</pre>'
        f'<button type="button" data-copy hidden>Copy</button></div>'
        f'{f"""<span class="small faint">{escape(s.note)}</span>""" if s.note else ""}</dd>'
        for s in snippets(image, entry.address, base)
    )
    return (
        f'<article><div class="picture"><img loading="lazy" alt="" src="thumbnail/{quoted(entry.address)}?size=256">'
        f'</div><div><h2><a href="{where}">{escape(entry.address)}</a></h2>'
        f"<p>{escape(axes)} {times(image.shape)} · {escape(image.dtype.name)} · {nbytes}{levels}</p>"
        f'<p class="faint">{escape(f"{image.info.format}{version} · {image.role} · {voxel_text(image)}")}</p>'
        f'<p><a href="view/{quoted(entry.address)}">View</a></p>'
        f"<details><summary>Open in …</summary><dl>{copies}</dl></details></div></article>"
    )


def _problem(entry: Entry) -> str:
    # Why it does not open may name files of the server's machine: that is for the log and `voxarium info`.
    return f'<p class="problem">{escape(entry.address)} <span class="faint">is {escape(entry.kind)}</span></p>'


def _turning(count: int, first: int, search: str, release: str) -> str:
    links = []
    for text, start in (("Previous", first - _ON_A_PAGE), ("Next", first + _ON_A_PAGE)):
        if 0 <= start < count or (text == "Previous" and first > 0):
            query = urlencode(
                {"from": max(0, start)} | {k: v for k, v in (("search", search), ("release", release)) if v},
                quote_via=quote,
            )
            links.append(f'<a href="?{escape(query)}">{text}</a>')
    return f"<nav>{''.join(links)}</nav>" if links else ""
