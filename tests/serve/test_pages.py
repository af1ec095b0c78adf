"""What people and programs find at the top: images, pictures, addresses to copy; and what operators read."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import time

import numpy as np
import pytest

import voxarium
from voxarium.serve.access_log import AccessLog, shown_path, shown_query

SHAPE = (12, 21, 31)
DATA = np.random.default_rng(3).integers(0, 255, SHAPE, np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    h5py = pytest.importorskip("h5py")
    folder = tmp_path_factory.mktemp("lab") / "lab"
    folder.mkdir()
    np.save(folder / "source.npy", DATA)
    for name, options in {
        "cells.ome.zarr": {"format": "ome-zarr", "spec_version": "0.5"},
        "new.ome.zarr": {"format": "ome-zarr", "spec_version": "0.6"},
        "deep/er/seg": {"format": "precomputed"},
        "em.n5": {"format": "n5-viewer"},
    }.items():
        voxarium.convert(
            folder / "source.npy", folder / name, axes="zyx", voxel_size=(40, 8, 8), unit="nanometer", levels=2,
            accept=("all",), **options,
        )  # fmt: skip
    (folder / "source.npy").unlink()
    with h5py.File(folder / "stack.h5", "w") as file:
        file.create_dataset("em", data=DATA)
    (folder / "broken.zarr").mkdir()
    (folder / "broken.zarr/zarr.json").write_text("{")
    (folder / "<b>&\"'.zarr").mkdir()
    (folder / "<b>&\"'.zarr/.zarray").write_text(
        '{"zarr_format": 2, "shape": [3, 4], "chunks": [3, 4], "dtype": "|u1", "compressor": null, "fill_value": 0,'
        ' "order": "C", "filters": null}'
    )
    return folder


@pytest.fixture(scope="module")
def client(folder, client_of):
    from voxarium.serve.running import BackgroundServer

    with BackgroundServer([str(folder)]) as server:
        server.site.catalogue.scan()
        yield client_of(server)


def test_all_images_are_listed_with_what_programs_need(client):
    images = {i["address"]: i for i in json.loads(client.get("/images.json").body)["images"]}
    assert {"lab/cells.ome.zarr", "lab/new.ome.zarr", "lab/deep/er/seg", "lab/em.n5", "lab/broken.zarr"} <= set(images)
    cells = images["lab/cells.ome.zarr"]
    assert cells["levels"][0]["shape"] == list(SHAPE) and cells["voxel_size"] == [40, 8, 8]
    assert cells["axes"][0] == {"name": "z", "type": "space", "unit": "nanometer"}
    assert (cells["dtype"], cells["format"], cells["spec_version"]) == ("uint8", "ome-zarr", "0.5")
    assert images["lab/broken.zarr"]["kind"] == "broken" and "levels" not in images["lab/broken.zarr"]


def test_every_url_and_line_to_copy_works(client):
    images = json.loads(client.get("/images.json").body)["images"]
    tried = set()
    for image in images:
        for copy in image.get("copy", ()):
            text, program = copy["text"], copy["program"]
            if program == "Neuroglancer":
                scheme, _, url = text.partition("://")
                document = {"zarr2": ".zarray", "zarr3": "zarr.json", "precomputed": "info", "n5": "attributes.json"}[
                    scheme
                ]
                assert client.get(url.removeprefix(client.url) + f"/{document}").status == 200
            elif program == "WEBKNOSSOS":
                identifier = re.search(r"/datasets/[^/]*-([0-9a-f]+)/view", text)[1]
                found = json.loads(client.get(f"/api/v16/datasets/{identifier}").body)
                assert found["name"] == image["address"]
            elif program in ("Voxarium", "TensorStore", "zarr-python"):
                if program != "Voxarium":
                    pytest.importorskip({"TensorStore": "tensorstore", "zarr-python": "zarr"}[program])
                names = {}
                exec(text, names)
                found = np.asarray(names["image"] if program == "Voxarium" else names["array"]).squeeze()
                if image["address"].startswith(("lab/c", "lab/n", "lab/d", "lab/e")):
                    assert np.array_equal(found, DATA) or np.array_equal(found.T, DATA)
            elif program in ("napari", "vizarr", "Fiji"):
                url = text.rpartition(" ")[2].strip("'")
                new, old = (client.get(f"{url.removeprefix(client.url)}/{d}").status for d in ("zarr.json", ".zattrs"))
                others = (
                    client.get(f"{url.removeprefix(client.url)}/{d}").status for d in ("attributes.json", ".zarray")
                )
                assert 200 in {"napari": (new, old), "vizarr": (old,), "Fiji": (new, old, *others)}[program], text
            tried.add(program)
    assert tried >= {
        "URL",
        "Neuroglancer",
        "Voxarium",
        "TensorStore",
        "zarr-python",
        "Fiji",
        "CloudVolume",
        "WEBKNOSSOS",
        "napari",
        "vizarr",
        "NiiVue",
    }


def test_the_page_shows_images_and_loads_nothing_from_elsewhere(client):
    answer = client.get("/images")
    text = answer.body.decode()
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "lab/cells.ome.zarr" in text and "40 × 8 × 8 nm" in text and "12 × 21 × 31" in text
    assert f"zarr3://{client.url}/raw/lab/cells.ome.zarr" in text
    assert "&lt;b&gt;&amp;&quot;&#x27;" in text and "<b>&" not in text
    for link in re.findall(r'(?:href|src)="([^"]+)"', text):
        assert not link.startswith(("/", "//")) and "://" not in link, link
        if not link.startswith("data:"):
            path = link.replace("&amp;", "&").removeprefix("./")
            # The viewer is elsewhere on this server; pictures that would take too much to draw are not there.
            assert client.get(f"/{path}").status in ((302,) if path.startswith("view/") else (200, 404)), path
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe-inline' 'sha" not in policy
    assert "/lab" not in re.sub(r"lab/", "", text.replace(client.url, "")) or "file://" not in text


def test_the_page_and_the_list_do_not_say_where_things_are_on_the_machine(client, folder):
    for path in ("/", "/images", "/index.json", "/datasets/lab/cells.ome.zarr", "/images.json", "/metrics", "/raw/lab/",
                 "/raw/lab/nothing", "/healthz"):  # fmt: skip
        assert str(folder.parent).encode() not in client.get(path).body


def test_names_in_files_do_not_run_when_they_are_pasted(tmp_path):
    import ast

    from voxarium.serve.snippets import snippets

    np.save(tmp_path / "a.npy", DATA)
    name = "x'\"); print('run') #"
    (line,) = [
        s.text for s in snippets(voxarium.open(tmp_path / "a.npy"), f"lab/a.h5::/{name}", "http://x")
        if s.program == "Voxarium"
    ]  # fmt: skip
    _, statement = ast.parse(line).body
    assert statement.value.args[0].value == f"http://x/raw/lab/a.h5::/{name}"


def test_the_page_is_searched_and_turned(client):
    text = client.get("/images?search=precomputed").body.decode()
    assert "lab/deep/er/seg" in text and "lab/cells.ome.zarr</a>" not in text
    hostile = client.get("/images?search=%22%3E%3Cscript%3Ealert(1)%3C/script%3E").body.decode()
    assert "<script>alert" not in hostile
    assert client.get("/images?from=99999999999999999999").status == 200
    assert client.get("/images?from=7").status == 200


def test_pictures_show_the_image(client):
    pillow = pytest.importorskip("PIL.Image")
    answer = client.get("/thumbnail/lab/cells.ome.zarr?size=256")
    assert answer.status == 200 and answer.headers["Content-Type"] == "image/png"
    picture = pillow.open(io.BytesIO(answer.body))
    assert picture.size == (256, 173)
    assert np.asarray(picture).std() > 10
    assert (
        client.get("/thumbnail/lab/cells.ome.zarr?size=256", headers={"If-None-Match": answer.headers["ETag"]}).status
        == 304
    )
    assert client.get("/thumbnail/lab/stack.h5::/em").status == 200
    for kind, begins in (("jpg", b"\xff\xd8\xff"), ("webp", b"RIFF")):
        other = client.get(f"/thumbnail/lab/cells.ome.zarr?size=256&format={kind}")
        assert other.status == 200 and other.body.startswith(begins) and other.headers["ETag"] != answer.headers["ETag"]
        assert other.headers["Content-Type"] == f"image/{kind.replace('jpg', 'jpeg')}"
    assert client.get("/thumbnail/lab/cells.ome.zarr?format=bmp").status == 400
    for path in ("nothing", "lab", "lab/nothing", "lab/../lab/cells.ome.zarr", "lab/broken.zarr", "other/x"):
        assert client.get(f"/thumbnail/{path}").status == 404
    for size in ("0", "100000", "x", "-1", "٣"):
        from urllib.parse import quote

        assert client.get(f"/thumbnail/lab/cells.ome.zarr?size={quote(size)}").status == 400


def test_a_picture_that_would_take_too_much_is_not_drawn(tmp_path, serve):
    folder = tmp_path / "huge.zarr"
    folder.mkdir()
    (folder / ".zarray").write_text(
        '{"zarr_format": 2, "shape": [9, 9000000, 9000000], "chunks": [1, 4096, 4096], "dtype": "|u1", '
        '"compressor": null, "fill_value": 0, "order": "C", "filters": null}'
    )
    assert serve(folder).get("/thumbnail/huge.zarr").status == 404


def test_the_catalogue_finds_the_image_an_address_begins_with(client):
    catalogue = client.server.site.catalogue
    for rest in ("", "s0/c/0/0/0", "zarr.json", "a/b/c/d/e/f/g/h/i/j/k/l/m/n/o"):
        found = catalogue.find(f"lab/cells.ome.zarr/{rest}".rstrip("/"))
        assert found.address == "lab/cells.ome.zarr" and found.rest == rest and found.image.shape == SHAPE
    found = catalogue.find("lab/stack.h5::/em/0.0.0")
    assert found.address == "lab/stack.h5::/em" and found.rest == "0.0.0"
    for nothing in ("", "lab", "lab/none", "none/x", "lab/../x", "lab/.git/x", "lab//x"):
        with pytest.raises(voxarium.VoxariumError):
            catalogue.find(nothing)


def test_new_images_are_found_later(tmp_path, serve):
    (tmp_path / "em").mkdir()
    client = serve(tmp_path / "em")
    assert json.loads(client.get("/images.json").body)["images"] == []
    np.save(tmp_path / "em/a.npy", DATA)
    client.server.site.catalogue.scan()
    (image,) = json.loads(client.get("/images.json").body)["images"]
    assert image["address"] == "em/a.npy"


def test_the_address_of_the_server_can_be_stated(folder, serve):
    client = serve(folder, url="https://data.example/em/")
    assert b"zarr3://https://data.example/em/raw/lab/cells.ome.zarr" in client.get("/images").body


# --------------------------------------------------------------------------------------------------------- operation
def test_health_and_counts_are_told(client):
    health = json.loads(client.get("/healthz").body)
    assert health["status"] == "ok" and health["scanned"] is True and health["found"] >= 5
    before = client.get("/metrics").body.decode()
    client.get("/raw/lab/nothing")
    client.get("/x'\"}\n/made/up".replace("\n", "%0a"))
    text = client.get("/metrics").body.decode()

    def count(page, key):
        return int((re.findall(rf"^{re.escape(key)} (\d+)$", page, re.MULTILINE) or ["0"])[0])

    key = 'voxarium_requests_total{route="raw",method="GET",status="404"}'
    assert count(text, key) == count(before, key) + 1
    assert "made" not in text and 'route="other"' in text
    for line in text.splitlines():
        assert re.fullmatch(r"# (HELP|TYPE) \w+ .+|\w+(\{[^}]*\})? [0-9.e+-]+", line), line
    assert 'voxarium_request_seconds_bucket{route="raw",le="+Inf"}' in text and "process_open_fds" in text


def test_the_access_log_has_a_line_for_each_request_and_no_secret(folder, serve, tmp_path):
    file = tmp_path / "access.jsonl"
    client = serve(folder, access_log=AccessLog(str(file)))
    client.get(
        "/raw/lab/cells.ome.zarr/zarr.json?token=SECRET1",
        headers={"Range": "bytes=0-3", "Authorization": "Bearer SECRET2"},
    )
    client.get("/t/SECRET3/raw/lab/x%0a%22", headers={"Cookie": "SECRET4", "X-Auth-Token": "SECRET5"})
    for _ in range(200):
        if file.exists() and len(lines := file.read_text().splitlines()) == 2:
            break
        time.sleep(0.05)
    first, second = (json.loads(line) for line in lines)
    assert (first["method"], first["path"], first["status"], first["bytes"]) == (
        "GET", "/raw/lab/cells.ome.zarr/zarr.json", 206, 4,
    )  # fmt: skip
    assert first["query"] == "token=***" and first["range"] == "bytes=0-3" and first["client"] == "127.0.0.1"
    assert second["path"] == '/t/***/raw/lab/x\n"' and second["status"] == 404
    assert "SECRET" not in file.read_text()


def test_tokens_in_paths_and_queries_are_not_shown():
    assert shown_path("/t/abc/raw/x") == "/t/***/raw/x" and shown_path("/v/abc") == "/v/***"
    assert (
        shown_query(b"level=2&token=a&X-Amz-Signature=b&prefix=em/")
        == "level=2&token=***&X-Amz-Signature=***&prefix=em/"
    )


def test_the_program_says_where_it_serves_and_stops_when_told(folder):
    code = "import sys; from voxarium.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "serve", str(folder), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            told = json.loads(process.stdout.readline())
            assert told["url"].startswith("http://127.0.0.1:") and told["roots"] == ["lab"]
            assert "lab/cells.ome.zarr" in [i["address"] for i in told["images"]]
            assert (voxarium.open(f"{told['url']}/raw/lab/cells.ome.zarr")[...] == DATA).all()
        finally:
            process.terminate()
        assert process.wait(30) == 0 and process.stderr.read() == ""


def test_the_program_lists_images_for_people(folder):
    code = "import sys; from voxarium.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "serve", f"em={folder}", str(folder / "stack.h5")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            lines = [process.stdout.readline() for _ in range(4)]
        finally:
            import signal

            process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert re.match(r"http://127\.0\.0\.1:\d+  serves em, stack\.h5", lines[0])
    assert any("/raw/em/cells.ome.zarr  ome-zarr, uint8 12 × 21 × 31" in line for line in lines)


def test_what_cannot_be_served_is_said_before_anything_starts(tmp_path, capsys):
    from voxarium.cli.main import main

    assert main(["serve", str(tmp_path / "nothing")]) == 1
    assert "nothing at" in capsys.readouterr().err
    assert main(["serve", str(tmp_path), "--host", "203.0.113.9"]) == 1
    assert "cannot listen" in capsys.readouterr().err
    assert main(["serve", str(tmp_path), "--access-log", str(tmp_path / "no/such/log")]) == 1
    assert "access log" in capsys.readouterr().err


def test_an_image_that_many_ask_for_at_once_is_opened_once(folder, serve, monkeypatch):
    from concurrent.futures import ThreadPoolExecutor

    from voxarium.serve import catalogue

    client = serve(folder)
    opened = []

    def slowly(store, path):
        opened.append(path)
        time.sleep(0.2)
        return voxarium.open(f"{folder}/cells.ome.zarr")

    monkeypatch.setattr(catalogue, "open_image", slowly)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(client.server.site.catalogue.image, ["lab/x"] * 8))
    assert len(opened) == 1 and len({id(f) for f in found}) == 1


def test_names_inside_files_are_no_chains_of_addresses_to_fsspec(serve, tmp_path):
    h5py, zarr = pytest.importorskip("h5py"), pytest.importorskip("zarr", reason="zarr is not installed")
    with h5py.File(tmp_path / "two.h5", "w") as file:
        file["a"], file["b"] = DATA, DATA
    client = serve(tmp_path / "two.h5")
    (image, _) = json.loads(client.get("/images.json").body)["images"]
    text = next(c["text"] for c in image["copy"] if c["program"] == "zarr-python")
    names = {"zarr": zarr}
    exec(text, names)
    assert np.array_equal(names["array"][...], DATA)
