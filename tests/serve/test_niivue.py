"""NiiVue: its page, its client, and any image as NIfTI."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import numpy as np
import pytest

import voxarium
from voxarium.cli.main import main
from voxarium.errors import InputError, UnsupportedError
from voxarium.serve import niivue
from voxarium.serve.niivue import client_script
from voxarium.serve.showing import show, viewer_for

SHAPE = (9, 30, 41)
PLACE = {"axes": "zyx", "voxel_size": (40, 8, 4), "unit": "nanometer", "translation": (100, 20, 0)}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    from voxarium.serve.running import BackgroundServer

    folder = tmp_path_factory.mktemp("niivue") / "lab"
    folder.mkdir()
    data = np.random.default_rng(2).integers(100, 900, SHAPE).astype("uint16")
    np.save(folder / "em.npy", data)
    voxarium.convert(folder / "em.npy", folder / "em.zarr", **PLACE)
    np.save(folder / "l.npy", (data > 400).astype("uint64") * (2**40 + 5))
    voxarium.convert(folder / "l.npy", folder / "em.zarr/labels/cells", role="label", **PLACE)
    np.save(folder / "bool.npy", data > 500)
    np.save(folder / "half.npy", data.astype("float16"))
    np.save(folder / "five.npy", np.arange(720, dtype="u1").reshape(2, 3, 4, 5, 6))
    np.save(folder / "long.npy", np.broadcast_to(data, (80, *SHAPE)).copy())
    (folder / "lh.pial").write_bytes(b"\xff\xff\xfe" + bytes(100))
    (folder / "x<").mkdir()
    (folder / "x<" / "script>.stl").write_bytes(b"solid")
    with BackgroundServer([str(folder), str(folder / "lh.pial")]) as server:
        yield server, folder, data


@pytest.fixture
def client(lab, client_of):
    return client_of(lab[0])


def shown_by(answer):
    assert answer.status == 200, answer.body
    return json.loads(re.search(rb'<script type="application/json" id="shown">(.*?)</script>', answer.body)[1])


@pytest.fixture
def nibabel_of(client, tmp_path):
    nibabel = pytest.importorskip("nibabel", reason="nibabel is not installed")

    def load(path):
        answer = client.get(path)
        assert answer.status == 200, answer.body
        (tmp_path / "a.nii").write_bytes(answer.body)
        return nibabel.load(tmp_path / "a.nii")

    return load


def test_a_page_says_what_it_shows_and_loads_nothing_from_elsewhere(client):
    pytest.importorskip("ipyniivue", reason="ipyniivue is not installed")
    answer = client.get("/niivue/lab/em.zarr")
    told = shown_by(answer)
    assert told["unit"] == "nm" and told["root"] == "../../"
    assert [v["url"] for v in told["volumes"]] == [
        "/nii/volume/lab/em.zarr?unit=nm",
        "/nii/volume/lab/em.zarr/labels/cells?unit=nm",
    ]
    assert told["volumes"][1]["colormap"] == "random" and told["volumes"][0]["cal_min"] >= 100
    policy = answer.getheader("content-security-policy")
    assert "default-src 'none'" in policy and "http" not in policy and "unsafe-inline" not in policy
    assert "unsafe-eval" not in policy.replace("wasm-unsafe-eval", "")
    assert b"http:" not in answer.body and b"https:" not in answer.body


def test_surfaces_are_sent_as_they_are_and_are_in_millimetres(client):
    pytest.importorskip("ipyniivue", reason="ipyniivue is not installed")
    told = shown_by(client.get("/niivue?image=lab/lh.pial&image=lab/em.zarr"))
    assert told["unit"] == "mm" and told["root"] == "./"
    assert told["meshes"] == [{"url": "/raw/lab/lh.pial", "name": "lh.pial"}]
    assert client.get(told["meshes"][0]["url"]).body.startswith(b"\xff\xff\xfe")
    assert shown_by(client.get("/niivue/lh.pial"))["meshes"] == [{"url": "/raw/lh.pial", "name": "lh.pial"}]
    assert client.get("/niivue/lab/rh.pial").status == 404


def test_names_cannot_leave_the_page(client):
    pytest.importorskip("ipyniivue", reason="ipyniivue is not installed")
    answer = client.get("/niivue?image=lab/x%3C/script%3E.stl")
    assert shown_by(answer)["meshes"][0]["name"] == "script>.stl"
    assert answer.body.count(b"</script>") == 2


def test_any_image_is_nifti(nibabel_of, lab):
    _, _, data = lab
    for unit, factor in (("nm", 1.0), ("um", 1e-3), ("mm", 1e-6)):
        found = nibabel_of(f"/nii/volume/lab/em.zarr?unit={unit}")
        np.testing.assert_array_equal(np.asanyarray(found.dataobj).T, data)
        np.testing.assert_allclose(found.affine[:3, 3], np.array([0, 20, 100]) * factor, atol=1e-12)
        np.testing.assert_allclose(np.diag(found.affine)[:3], np.array([4, 8, 40]) * factor)
    for name, expected in (("bool", data > 500), ("half", data.astype("f4")), ("em", data)):
        found = nibabel_of(f"/nii/volume/lab/{name}.npy?unit=nm")
        np.testing.assert_array_equal(np.asanyarray(found.dataobj).T, expected)
        np.testing.assert_allclose(found.affine, np.eye(4))
    assert nibabel_of("/nii/volume/lab/five.npy").shape == (6, 5, 4, 2, 3)


def test_ids_of_labels_become_such_that_the_viewer_tells_apart(nibabel_of, lab):
    found = np.asanyarray(nibabel_of("/nii/volume/lab/em.zarr/labels/cells").dataobj).T
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found > 0, lab[2] > 400)


def test_what_is_large_is_sent_smaller(nibabel_of, client, monkeypatch):
    monkeypatch.setattr(niivue, "_MOST_ALL", 6 * 2 * 9 * 30 * 41)
    assert nibabel_of("/nii/volume/lab/long.npy?unit=nm").shape == (41, 30, 9, 1, 6)
    monkeypatch.setattr(niivue, "_MOST_LEVEL", 10)
    assert client.get("/nii/volume/lab/em.zarr").status == 413


def test_cutouts_are_nifti_whatever_the_axes_are_called(nibabel_of, lab):
    np.testing.assert_array_equal(
        np.asanyarray(nibabel_of("/cutout/lab/em.npy?format=nifti&box=2:5,3:9,:").dataobj).T, lab[2][2:5, 3:9]
    )
    assert nibabel_of("/cutout/lab/bool.npy?format=nifti").get_data_dtype() == np.uint8


def test_a_rotated_image_keeps_its_directions(serve, tmp_path):
    nibabel = pytest.importorskip("nibabel", reason="nibabel is not installed")
    affine = np.array([[0, -2, 0.5, 7], [1.5, 0, 0, -3], [0, 0.1, 3, 11], [0, 0, 0, 1]])
    data = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    nibabel.save(nibabel.Nifti1Image(data, affine), tmp_path / "a.nii")
    answer = serve(f"a={tmp_path / 'a.nii'}").get("/cutout/a?format=nifti&box=1:4,1:3,0:2")
    (tmp_path / "b.nii").write_bytes(answer.body)
    part = nibabel.load(tmp_path / "b.nii")
    np.testing.assert_array_equal(np.asanyarray(part.dataobj), data[0:2, 1:3, 1:4])
    np.testing.assert_allclose(part.affine @ [0, 0, 0, 1], affine @ [0, 1, 1, 1], atol=1e-6)
    np.testing.assert_allclose(part.affine[:, :3], affine[:, :3], atol=1e-6)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/niivue", 400), ("/niivue?image=", 404), ("/niivue?image=lab/../x", 404), ("/niivue/lab/none.nii", 404),
        ("/niivue?" + "&".join(["image=lab/em.zarr"] * 13), 400), ("/nii/volume/lab/none", 404), ("/nii/none.js", 404),
        ("/nii/volume/lab/em.zarr?unit=km", 400), ("/nii/volume/", 404), ("/niivue/lab/%ff", 404),
        ("/niivue/lab/.git/x.stl", 404), ("/niivue/em.zarr::/x.gii", 404),
    ],
)  # fmt: skip
def test_wrong_requests_are_told_so(client, path, status):
    pytest.importorskip("ipyniivue", reason="ipyniivue is not installed")
    assert client.get(path).status == status


def test_the_client_is_a_module_with_the_class(client, monkeypatch, tmp_path):
    pytest.importorskip("ipyniivue", reason="ipyniivue is not installed")
    answer = client.get("/nii/client.js")
    assert answer.status == 200 and answer.getheader("content-type") == "text/javascript"
    assert re.search(rb"export\{\w+ as default,[\w$]+ as Niivue\};\n$", answer.body)
    client_script.cache_clear()
    try:
        (tmp_path / "own.js").write_bytes(b"export class Niivue {}")
        monkeypatch.setenv("VOXARIUM_NIIVUE", str(tmp_path / "own.js"))
        assert client_script() == b"export class Niivue {}"
        client_script.cache_clear()
        monkeypatch.setenv("VOXARIUM_NIIVUE", str(tmp_path / "none.js"))
        with pytest.raises(UnsupportedError, match="not installed"):
            client_script()
        assert client.get("/niivue/lab/em.zarr").status == client.get("/nii/client.js").status == 501
    finally:
        client_script.cache_clear()


def test_viewers_are_chosen_by_what_is_shown():
    assert viewer_for(["a.zarr"], None) == "neuroglancer"
    assert viewer_for(["a.zarr", "lh.pial"], None) == viewer_for(["a"], "niivue") == "niivue"
    with pytest.raises(InputError, match="no viewer"):
        viewer_for(["a"], "paint")
    assert main(["view", "a.npy", "--viewer", "paint"]) != 0


def test_a_notebook_shows_it(lab):
    pytest.importorskip("ipyniivue", reason="ipyniivue is not installed")
    with show(lab[1] / "em.zarr", viewer="niivue") as shown:
        assert "/niivue?image=em.zarr" in shown.url and shown.url in shown._repr_html_()


def test_the_command_prints_the_address_of_the_page(lab):
    pytest.importorskip("ipyniivue", reason="ipyniivue is not installed")
    run = "import sys; from voxarium.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", run, "view", str(lab[1] / "lh.pial"), "--no-browser", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert "/niivue?image=lh.pial" in json.loads(process.stdout.readline())["url"]
        finally:
            process.terminate()
