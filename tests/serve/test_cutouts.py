"""Cutouts, tiles, single values and histograms, compared with what `voxarium.open` reads."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import voxarium

SHAPE = (9, 30, 41)


def written(folder):
    rng = np.random.default_rng(5)
    folder.mkdir()
    data = rng.integers(0, 60_000, SHAPE).astype("uint16")
    np.save(folder / "em.npy", data)
    place = {"axes": "zyx", "voxel_size": (40, 8, 4), "unit": "nanometer", "translation": (100, 20, 0)}
    voxarium.convert(folder / "em.npy", folder / "em.zarr", **place, chunk=8, levels=2)
    np.save(folder / "l.npy", rng.integers(0, 2**63, SHAPE).astype("uint64"))
    voxarium.convert(folder / "l.npy", folder / "labels.zarr", **place, chunk=8, levels=1, role="label")
    np.save(folder / "rgb.npy", rng.integers(0, 255, (3, *SHAPE)).astype("uint8"))
    voxarium.convert(folder / "rgb.npy", folder / "rgb.zarr", axes="czyx", voxel_size=8, unit="nanometer", levels=1)
    floats = rng.normal(0, 1, SHAPE).astype("float32")
    floats[0, 0, :2] = (np.nan, np.inf)
    np.save(folder / "float.npy", floats)
    np.save(folder / "complex.npy", floats.astype("complex64"))
    np.save(folder / "bool.npy", floats > 0)
    np.save(folder / "flat.npy", data[0])
    return folder


@pytest.fixture(scope="module")
def lab(tmp_path_factory, client_of):
    from voxarium.serve.running import BackgroundServer

    folder = written(tmp_path_factory.mktemp("voxels") / "lab")
    with BackgroundServer([str(folder)]) as server:
        yield client_of(server), folder


def npy(answer):
    assert answer.status == 200, answer.body
    return np.load(io.BytesIO(answer.body), allow_pickle=False)


@pytest.mark.parametrize(
    ("box", "index"),
    [
        ("", np.s_[:, :, :]), ("?box=2:5,7:30,0:41", np.s_[2:5, 7:30]), ("?box=8,:,40", np.s_[8:9, :, 40:41]),
        ("?box=:3,29:,5:6", np.s_[:3, 29:, 5:6]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["em.npy", "em.zarr", "labels.zarr", "float.npy", "complex.npy", "bool.npy"])
def test_cutouts_hold_the_voxels(lab, name, box, index):
    client, folder = lab
    np.testing.assert_array_equal(npy(client.get(f"/cutout/lab/{name}{box}")), voxarium.open(folder / name)[index])


def test_cutouts_are_of_any_level_and_all_channels(lab):
    client, folder = lab
    coarse = voxarium.open(folder / "em.zarr").level(1)
    found = npy(client.get("/cutout/lab/em.zarr?level=1&box=1:3,2:9,0:5"))
    np.testing.assert_array_equal(found, coarse[1:3, 2:9, 0:5])
    rgb = voxarium.open(folder / "rgb.zarr")
    np.testing.assert_array_equal(npy(client.get("/cutout/lab/rgb.zarr?box=1:3,2:9,0:5")), rgb[:, 1:3, 2:9, 0:5])
    np.testing.assert_array_equal(npy(client.get("/cutout/lab/rgb.zarr?box=1,1:3,2:9,:")), rgb[1:2, 1:3, 2:9])


def test_cutouts_are_files_that_others_read(lab, tmp_path):
    from PIL import Image

    nibabel, tifffile = pytest.importorskip("nibabel"), pytest.importorskip("tifffile")
    client, folder = lab
    em, rgb = voxarium.open(folder / "em.zarr"), voxarium.open(folder / "rgb.zarr")
    picture = client.get("/cutout/lab/em.zarr?box=3,2:20,:&format=png")
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(picture.body))), em[3, 2:20])
    picture = client.get("/cutout/lab/rgb.zarr?box=3,2:20,:&format=png")
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(picture.body))), rgb[:, 3, 2:20].transpose(1, 2, 0))
    stack = client.get("/cutout/lab/em.zarr?box=3:7,2:20,:&format=tiff")
    np.testing.assert_array_equal(tifffile.imread(io.BytesIO(stack.body)), em[3:7, 2:20])
    (tmp_path / "a.nii").write_bytes(client.get("/cutout/lab/em.zarr?box=3:7,2:20,:&format=nifti").body)
    nifti = nibabel.load(tmp_path / "a.nii")
    np.testing.assert_array_equal(np.asanyarray(nifti.dataobj).T, em[3:7, 2:20])
    np.testing.assert_allclose(nifti.affine @ [0, 0, 0, 1], [0, (20 + 16) * 1e-6, (100 + 120) * 1e-6, 1])
    np.testing.assert_allclose(nibabel.affines.voxel_sizes(nifti.affine), [4e-6, 8e-6, 40e-6])
    (tmp_path / "rgb.nii").write_bytes(client.get("/cutout/lab/rgb.zarr?format=nifti").body)
    np.testing.assert_array_equal(np.asanyarray(nibabel.load(tmp_path / "rgb.nii").dataobj).squeeze().T, rgb[:])
    again = voxarium.open(tmp_path / "a.nii")
    np.testing.assert_array_equal(again[:], em[3:7, 2:20])


@pytest.mark.parametrize(("name", "level"), [("em.zarr", 0), ("em.zarr", 1), ("em.npy", 0), ("labels.zarr", 0)])
def test_cutouts_are_ome_zarr_in_one_file_that_lies_where_the_voxels_were(lab, tmp_path, name, level):
    client, folder = lab
    answer = client.get(f"/cutout/lab/{name}?box=2:5,3:15,1:20&format=zarr&level={level}")
    assert answer.status == 200 and answer.getheader("content-type") == "application/zip", answer.body
    (tmp_path / "part.ozx").write_bytes(answer.body)
    found, source = voxarium.open(tmp_path / "part.ozx"), voxarium.open(folder / name)
    assert found.info.format == "ome-zarr" and found.role == source.role
    assert np.array_equal(found[...], source.level(level)[2:5, 3:15, 1:20])
    scale, start = source.scale_translation(level)
    assert found.scale_translation() == (
        scale,
        tuple(a + i * s for a, i, s in zip(start, (2, 3, 1), scale, strict=True)),
    )
    assert [a.name for a in found.axes] == ["z", "y", "x"]
    assert client.get("/cutout/lab/complex.npy?box=2:5,3:9,1:7&format=zarr").status in (200, 400)


def test_values_are_those_of_the_voxels(lab):
    client, folder = lab
    for name, at in (("em.zarr", (8, 3, 40)), ("labels.zarr", (0, 29, 7)), ("bool.npy", (1, 2, 3))):
        found = json.loads(client.get(f"/value/lab/{name}?at={','.join(map(str, at))}").body)
        assert found["value"] == voxarium.open(folder / name)[at].item()
    found = json.loads(client.get("/value/lab/em.zarr?at=1,2,3&level=1").body)
    assert found["value"] == voxarium.open(folder / "em.zarr").level(1)[1, 2, 3].item() and found["level"] == 1
    assert json.loads(client.get("/value/lab/em.zarr?at=1,2,3").body)["world"] == {
        "z": {"position": 140.0, "unit": "nanometer"}, "y": {"position": 36.0, "unit": "nanometer"},
        "x": {"position": 12.0, "unit": "nanometer"},
    }  # fmt: skip
    rgb = voxarium.open(folder / "rgb.zarr")
    assert json.loads(client.get("/value/lab/rgb.zarr?at=1,2,3").body)["value"] == rgb[:, 1, 2, 3].tolist()
    assert json.loads(client.get("/value/lab/float.npy?at=0,0,0").body)["value"] == "nan"
    assert json.loads(client.get("/value/lab/complex.npy?at=0,0,2").body)["value"][1] == 0


def test_histograms_count_every_voxel(lab):
    client, folder = lab
    em = voxarium.open(folder / "em.zarr")
    found = json.loads(client.get("/histogram/lab/em.zarr?level=0&bins=100").body)
    counts, edges = np.histogram(em[:], 100)
    assert found["counts"] == counts.tolist() and np.allclose(found["edges"], edges)
    assert (found["min"], found["max"]) == (em[:].min(), em[:].max())
    assert json.loads(client.get("/histogram/lab/em.zarr").body)["level"] == 1
    rgb = voxarium.open(folder / "rgb.zarr")[1]
    found = json.loads(client.get("/histogram/lab/rgb.zarr?channel=1").body)
    assert found["counts"] == np.bincount(rgb.ravel())[rgb.min() :].tolist() and sum(found["counts"]) == rgb.size
    found = json.loads(client.get("/histogram/lab/float.npy").body)
    assert found["not_finite"] == 2 and sum(found["counts"]) == found["voxels"] - 2
    assert sum(json.loads(client.get("/histogram/lab/labels.zarr").body)["counts"]) == np.prod(SHAPE)
    assert json.loads(client.get("/histogram/lab/bool.npy").body)["edges"] == [-0.5, 0.5, 1.5]


@pytest.mark.parametrize("kind", ["png", "jpg", "webp"])
def test_tiles_are_pieces_of_planes(lab, kind):
    from PIL import Image

    client, folder = lab
    answer = client.get(f"/tile/lab/em.npy/0/4/0/0.{kind}?window=0,60000")
    assert answer.status == 200 and answer.getheader("content-type") == f"image/{kind.replace('jpg', 'jpeg')}"
    pixels = np.asarray(Image.open(io.BytesIO(answer.body)).convert("L")).astype(float)
    expected = voxarium.open(folder / "em.npy")[4] / 60_000 * 255
    assert pixels.shape == SHAPE[1:]
    if kind == "png":
        assert np.abs(pixels - expected).max() <= 1


def test_tiles_tile(serve, tmp_path):
    from PIL import Image

    data = np.random.default_rng(1).integers(0, 255, (3, 100, 150)).astype("uint8")
    np.save(tmp_path / "a.npy", data)
    client = serve(f"a={tmp_path / 'a.npy'}")

    def seen(plane, index, row, column):
        answer = client.get(f"/tile/a/0/{index}/{row}/{column}.png?size=64&plane={plane}&window=0,255")
        assert answer.status == 200, answer.body
        return np.asarray(Image.open(io.BytesIO(answer.body)))

    rows = [np.concatenate([seen("xy", 2, r, c) for c in range(3)], axis=1) for r in range(2)]
    np.testing.assert_array_equal(np.concatenate(rows), data[2])
    np.testing.assert_array_equal(seen("xz", 70, 0, 1), data[:, 70, 64:128])
    np.testing.assert_array_equal(seen("yz", 149, 0, 0), data[:, :64, 149])
    assert client.get("/tile/a/0/2/0/3.png?size=64").status == 404
    assert client.get("/tile/a/0/3/0/0.png").status == 404


@pytest.mark.parametrize("name", ["labels.zarr", "rgb.zarr", "float.npy", "complex.npy", "bool.npy", "flat.npy"])
def test_everything_has_tiles(lab, name):
    assert lab[0].get(f"/tile/lab/{name}/0/0/0/0.png").status == 200


WRONG = [
    "cutout/lab/em.zarr?box=1", "cutout/lab/em.zarr?box=", "cutout/lab/em.zarr?box=1:2,3:4,5:99",
    "cutout/lab/em.zarr?box=2:2,:,:", "cutout/lab/em.zarr?box=5:2,:,:", "cutout/lab/em.zarr?box=-1:2,:,:",
    "cutout/lab/em.zarr?box=a,b,c", "cutout/lab/em.zarr?box=1e3,1,1", "cutout/lab/em.zarr?level=2",
    "cutout/lab/em.zarr?level=-1", "cutout/lab/em.zarr?level=x", "cutout/lab/em.zarr?format=exe",
    "cutout/lab/em.zarr?boxes=1", "cutout/lab/em.zarr?level=0&level=0", "cutout/lab/em.zarr?format=png",
    "cutout/lab/float.npy?format=png&box=0,:,:",
    f"cutout/lab/em.zarr?box={'9' * 30}:1,:,:", "cutout/lab/em.zarr?%ff=%ff", "value/lab/em.zarr",
    "value/lab/em.zarr?at=1,2", "value/lab/em.zarr?at=9,0,0", "value/lab/em.zarr?at=1,2,x",
    "value/lab/em.zarr?at=%D9%A3,1,1",
    "histogram/lab/em.zarr?bins=0", "histogram/lab/em.zarr?bins=99999999", "histogram/lab/em.zarr?channel=0",
    "histogram/lab/rgb.zarr?channel=3", "tile/lab/em.zarr/0/0/0/x.png", "tile/lab/em.zarr/0/0/0/0.exe",
    "tile/lab/em.zarr/0/0/0/0.png?size=1", "tile/lab/em.zarr/0/0/0/0.png?window=1",
    "tile/lab/em.zarr/0/0/0/0.png?window=nan,1", "tile/lab/em.zarr/0/0/0/0.png?t=0",
    "tile/lab/flat.npy/0/0/0/0.png?plane=xz",
]  # fmt: skip


@pytest.mark.parametrize("target", WRONG)
def test_wrong_arguments_are_answered_in_one_line(lab, target):
    answer = lab[0].get(f"/{target}")
    assert answer.status == 400 and answer.body.count(b"\n") == 1 and len(answer.body) < 200
    assert answer.getheader("access-control-allow-origin") == "*"


@pytest.mark.parametrize("target", ["cutout", "cutout/", "value/lab", "cutout/lab/no.zarr", "tile/lab/em.zarr",
                                    "tile/lab/em.zarr/0/0/0", "cutout/lab/../../x", "cutout/lab/%2e%2e/x"])  # fmt: skip
def test_what_is_not_there_is_not_found(lab, target):
    assert lab[0].get(f"/{target}").status == 404


def test_too_much_is_refused(serve, tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((40, 50, 60), "uint16"))
    client = serve(f"a={tmp_path / 'a.npy'}", most_cutout=100_000)
    answer = client.get("/cutout/a")
    assert answer.status == 413 and b"240,000 bytes" in answer.body
    assert client.get("/cutout/a?box=0:10,:,:").status == 200
    assert client.get("/histogram/a").status == 413


def test_huge_images_are_refused_before_anything_is_read(serve, tmp_path):
    for name, chunk in (("em", 2**40), ("small", 64)):
        zarr = {
            "zarr_format": 3, "node_type": "array", "shape": [2**40] * 3, "data_type": "uint8", "fill_value": 0,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [chunk] * 3}},
            "chunk_key_encoding": {"name": "default"}, "codecs": [{"name": "bytes"}], "attributes": {},
        }  # fmt: skip
        (tmp_path / name).mkdir()
        (tmp_path / name / "zarr.json").write_text(json.dumps(zarr))
    client = serve(f"lab={tmp_path}")
    assert client.get("/cutout/lab/small").status == 413
    for name in ("em", "small"):
        for target in (f"cutout/lab/{name}?box=0,0,0", f"value/lab/{name}?at=0,0,0", f"tile/lab/{name}/0/0/0/0.png",
                       f"histogram/lab/{name}?box=0,0,0"):  # fmt: skip
            assert client.get(f"/{target}").status in (200, 404, 413, 500), target


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    route=st.sampled_from(["cutout", "tile", "value", "histogram"]),
    name=st.sampled_from(["em.zarr", "rgb.zarr", "flat.npy", "complex.npy", "bool.npy", "float.npy", "labels.zarr"]),
    rest=st.text("0123456789/.:png%jpgwebx", max_size=16),
    query=st.dictionaries(
        st.sampled_from(["box", "level", "format", "at", "bins", "size", "plane", "window", "channel", "t", "x"]),
        st.one_of(
            st.text("0123456789:,-.eainfpgtz%&=+", max_size=24),
            st.sampled_from(
                ["npy", "png", "tiff", "nifti", "0", "1", "xy", "yz", "0,1", "1,2,3", "0:2,1:3,:", "1,:,:"]
            ),
        ),
        max_size=4,
    ),
)
def test_nothing_fails_inside(lab, route, name, rest, query):
    from urllib.parse import quote, urlencode

    path = f"/{route}/lab/{name}{'/' + quote(rest, safe='/:%') if rest else ''}?{urlencode(query)}"
    assert lab[0].get(path).status in (200, 400, 404, 413)
