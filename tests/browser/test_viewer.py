"""The viewer that the server itself hosts: what is stored in other formats is seen where it is, without converting."""

from __future__ import annotations

import io
import json
import os
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest

import voxarium

SHAPE = (37, 61, 83)
BLOCK = ((11, 19), (14, 38), (21, 66))  # voxels that are lit, first and past the last
VOXEL_SIZE = (40.0, 5.0, 8.0)
TRANSLATION = (820.0, -30.0, 124.0)
LABEL = 7
PATIENCE = 60
PIXELS = 1.6  # nearest-voxel drawing, and rounding to whole pixels
PANELS = {"xy": (1, 2), "xz": (0, 2), "yz": (1, 0)}  # down and across the screen


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """Serve one bright block as HDF5, PNG slices, and a WEBKNOSSOS dataset with labels."""
    pytest.importorskip("uvicorn", reason="uvicorn is not installed")
    h5py, pictures = pytest.importorskip("h5py"), pytest.importorskip("PIL.Image")
    pytest.importorskip("neuroglancer", reason="Neuroglancer is not installed")
    from voxarium.serve.running import BackgroundServer

    folder = tmp_path_factory.mktemp("viewer") / "lab"
    (folder / "slices").mkdir(parents=True)
    data = np.full(SHAPE, 20, np.uint8)
    data[tuple(slice(a, b) for a, b in BLOCK)] = 220
    with h5py.File(folder / "em.h5", "w") as file:
        file.create_dataset("volumes/raw", data=data.astype(np.float64), chunks=(8, 16, 32))
    for i, plane in enumerate(data):
        pictures.fromarray(plane).save(folder / f"slices/z{i:03}.png")
    np.save(folder.parent / "em.npy", data)
    np.save(folder.parent / "labels.npy", (data > 100).astype(np.uint32) * LABEL)
    np.save(folder.parent / "channels.npy", np.stack([data, 240 - data]))
    place: dict[str, Any] = {"axes": "zyx", "voxel_size": VOXEL_SIZE, "unit": "nanometer", "chunk": 16, "levels": 2}
    for name, source, role in (("color", "em", "intensity"), ("segmentation", "labels", "label")):
        voxarium.convert(folder.parent / f"{source}.npy", folder / "wk" / name, format="webknossos", role=role, **place)
    moved = place | {"translation": TRANSLATION}
    voxarium.convert(folder.parent / "em.npy", folder / "em.zarr", spec_version="0.6", **moved)
    voxarium.convert(folder.parent / "labels.npy", folder / "em.zarr/labels/cells", role="label", **moved)
    voxarium.convert(folder.parent / "channels.npy", folder / "channels.zarr", **{**moved, "axes": "czyx"})
    with BackgroundServer([str(folder)]) as server:
        yield folder, server.url


def state_of(url: str, *addresses: str) -> dict[str, Any]:
    query = "&".join(f"image={quote(a)}" for a in addresses)
    with urllib.request.urlopen(f"{url}/view.json?{query}") as answer:
        found: dict[str, Any] = json.loads(answer.read())
    return found


def drawn(browser: Any, address: str) -> np.ndarray:
    """Open an address and return the picture, once all layers have been drawn."""
    from PIL import Image

    browser.get("about:blank")
    browser.get_log("browser")
    browser.get(address)
    ready = (
        "const v = window.viewer; return !!v && v.layerManager.managedLayers.length > 0 && v.isReady() &&"
        " v.layerManager.managedLayers.every(l => l.isReady())"
    )
    end = time.monotonic() + PATIENCE
    while not browser.execute_script(ready):
        if time.monotonic() > end:
            pytest.fail(" ".join(browser.find_element("xpath", "//body").text.split())[:500])
        time.sleep(0.1)
    time.sleep(0.5)  # the last frame
    picture = np.asarray(Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB"))
    if folder := os.environ.get("VOXARIUM_SCREENSHOTS"):
        name = f"{os.environ['PYTEST_CURRENT_TEST'].split('::')[-1].split(' ')[0]}-{int(time.time() * 10) % 10**6}.png"
        Image.fromarray(picture).save(Path(folder) / name.replace("/", "_"))
    problems = [e["message"] for e in browser.get_log("browser") if e["level"] in ("SEVERE", "WARNING")]
    assert not [p for p in problems if "GPU" not in p and "GL Driver" not in p and "WebGL" not in p], problems
    return picture


def panels(browser: Any) -> dict[str, tuple[int, int, int, int]]:
    """Return where the cross sections are: left, top, width, height."""
    found = browser.execute_script(
        "return [...document.querySelectorAll('.neuroglancer-rendered-data-panel')].map(e => {"
        "const r = e.getBoundingClientRect(); return [r.left + e.clientLeft, r.top + e.clientTop, e.clientWidth,"
        " e.clientHeight]})"
    )
    assert len(found) == 4
    found = sorted((tuple(map(round, r)) for r in found), key=lambda r: (r[1] > found[0][1] + 50, r[0]))
    return {"xy": found[0], "xz": found[1], "yz": found[3]}


def check_block(
    browser: Any, picture: np.ndarray, state: dict[str, Any], lit: Any, size: Any, shape: Any = SHAPE
) -> None:
    """Check that the block stands where it should in every panel; the position is the middle voxel."""
    step = state["crossSectionScale"] * min(size)
    for name, (left, top, width, height) in panels(browser).items():
        part = lit(picture[top : top + height, left : left + width].astype(int))
        part[:32, -60:] = part[:70, :30] = False  # buttons and names of axes
        rows, columns = np.nonzero(part.any(axis=1))[0], np.nonzero(part.any(axis=0))[0]
        assert len(rows), f"nothing is lit in {name}"
        seen = [rows[0], rows[-1] + 1, columns[0], columns[-1] + 1]
        expected = []
        for axis, middle in zip(PANELS[name], (height / 2, width / 2), strict=True):
            way = -1 if axis == 0 and name == "yz" else 1  # z goes to the left there
            edges = [middle + way * (e - shape[axis] // 2 - 0.5) * size[axis] / step for e in BLOCK[axis]]
            expected += sorted(edges)
        assert np.abs(np.subtract(seen, expected)).max() <= PIXELS, (name, seen, expected)


def bright(part: np.ndarray) -> np.ndarray:
    found: np.ndarray = (part > 200).all(axis=-1)
    return found


def plain(state: dict[str, Any]) -> dict[str, Any]:
    """Return a state without what is drawn over the images."""
    return state | {"showAxisLines": False, "showScaleBar": False, "showDefaultAnnotations": False}


@pytest.mark.parametrize(
    ("addresses", "size"),
    [
        (["lab/em.h5::/volumes/raw"], (1, 1, 1)),
        (["lab/slices"], (1, 1, 1)),
        (["lab/wk/color"], VOXEL_SIZE),
        (["lab/em.zarr"], VOXEL_SIZE),
    ],
)
def test_images_of_any_format_are_where_they_should_be(
    lab: tuple[Path, str], browser: Any, addresses: list[str], size: Any
) -> None:
    _, url = lab
    state = state_of(url, *addresses)
    state["layers"] = [layer for layer in state["layers"] if layer["type"] == "image"]
    picture = drawn(browser, f"{url}/v/view/#!{quote(json.dumps(plain(state)))}")
    check_block(browser, picture, state, bright, size)
    left, top, width, height = panels(browser)["xy"]
    inside = picture[top : top + height, left : left + width][height // 2 - 6, width // 2 + 3]
    assert inside.min() >= 250, "the brightest voxels are white"


@pytest.mark.parametrize("address", ["lab/wk", "lab/em.zarr"])
def test_labels_lie_over_their_image(lab: tuple[Path, str], browser: Any, address: str) -> None:
    _, url = lab
    state = plain(state_of(url, address))
    assert [layer["type"] for layer in state["layers"]] == ["image", "segmentation"]
    state["layers"][1] |= {"segmentColors": {str(LABEL): "#ff0000"}, "selectedAlpha": 1}
    picture = drawn(browser, f"{url}/v/view/#!{quote(json.dumps(state))}")

    def red(part: np.ndarray) -> np.ndarray:
        found: np.ndarray = (np.abs(part - (255, 0, 0)) < 40).all(axis=-1)
        return found

    check_block(browser, picture, state, red, VOXEL_SIZE)


def test_channels_are_mixed_where_they_are(lab: tuple[Path, str], browser: Any) -> None:
    _, url = lab
    state = plain(state_of(url, "lab/channels.zarr"))
    (layer,) = state["layers"]
    assert "contrast1" in layer["shader"]
    layer["shaderControls"] = {"contrast0": {"range": [0, 255]}, "color1": "#000000"}
    picture = drawn(browser, f"{url}/v/view/#!{quote(json.dumps(state))}")

    def lit(part: np.ndarray) -> np.ndarray:
        found: np.ndarray = part.max(axis=-1) > 150
        return found

    check_block(browser, picture, state, lit, VOXEL_SIZE)


def test_a_link_shows_the_whole_viewer_and_a_saved_state_shows_it_again(lab: tuple[Path, str], browser: Any) -> None:
    _, url = lab
    first = drawn(browser, f"{url}/view/lab/wk")
    assert first[100:700].std() > 20
    browser.set_script_timeout(20)
    link = browser.execute_async_script(
        "const done = arguments[0]; fetch('/s', {method: 'POST', body: JSON.stringify(viewer.state.toJSON())})"
        ".then(r => r.json()).then(done)"
    )
    assert link.startswith(f"{url}/s/")
    again = drawn(browser, link)
    assert np.abs(first[100:].astype(int) - again[100:]).mean() < 2


def test_a_first_picture_of_many_slices_comes_from_few_of_them(tmp_path: Path, browser: Any) -> None:
    """What the viewer asks for first is the smallest level, which takes an eighth of the slices."""
    from PIL import Image

    from voxarium.serve.access_log import AccessLog
    from voxarium.serve.running import BackgroundServer

    pytest.importorskip("neuroglancer", reason="Neuroglancer is not installed")
    (tmp_path / "slices").mkdir()
    plane = np.random.default_rng(6).integers(0, 255, (300, 500)).astype(np.uint8)
    for i in range(160):
        Image.fromarray(plane).save(tmp_path / f"slices/z{i:03}.png", compress_level=1)
    with BackgroundServer([str(tmp_path / "slices")], access_log=AccessLog(str(tmp_path / "log"))) as server:
        picture = drawn(browser, f"{server.url}/view/slices")
        left, top, width, height = panels(browser)["xy"]
        assert picture[top : top + height, left : left + width].std() > 20
    paths = [json.loads(line)["path"] for line in (tmp_path / "log").read_text().splitlines()]
    chunks = [p.removeprefix("/as/neuroglancer/slices/") for p in paths if "/c/" in p]
    assert chunks[0].startswith("s3/"), chunks[:5]
    assert sum(c.startswith("s3/") for c in chunks) == 1, "one chunk shows all of it"
