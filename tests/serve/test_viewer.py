"""The viewer's routes: client, states, short links, sessions; and the commands that begin them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from urllib.parse import unquote

import numpy as np
import pytest

import voxarium
from voxarium.spec.neuroglancer_state import parse_link, parse_state

pytest.importorskip("neuroglancer", reason="Neuroglancer is not installed")

PLACE = {"axes": "zyx", "voxel_size": (40, 8, 4), "unit": "nanometer", "translation": (100, 20, 0)}


def written(folder):
    folder.mkdir()
    data = np.random.default_rng(2).integers(100, 900, (9, 30, 41)).astype("uint16")
    np.save(folder / "em.npy", data)
    voxarium.convert(folder / "em.npy", folder / "em.zarr", **PLACE)
    voxarium.convert(folder / "em.npy", folder / "em6.zarr", spec_version="0.6", **PLACE)
    np.save(folder / "l.npy", (data > 400).astype("uint64"))
    voxarium.convert(folder / "l.npy", folder / "em.zarr/labels/cells", role="label", **PLACE)
    np.save(folder / "rgb.npy", np.stack([data, data, data]).astype("uint8"))
    voxarium.convert(folder / "rgb.npy", folder / "rgb.zarr", **{**PLACE, "axes": "czyx"})
    np.save(folder / "float.npy", data.astype("float64"))
    np.save(folder / "five.npy", np.zeros((2, 3, 4, 5, 6), "uint8"))
    np.save(folder / "flat.npy", data[0])
    (folder / "l.npy").unlink()
    return folder


@pytest.fixture(scope="module")
def lab(tmp_path_factory, client_of):
    from voxarium.serve.running import BackgroundServer

    folder = written(tmp_path_factory.mktemp("states") / "lab")
    with BackgroundServer([str(folder)]) as server:
        yield client_of(server), folder


def state_of(client, address):
    answer = client.get(f"/view.json?image={address}")
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


def source(layer):
    return layer["source"] if isinstance(layer["source"], str) else layer["source"]["url"]


def test_a_state_says_where_how_bright_and_in_which_units(lab):
    client, _ = lab
    state = state_of(client, "lab/em.zarr")
    image, labels = state["layers"]
    assert source(image) == f"zarr3://{client.url}/raw/lab/em.zarr"
    assert source(labels) == f"zarr3://{client.url}/raw/lab/em.zarr/labels/cells"
    assert (image["type"], labels["type"], labels["name"]) == ("image", "segmentation", "cells")
    assert state["dimensions"] == {"x": [4e-9, "m"], "y": [8e-9, "m"], "z": [40e-9, "m"]}
    assert state["position"] == [20, 15 + 2.5, 4 + 2.5] and state["layout"] == "4panel"
    low, high = image["shaderControls"]["normalized"]["range"]
    assert 100 <= low < 110 and 890 < high <= 900
    parse_state(json.dumps(state))


@pytest.mark.parametrize(
    ("address", "start"),
    [
        ("lab/em6.zarr", "zarr3://{}/as/ome-zarr-0.5/"), ("lab/em.npy", "zarr3://{}/as/neuroglancer/"),
        ("lab/float.npy", "zarr3://{}/as/neuroglancer/"), ("lab/rgb.zarr", "precomputed://{}/as/precomputed/"),
        ("lab/five.npy", "zarr3://{}/as/neuroglancer/"), ("lab/flat.npy", "zarr3://{}/as/neuroglancer/"),
    ],
)  # fmt: skip
def test_what_the_client_cannot_read_is_translated(lab, address, start):
    client, _ = lab
    url = source(state_of(client, address)["layers"][0])
    assert url == start.format(client.url) + address
    below = "zarr.json" if url.startswith("zarr3") else "info"
    assert client.get(f"{url.partition('://')[2].removeprefix(client.url)}/{below}").status == 200


def test_voxels_of_types_that_no_viewer_knows_are_narrowed(lab):
    client, folder = lab
    found = voxarium.open(f"{client.url}/as/neuroglancer/lab/float.npy")
    assert found.dtype == np.float32 and found.unit == "nanometer"
    np.testing.assert_array_equal(found[:], np.load(folder / "float.npy"))


def test_all_images_of_a_folder_are_layers(lab):
    client, _ = lab
    names = [layer["name"] for layer in state_of(client, "lab")["layers"]]
    assert {"em", "em6", "rgb", "em.npy"} <= {n.removesuffix(".zarr") for n in names} and len(set(names)) == len(names)


def test_view_leads_to_the_client_with_a_state(lab):
    client, _ = lab
    answer = client.get("/view/lab/em.zarr")
    assert answer.status == 302
    location = answer.getheader("location")
    assert location.startswith(f"{client.url}/v/view/#!")
    assert dict(parse_link(location)) == state_of(client, "lab/em.zarr")
    page = client.get("/v/view/")
    assert page.status == 200 and b"<script" in page.body and b"http" not in page.body
    for name in [part.split(b'"')[0].decode() for part in page.body.split(b'src="')[1:]]:
        script = client.get(f"/v/view/{name}")
        assert script.status == 200 and script.getheader("content-type") == "text/javascript"
    assert client.get("/v/view").status == 307


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int32", "uint64", "float32", "bool", "int64", "float16"])
@pytest.mark.parametrize("values", [(0, 1), (0, 0), (100, 127), (3, 3), (-5, 7)])
def test_controls_take_only_what_their_type_can_be(tmp_path, dtype, values):
    from voxarium.view.neuroglancer_state import Layer, neuroglancer_state

    data = np.array(values).repeat(60).reshape(4, 5, 6).astype(dtype)
    np.save(tmp_path / "a.npy", data)
    image = voxarium.open(tmp_path / "a.npy")
    axes = tuple(voxarium.Axis(name=n, type="space") for n in "zyx")
    layer = Layer(name="a", image=image, url="http://x", format="zarr3", axes=axes)
    control = neuroglancer_state([layer])["layers"][0]["shaderControls"]["normalized"]
    for low, high in control.values():
        assert low < high
        if np.dtype(dtype).kind in "iu" and dtype != "int64":
            assert isinstance(low, int) and isinstance(high, int)
            assert np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max


@pytest.mark.parametrize("path", ["/view", "/view.json", "/view.json?image=", *[f"/view.json?{'image=a&' * 30}"]])
def test_nothing_to_show_is_said(lab, path):
    assert lab[0].get(path).status in (400, 404)


@pytest.mark.parametrize("path", [
    "/view/lab/no", "/view/../x", "/view/lab/%2e%2e/x", "/v/a.b/", "/v/view/../../etc/passwd", "/v/view/%2e%2e/x.js",
    "/v/view/nothing.js", "/v/view/..%2f__init__.py", "/v/view/.html", "/s/nothing", "/s/aaaaaaaaaaaa", "/s/../x",
    "/s/aaaaaaaaaaaa.json", "/events/a.b", "/events/" + "a" * 70,
])  # fmt: skip
def test_what_is_not_there_is_not_found(lab, path):
    assert lab[0].get(path).status == 404


def test_states_are_saved_under_short_links(lab):
    client, _ = lab
    state = {"layers": [], "title": "µ"}
    answer = client.request("/s", "POST", body=json.dumps(state).encode())
    assert answer.status == 201
    url = json.loads(answer.body)
    assert url.startswith(f"{client.url}/s/") and len(url) < len(client.url) + 20
    path = url.removeprefix(client.url)
    assert json.loads(client.get(f"{path}.json").body) == state
    location = client.get(path).getheader("location")
    assert unquote(location) == f"{client.url}/v/view/#!{url}.json"
    assert json.loads(client.request("/s", "POST", body=json.dumps(state).encode()).body) == url


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"1", b"[" * 100_000, b"null"])
@pytest.mark.parametrize("path", ["/s", "/state/abc"])
def test_junk_is_no_state(lab, path, body):
    assert lab[0].request(path, "POST", body=body).status == 400


def test_pages_of_other_sites_change_nothing(lab):
    client, _ = lab
    body = json.dumps({"s": {}, "g": 1, "pg": "", "c": "x"}).encode()
    assert client.request("/state/other", "POST", {"origin": "http://evil.example"}, body).status == 400
    assert client.request("/s", "POST", {"origin": "http://evil.example"}, b"{}").status == 400
    assert client.request("/s", "POST", {"origin": client.url}, b"{}").status == 201


def test_saved_states_are_bounded(tmp_path):
    from voxarium.serve.saved_states import SavedStates, Sessions

    saved = SavedStates()
    names = [saved.save({"n": i}) for i in range(5000)]
    assert saved.get(names[0]) is None and saved.get(names[-1]) is not None
    one, other = SavedStates(str(tmp_path)), SavedStates(str(tmp_path))
    assert other.get(one.save({"a": 1})) == b'{"a":1}'
    assert other.get("../../etc/pa") is None
    sessions = Sessions()
    for i in range(300):
        assert sessions.change(str(i), {}, client="a", before="", size=10)
    assert sessions.get("0").generation == "" and sessions.get("299").generation


def event(stream):
    """Return the next event of a stream."""
    while True:
        line = stream.readline()
        if line.startswith(b"data: "):
            return json.loads(line[6:])
        assert line, "the stream has ended"


def test_browsers_share_a_session(lab):
    import http.client

    client, _ = lab
    connection = http.client.HTTPConnection(client.host, client.port, timeout=20)
    connection.request("GET", "/events/room?c=B&gc=&gs=")
    stream = connection.getresponse()
    assert stream.getheader("content-type").startswith("text/event-stream")

    def change(c, before, title):
        body = json.dumps({"s": {"title": title}, "g": 1, "pg": before, "c": c}).encode()
        return client.request("/state/room", "POST", body=body)

    first = change("A", "", "one")
    generation = json.loads(first.body)["g"]
    assert event(stream) == {"k": "s", "s": {"title": "one"}, "g": generation}
    assert change("B", "", "two").status == 412
    assert change("B", generation, "two").status == 200
    assert json.loads(change("A", generation, "x").body if change("A", generation, "x").status == 200 else "0") == 0
    connection.close()


def test_a_server_with_open_viewers_stops_at_once(tmp_path):
    import http.client
    from time import monotonic

    from voxarium.serve.running import BackgroundServer

    server = BackgroundServer([str(tmp_path)]).__enter__()
    connection = http.client.HTTPConnection(*server.url.removeprefix("http://").split(":"), timeout=20)
    connection.request("GET", "/events/room?c=B&gc=&gs=")
    stream = connection.getresponse()
    reader = threading.Thread(target=stream.read)
    reader.start()
    began = monotonic()
    server.stop()
    assert monotonic() - began < 5
    reader.join()
    connection.close()


def test_actions_are_taken_and_no_credentials_given(lab):
    assert lab[0].request("/action/x", "POST", body=b'{"action": "a", "state": {}}').status == 200
    assert lab[0].request("/credentials/x", "POST", body=b'{"key": "gcs"}').status == 404


def test_pages_link_to_the_viewer(lab):
    client, _ = lab
    assert b'href="view/lab/em.zarr"' in client.get("/images").body
    images = json.loads(client.get("/images.json").body)["images"]
    assert f"{client.url}/view/lab/em.zarr" in [i["view"] for i in images]


def test_link_prints_a_state(lab, capsys):
    from voxarium.cli.main import main

    _, folder = lab
    assert main(["link", f"em={folder}/em.zarr", "--server", "https://data.example.org/"]) == 0
    url = capsys.readouterr().out.strip().replace("\n", "")
    state = parse_link(url)
    assert url.startswith("https://data.example.org/v/view/#!")
    assert source(state["layers"][0]) == "zarr3://https://data.example.org/raw/em"


def test_view_serves_and_says_where(lab):
    import urllib.request

    _, folder = lab
    command = [sys.executable, "-m", "voxarium.cli", "view", f"{folder}/em.npy", "--no-browser", "--json"]
    if not os.path.exists(os.path.join(os.path.dirname(voxarium.__file__), "cli", "__main__.py")):
        command = [sys.executable, "-c", "import sys; from voxarium.cli.main import main; sys.exit(main(sys.argv[1:]))",
                   *command[3:]]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        told = json.loads(process.stdout.readline())
        with urllib.request.urlopen(told["url"]) as answer:
            assert answer.status == 200 and b"<script" in answer.read()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)
        process.stdout.close()


def test_images_are_shown_in_notebooks(lab):
    import urllib.request

    _, folder = lab
    with voxarium.show(folder / "em.zarr", voxarium.open(folder / "em.npy"), height=400) as shown:
        html = shown._repr_html_()
        assert "<iframe" in html and shown.url.replace("&", "&amp;") in html and 'height="400"' in html
        with urllib.request.urlopen(shown.url.replace("/view?", "/view.json?")) as answer:
            assert [layer["name"] for layer in json.loads(answer.read())["layers"]] == ["em", "em.npy", "cells"]
    with pytest.raises(voxarium.VoxariumError, match="no image"):
        voxarium.show()


def test_without_the_client_the_extra_is_named(lab, monkeypatch):
    monkeypatch.setattr("voxarium.serve.viewer.find_spec", lambda name: None)
    answer = lab[0].get("/view/lab/em.zarr")
    assert answer.status == 501 and b"voxarium[view]" in answer.body
    with pytest.raises(voxarium.VoxariumError) as caught:
        voxarium.show("x")
    assert caught.value.code == voxarium.Code.EXTRA_NOT_INSTALLED


def test_datasets_of_a_file_are_layers_and_labels_lie_on_top(serve, tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "two.h5", "w") as file:
        file["labels"] = np.ones((7, 18, 21), np.uint64)
        file["raw"] = np.ones((7, 18, 21), np.uint8)
    for root in (tmp_path / "two.h5", f"two.h5={tmp_path}"):
        client = serve(root)
        listed = json.loads(client.get("/images.json").body)["images"]
        assert [i["address"].partition("::")[2] for i in listed] == ["/labels", "/raw"]
        state = json.loads(client.get("/view.json?image=two.h5").body)
        assert [(layer["name"], layer["type"]) for layer in state["layers"]] == [
            ("raw", "image"),
            ("labels", "segmentation"),
        ]
        alone = json.loads(client.get(f"/view.json?image={listed[0]['address']}").body)
        assert [layer["type"] for layer in alone["layers"]] == ["segmentation"]
