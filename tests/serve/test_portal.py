"""The catalogue and the pages of datasets as the server shows them."""

from __future__ import annotations

import json
import re
from urllib.parse import urljoin, urlsplit

import numpy as np
import pytest

import voxarium
from voxarium.cli.main import main

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


def run(*arguments):
    assert main([str(a) for a in arguments] + ["--quiet"]) == 0, arguments


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    pytest.importorskip("PIL")
    folder = tmp_path_factory.mktemp("portal") / "lab"
    folder.mkdir()
    source = tmp_path_factory.mktemp("source")
    em = np.random.default_rng(5).integers(0, 255, (12, 40, 61), np.uint8)
    np.save(source / "em.npy", em)
    np.save(source / "cells.npy", (em > 128).astype(np.uint32) * 7)
    place = ("--axes", "zyx", "--unit", "nm", "--voxel-size", "40,8,8", "--levels", "2")
    brain = folder / "sets/brain"
    run("dataset", "create", brain, "--name", "brain", "--license", "CC-BY-4.0", "--author", "Ada Lovelace",
        "--description", "Layer 4.", "--specimen", "organism=Mus musculus")  # fmt: skip
    run("convert", source / "em.npy", brain / "em/fibsem", *place)
    run("convert", source / "cells.npy", brain / "labels/cells", "--role", "label", *place)
    run("dataset", "create", folder / "empty", "--name", "empty")
    voxarium.convert(source / "em.npy", folder / "em.ome.zarr", axes="zyx", voxel_size=4, unit="nanometer")
    np.save(folder / "<b>&\"'.npy", em)
    (folder / "bad").mkdir()
    (folder / "bad/dataset.json").write_text(json.dumps({"voxarium_dataset": "1.0", "name": 3}))
    hostile = folder / "hostile"
    voxarium.convert(source / "em.npy", hostile / "a.zarr", axes="zyx", voxel_size=16, unit="nanometer")
    member = {"name": HOSTILE, "path": "a.zarr", "kind": "image", "thumbnail": "x"}
    (hostile / "dataset.json").write_text(
        json.dumps({"voxarium_dataset": "1.0", "name": HOSTILE, "description": HOSTILE, "members": [member],
                    "specimen": {"organism": HOSTILE}})
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def client(lab, client_of):
    from voxarium.serve.running import BackgroundServer

    with BackgroundServer([str(lab)]) as server:
        server.site.catalogue.scan()
        yield client_of(server)


def titles(text):
    return re.findall(r'data-field="title">([^<]*)</a>', text.partition("<template")[0])


def test_the_catalogue_lists_datasets_and_images_that_stand_for_themselves(client):
    answer = client.get("/")
    assert answer.status == 200 and answer.headers["Content-Type"].startswith("text/html")
    found = titles(answer.body.decode())
    assert len(found) == 5 and {"brain", "empty", "em"} <= set(found)
    assert b"<script>alert" not in answer.body and b"<b>&" not in answer.body
    index = json.loads(client.get("/index.json").body)["datasets"]
    assert {d["name"] for d in index} == {
        "lab/sets/brain",
        "lab/empty",
        "lab/em.ome.zarr",
        "lab/hostile",
        "lab/<b>&\"'.npy",
    }


def test_the_server_searches_filters_and_sorts_by_the_address_alone(client):
    for query, wanted in {
        "q=ADA": ["brain"], "q=layer+mus": ["brain"], "q=nothing": [], "organism=Mus+musculus": ["brain"],
        "voxel_max=5": ["em"], "voxel_min=5&voxel_max=9": ["brain"], "search=ada": ["brain"],
        "format=ome-zarr&license=CC-BY-4.0": ["brain"], "q=ada&organism=Danio": [],
    }.items():  # fmt: skip
        assert titles(client.get(f"/?{query}").body.decode()) == wanted, query
    finest = titles(client.get("/?sort=finest").body.decode())
    assert finest.index("em") < finest.index("brain")
    text = client.get("/?q=ada&organism=Mus+musculus").body.decode()
    assert 'value="ada"' in text and re.search(r'value="Mus musculus" checked', text)
    for hostile in ("q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E", "page=99999", "page=x", "sort=%00", "voxel_min=nan"):
        answer = client.get(f"/?{hostile}")
        assert answer.status == 200 and b"<script>alert" not in answer.body


def test_pages_load_their_own_files_only_and_all_links_lead_somewhere(client):
    for path in ("/", "/datasets/lab/sets/brain", "/datasets/lab/em.ome.zarr", "/datasets/lab/hostile"):
        answer = client.get(path)
        assert answer.status == 200, path
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'") and "unsafe" not in policy and "//" not in policy
        text = answer.body.decode()
        assert "<script>" not in text and "style=" not in text and "<img src=x" not in text
        for link in set(re.findall(r'(?:href|src)="([^"]+)"', text)):
            link = link.replace("&amp;", "&")
            parts = urlsplit(urljoin(f"{client.url}{path}", link))
            if parts.netloc != urlsplit(client.url).netloc:
                assert parts.scheme in ("https", "mailto"), link
                continue
            assert not link.startswith("/"), "behind a prefix, addresses from the top lead elsewhere"
            status = client.get(f"{parts.path}{'?' if parts.query else ''}{parts.query}").status
            assert status in ((200, 302, 501) if parts.path == "/view" else (200,)), (path, link)


def test_the_page_of_a_dataset_says_what_is_known_and_how_to_open_it(client):
    text = client.get("/datasets/lab/sets/brain").body.decode()
    base = f"{client.url}/raw/lab/sets/brain"
    for part in ("Layer 4.", "Ada Lovelace", "CC-BY-4.0", "Mus musculus", "12 × 40 × 61", "40 × 8 × 8 nm", "convert",
                 f"voxarium.open(&#34;{base}/em/fibsem&#34;)", f"zarr3://{base}/em/fibsem", "WEBKNOSSOS", "napari",
                 f"voxarium validate {base}", 'class="coordinates"'):  # fmt: skip
        assert part in text, part
    assert "napari.view" not in text.partition("<main")[0]


def test_lines_to_copy_run(client):
    text = client.get("/datasets/lab/sets/brain").body.decode()
    from html import unescape

    codes = [unescape(re.sub(r"<[^>]+>", "", c)) for c in re.findall(r"<code>(.*?)</code>", text, re.DOTALL)]
    (code,) = [c for c in codes if c.startswith("import voxarium\n\nimage") and "em/fibsem" in c and "napari" not in c]
    names = {}
    exec(code, names)
    assert names["plane"].shape == (40, 61)


def test_addresses_of_layers_and_of_webknossos_lead_to_the_dataset(client):
    from voxarium.serve.webknossos_datasets import dataset_page

    page = f"{client.url}/datasets/lab/sets/brain"
    for path in ("/datasets/lab/sets/brain/em/fibsem", "/datasets/lab/sets/brain/",
                 dataset_page("lab/sets/brain/em/fibsem"), dataset_page("lab/sets/brain")):  # fmt: skip
        answer = client.get(path)
        if path.endswith("brain/") or "fibsem" in path:
            assert answer.status in (307, 308) and answer.headers["location"] == page, path
        else:
            assert answer.status in (307, 308), path
    for path in (
        "/datasets/lab/none",
        "/datasets/none",
        "/datasets/lab/../lab/empty",
        "/datasets/lab/bad",
        "/datasets/",
    ):
        assert client.get(path).status == 404, path


def test_pictures_of_datasets_show_labels_in_colour(client):
    pillow = pytest.importorskip("PIL.Image")
    import io

    answer = client.get("/cover/lab/sets/brain?size=256")
    picture = np.asarray(pillow.open(io.BytesIO(answer.body)).convert("RGB")).astype(int)
    assert answer.status == 200 and np.ptp(picture, axis=2).max() > 30, "grey only"
    alone = client.get("/thumbnail/lab/sets/brain/em/fibsem?size=256")
    grey = np.asarray(pillow.open(io.BytesIO(alone.body)).convert("RGB")).astype(int)
    assert np.ptp(grey, axis=2).max() == 0
    for path in ("/cover/lab/none", "/cover/lab", "/cover/lab/empty", "/cover/"):
        assert client.get(path).status == 404, path
    assert client.get("/cover/lab/sets/brain?size=9999").status == 400


def test_a_report_of_validation_is_made_when_somebody_asks(client, lab):
    text = client.get("/datasets/lab/sets/brain").body.decode()
    assert 'href="../../../validation/lab/sets/brain">Check it now' in text
    report = client.get("/validation/lab/sets/brain")
    assert report.status == 200 and b"lab/sets/brain" in report.body and str(lab.parent).encode() not in report.body
    assert "script" not in report.headers["Content-Security-Policy"]
    assert client.get("/validation/lab/none").status == 404


def test_files_of_pages_are_kept_by_their_version(client):
    text = client.get("/").body.decode()
    (sheet,) = re.findall(r'href="(assets/portal\.css\?v=[0-9a-f]+)"', text)
    answer = client.get(f"/{sheet}")
    assert answer.status == 200 and "immutable" in answer.headers["Cache-Control"]
    assert answer.headers["Content-Type"] == "text/css; charset=utf-8"
    assert "immutable" not in client.get("/assets/portal.css").headers["Cache-Control"]
    for name in ("x.css", "..%2fpages.py", "portal.css/", ""):
        assert client.get(f"/assets/{name}").status == 404


def test_the_index_is_not_sent_twice(client):
    tag = client.get("/index.json").headers["ETag"]
    assert client.get("/index.json", headers={"If-None-Match": tag}).status == 304


def test_a_view_may_begin_at_a_position(client):
    pytest.importorskip("neuroglancer")
    state = json.loads(client.get("/view.json?image=lab/sets/brain/em/fibsem&position=80,100,120").body)
    at = {n: p * size for p, (n, (size, _)) in zip(state["position"], state["dimensions"].items(), strict=True)}
    assert at == {"z": pytest.approx(80e-9), "y": pytest.approx(100e-9), "x": pytest.approx(120e-9)}
    for wrong in ("1,2", "a,b,c", "nan,1,2", "1,2,1e99"):
        assert client.get(f"/view.json?image=lab/sets/brain/em/fibsem&position={wrong}").status == 400


def test_a_dataset_that_is_made_later_is_found(tmp_path, serve):
    (tmp_path / "em").mkdir()
    client = serve(tmp_path / "em")
    assert json.loads(client.get("/index.json").body)["datasets"] == []
    assert b"There is no dataset here yet" in client.get("/").body
    np.save(tmp_path / "em/a.npy", np.zeros((4, 5), np.uint8))
    client.server.site.catalogue.scan()
    assert [d["name"] for d in json.loads(client.get("/index.json").body)["datasets"]] == ["em/a.npy"]


def test_a_file_that_is_served_alone_is_a_dataset(tmp_path, serve):
    np.save(tmp_path / "alone.npy", np.zeros((4, 5), np.uint8))
    client = serve(tmp_path / "alone.npy")
    client.server.site.catalogue.scan()
    assert client.get("/datasets/alone.npy").status == 200
    assert f"{client.url}/raw/alone.npy".encode() in client.get("/datasets/alone.npy").body
