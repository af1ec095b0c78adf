"""NiiVue in a real browser: volumes of any format and surfaces are where they should be, under a strict policy."""

from __future__ import annotations

import io
import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import voxarium

PATIENCE = 60
SHAPE = (20, 30, 40)
BLOCK = ((5, 11), (8, 20), (10, 30))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    pytest.importorskip("uvicorn", reason="uvicorn is not installed")
    pytest.importorskip("ipyniivue", reason="ipyniivue is not installed")
    nibabel = pytest.importorskip("nibabel", reason="nibabel is not installed")
    from voxarium.serve.running import BackgroundServer

    folder = tmp_path_factory.mktemp("niivue") / "lab"
    folder.mkdir()
    data = np.zeros(SHAPE, np.uint8)
    data[tuple(slice(a, b) for a, b in BLOCK)] = 200
    np.save(folder / "em.npy", data)
    place: dict[str, Any] = {"axes": "zyx", "voxel_size": (40, 8, 4), "unit": "nanometer", "translation": (7, 5, 3)}
    voxarium.convert(folder / "em.npy", folder / "em.zarr", chunk=16, **place)
    nibabel.save(nibabel.Nifti1Image(data.T, np.diag([1, 2, 3, 1])), folder / "brain.nii.gz")
    corners = np.array([(0, 0, 0), (20, 0, 0), (0, 30, 0), (0, 0, 40)], "<f4")
    faces = [(0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3)]
    triangles = b"".join(struct.pack("<3f", 0, 0, 1) + corners[list(f)].tobytes() + b"\0\0" for f in faces)
    (folder / "cell.stl").write_bytes(bytes(80) + struct.pack("<I", len(faces)) + triangles)
    with BackgroundServer([str(folder)]) as server:
        yield folder, server.url


def shown(browser: Any, address: str) -> np.ndarray:
    """Return the picture of a page, once everything was loaded; nothing was refused or said."""
    from PIL import Image

    browser.get("about:blank")
    browser.get_log("browser")
    browser.get(address)
    end = time.monotonic() + PATIENCE
    while (ready := browser.execute_script("return document.body.dataset.ready")) is None:
        if time.monotonic() > end:
            pytest.fail(browser.find_element("xpath", "//body").text[:500])
        time.sleep(0.1)
    problems = [e["message"] for e in browser.get_log("browser") if e["level"] in ("SEVERE", "WARNING")]
    assert ready == "true", browser.find_element("xpath", "//footer").text
    assert not [p for p in problems if not any(w in p for w in ("GPU", "GL Driver", "WebGL"))], problems
    time.sleep(0.5)  # the last frame
    picture = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")
    if folder := os.environ.get("VOXARIUM_SCREENSHOTS"):
        picture.save(Path(folder) / f"niivue-{address.rpartition('=')[2].rpartition('/')[2]}.png")
    return np.asarray(picture).astype(int)


@pytest.mark.parametrize(
    ("address", "size", "first"),
    [
        ("lab/brain.nii.gz", (3, 2, 1), (0, 0, 0)), ("lab/em.zarr", (40, 8, 4), (7, 5, 3)),
        ("lab/em.npy", (1, 1, 1), (0, 0, 0)),
    ],
)  # fmt: skip
def test_voxels_are_where_they_should_be(
    lab: tuple[Path, str], browser: Any, address: str, size: Any, first: Any
) -> None:
    _, url = lab
    picture = shown(browser, f"{url}/niivue/{address}")
    assert (picture > 100).all(axis=-1).sum() > 500, "the block is seen"
    told = browser.execute_script(
        "const v = niivue.volumes[0]; const at = p => [...v.vox2mm(p, v.matRAS ?? v.hdr.affine)].slice(0, 3);"
        "return [at([0, 0, 0]), at([10, 8, 5]), v.getValue(10, 8, 5), v.getValue(9, 8, 5), v.getValue(29, 19, 10),"
        "v.getValue(30, 19, 10)]"
    )
    np.testing.assert_allclose(told[0][::-1], first, atol=1e-3)
    expected = [f + s * i for f, s, i in zip(first, size, (5, 8, 10), strict=True)]
    np.testing.assert_allclose(told[1][::-1], expected, atol=1e-3)
    assert told[2:] == [200, 0, 200, 0]


def test_surfaces_are_drawn_over_volumes(lab: tuple[Path, str], browser: Any) -> None:
    _, url = lab
    alone = shown(browser, f"{url}/niivue/lab/cell.stl")
    assert (alone.max(axis=-1) > 60).sum() > 2000
    shown(browser, f"{url}/niivue?image=lab/brain.nii.gz&image=lab/cell.stl")
    counts = browser.execute_script("return [niivue.volumes.length, niivue.meshes.length, niivue.meshes[0].pts.length]")
    assert counts[:2] == [1, 1] and counts[2] >= 12


def test_layouts_are_chosen_with_buttons(lab: tuple[Path, str], browser: Any) -> None:
    _, url = lab
    shown(browser, f"{url}/niivue/lab/brain.nii.gz")
    buttons = browser.find_elements("xpath", "//button")
    assert [b.text for b in buttons] == ["Sections", "All", "3D"]
    buttons[2].click()
    assert [b.get_attribute("aria-pressed") for b in buttons] == ["false", "false", "true"]
    assert browser.execute_script("return niivue.opts.sliceType === niivue.sliceTypeRender")
    loaded = browser.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert all(name.startswith((url, "data:", "blob:")) for name in loaded), loaded
