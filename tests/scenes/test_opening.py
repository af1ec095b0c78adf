"""Scenes at addresses, and the command line."""

from __future__ import annotations

import json
import shutil

import pytest

import voxarium
from voxarium.cli.main import main
from voxarium.core.scenes import dump_scene, open_scene, scene_dialect, with_base
from voxarium.errors import FormatError, InputError, NotFoundError, UnsupportedError

FILES = {
    "bdv": "dataset.xml",
    "collections": "collection.json",
    "mobie": "project.json",
    "neuroglancer": "state.json",
    "openorganelle": "manifest.json",
    "webknossos": "datasource-properties.json",
}


@pytest.fixture
def folder(tmp_path, documents):
    """Return a function that writes the documents of a dialect into a folder."""

    def call(name):
        for key, raw in documents[name].items():
            path = tmp_path / name / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(raw)
        return tmp_path / name

    return call


def run(capsys, *arguments):
    capsys.readouterr()
    code = main([str(a) for a in arguments])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return code, captured.out, captured.err


@pytest.mark.parametrize("name", FILES)
def test_a_folder_and_its_document_open_as_the_same_scene(folder, name):
    path = folder(name)
    scene = open_scene(path)
    assert scene.format == name and scene.nodes
    assert open_scene(path / FILES[name]) == scene == open_scene(path, format=name)


def test_documents_are_known_by_their_content_not_by_their_names(folder, tmp_path):
    for name in ("webknossos", "neuroglancer", "openorganelle"):
        shutil.copy(folder(name) / FILES[name], tmp_path / "x.json")
        assert open_scene(tmp_path / "x.json").format == name


def test_collections_in_groups_and_links_open(tmp_path, example, state):
    (tmp_path / "zarr.json").write_text(json.dumps(example))
    assert open_scene(tmp_path).bag.records[0].spec_version == "0.7"
    from voxarium.spec.neuroglancer_state import dump_link

    assert open_scene(dump_link(state)) == open_scene(dump_link(state, "http://localhost/v/1/"))
    assert open_scene(dump_link(state)).name == "fly"


def test_what_is_no_scene_is_told_so(tmp_path):
    (tmp_path / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group"}')
    with pytest.raises(NotFoundError, match="no scene"):
        open_scene(tmp_path)
    with pytest.raises(NotFoundError):
        open_scene(tmp_path / "nothing.json")
    with pytest.raises(UnsupportedError, match="figure"):
        open_scene(tmp_path, format="figure")


def test_a_link_to_another_document_is_not_followed():
    with pytest.raises(UnsupportedError, match="instead of carrying it"):
        open_scene("https://neuroglancer-demo.appspot.com/#!https://example.org/state.json")


def test_projects_name_nothing_outside_their_folder(folder):
    path = folder("mobie")
    project = json.loads((path / "project.json").read_text())
    (path / "project.json").write_text(json.dumps(project | {"datasets": ["../../etc"]}))
    with pytest.raises(FormatError, match="not below it"):
        open_scene(path)
    (path / "project.json").write_text(json.dumps(project | {"datasets": ["gone"]}))
    with pytest.raises(FormatError, match="is not there"):
        open_scene(path)


@pytest.mark.parametrize("source", FILES)
@pytest.mark.parametrize("target", FILES)
def test_every_dialect_is_written_from_every_other_and_read_again(folder, source, target, tmp_path):
    scene = with_base(open_scene(folder(source)), "https://example.org/data")
    written = dump_scene(scene, target)
    for key, raw in written.documents.items():
        path = tmp_path / "out" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)
    again = open_scene(tmp_path / "out")
    assert again.format == target
    lost_nodes = {
        loss.where.split("/")[1] for loss in written.losses if loss.kind in ("node", "name") and "/" in loss.where
    }
    kept = [n.id for n in scene.nodes if n.id.replace("~", "~0").replace("/", "~1") not in lost_nodes]
    assert set(kept) <= {n.id for n in again.nodes}
    # A second journey into the same dialect loses nothing more.
    assert {loss.kind for loss in dump_scene(again, target).losses} <= {"required"}


def test_one_of_several_views_is_chosen(folder):
    scene = open_scene(folder("openorganelle"))
    state = json.loads(dump_scene(scene, "neuroglancer", view="Mitochondria").documents["state.json"])
    assert state["title"] == "lab_cell-1: Mitochondria"
    with pytest.raises(InputError, match="no view 'x'"):
        dump_scene(scene, "neuroglancer", view="x")


def test_the_package_offers_scenes(folder):
    scene = voxarium.open_scene(folder("webknossos"))
    assert voxarium.dump_scene(scene, "webknossos").losses == ()


def test_the_command_describes_a_scene(folder, capsys):
    code, out, err = run(capsys, "scene", folder("openorganelle"))
    assert code == 0 and err == ""
    assert "lab_cell-1: openorganelle, 3 nodes, 2 views" in out and "mesh mito_seg/mito_seg of mito_seg" in out
    code, out, _ = run(capsys, "scene", folder("openorganelle"), "--json")
    assert code == 0 and [n["kind"] for n in json.loads(out)["nodes"]] == ["image", "labels", "mesh"]


def test_the_command_converts_and_says_what_was_lost(folder, tmp_path, capsys):
    out = tmp_path / "state.json"
    arguments = ["scene", folder("openorganelle"), "--to", "neuroglancer", "--view", "Mitochondria", "--out", out]
    code, text, err = run(capsys, *arguments)
    assert code == 0 and text == "" and "lost: nodes/fibsem-uint8/description" in err
    assert "name: nodes/mito_seg~1mito_seg" in err
    assert open_scene(out).views[0].name == "Mitochondria"
    code, _, err = run(capsys, *arguments)
    assert code == 1 and "exists" in err
    code, text, _ = run(capsys, *arguments, "--overwrite", "--json")
    assert code == 0 and {"kind", "where", "message"} == set(json.loads(text)["losses"][0])


def test_the_command_prints_a_document_without_out(folder, capsys):
    code, text, err = run(capsys, "scene", folder("webknossos"), "--to", "collections")
    assert code == 0 and err == "" and json.loads(text)["ome"]["name"] == "cortex"
    code, text, _ = run(capsys, "scene", folder("webknossos"), "--to", "mobie", "--quiet")
    assert code == 0 and set(json.loads(text)) == {"project.json", "cortex/dataset.json"}
    code, text, _ = run(capsys, "scene", folder("mobie"), "--to", "bdv")
    assert code == 0 and text.startswith("<?xml")


def test_the_command_makes_links(folder, capsys):
    code, text, _ = run(
        capsys, "scene", folder("openorganelle"), "--to", "neuroglancer", "--link", "--viewer", "http://h/v/"
    )
    assert code == 0 and text.startswith("http://h/v/#!%7B%22title%22")
    assert open_scene(text.strip()).name == "lab_cell-1"
    code, text, _ = run(capsys, "scene", folder("webknossos"), "--to", "neuroglancer", "--link", "--json")
    assert code == 0 and json.loads(text)["link"].startswith("https://neuroglancer-demo.appspot.com/#!")
    code, _, err = run(capsys, "scene", folder("webknossos"), "--to", "mobie", "--link")
    assert code == 1 and "does not fit into a link" in err
    code, _, err = run(capsys, "scene", folder("webknossos"), "--link")
    assert code == 2 and "--link without --to" in err


def test_the_command_writes_several_documents_into_a_folder(folder, tmp_path, capsys):
    target = tmp_path / "project"
    code, _, _ = run(capsys, "scene", folder("openorganelle"), "--to", "mobie", "--out", target, "--unit", "nm")
    assert code == 0 and open_scene(target).format == "mobie"
    code, _, err = run(capsys, "scene", folder("openorganelle"), "--to", "mobie", "--out", target)
    assert code == 1 and "exists" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "x.json"], "--out without --to"),
        (["--to", "figure"], "no scene dialect is called 'figure'"),
        (["--to", "neuroglancer", "--out", "x.txt"], "does not end with .json"),
        (["--unit", "volt"], "not a unit of length"),
    ],
)
def test_wrong_arguments_say_what_is_wrong(folder, capsys, arguments, message):
    code, out, err = run(capsys, "scene", folder("openorganelle"), *arguments)
    assert code in (1, 2) and message in err and out == ""


def test_remote_documents_are_read(folder):
    import http.server
    import threading

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments, **more):
            super().__init__(*arguments, directory=str(folder("mobie").parent), **more)

        def log_message(self, *_):
            pass

    folder("webknossos")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}"
        try:
            assert open_scene(f"{base}/mobie/project.json").format == "mobie"
            assert open_scene(f"{base}/webknossos").format == "webknossos"
        finally:
            server.shutdown()


def test_dialects_say_what_they_are():
    for name, file in FILES.items():
        dialect = scene_dialect(name)
        assert dialect.title and file in (*dialect.files, "collection.json", "dataset.xml")
