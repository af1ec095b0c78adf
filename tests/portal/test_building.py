"""The portal as files: everything in it leads somewhere, the same data give the same bytes, others' files stay."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import pytest

from voxarium.cli.main import main
from voxarium.errors import ExistsError, FormatError, InputError
from voxarium.view.portal.building import PortalOptions, build_portal


@pytest.fixture(scope="module")
def site(archive, tmp_path_factory):
    out = tmp_path_factory.mktemp("portal") / "site"
    built = build_portal([archive], out, PortalOptions(title="Our data", validate=True))
    return out, built


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(Path(folder).rglob("*")) if p.is_file()}


def test_every_dataset_has_a_page_and_a_line_in_the_index(site):
    out, built = site
    index = {d["name"]: d for d in json.loads((out / "index.json").read_bytes())["datasets"]}
    assert set(built.datasets) == set(index) == {"brain", "hostile", "fly", "loose/em.ome.zarr", "loose/stack.h5"}
    brain = index["brain"]
    assert (brain["title"], brain["organism"], brain["modality"]) == ("Mouse cortex", ["Mus musculus"], ["FIB-SEM"])
    assert (brain["license"], brain["format"], brain["voxel"]) == (["CC-BY-4.0"], ["ome-zarr"], 8.0)
    assert (brain["layers"], brain["labels"], brain["release"]) == (4, 2, "v2")
    assert index["loose/em.ome.zarr"]["labels"] == 1 and index["loose/stack.h5"]["layers"] == 1
    assert [place for place, _ in built.problems] == ["broken.zarr"]


def test_every_link_leads_to_a_file_of_the_portal_or_to_a_named_place_of_the_web(site, page_of):
    out, _ = site
    found = 0
    for name, data in files(out).items():
        if not name.endswith(".html"):
            continue
        if name.endswith("validation.html"):
            continue
        for _, link in page_of(data.decode()).links():
            parts = urlsplit(link)
            if parts.scheme:
                assert parts.scheme in ("https", "mailto") or name.startswith("datasets/hostile"), link
                assert parts.scheme in ("https", "mailto", "http"), link
                continue
            assert not link.startswith("/") and not parts.netloc, link
            path = PurePosixPath(name).parent / unquote(parts.path) if parts.path else PurePosixPath(name)
            target = (out / path).resolve()
            assert target.is_relative_to(out) and target.is_file(), (name, link)
            found += 1
    assert found > 50
    for entry in json.loads((out / "index.json").read_bytes())["datasets"]:
        assert (out / entry["href"]).is_file() and (out / entry["cover"]).is_file()


def test_pages_are_sound_html_that_loads_nothing_from_elsewhere_and_runs_nothing_inside(site, page_of):
    out, _ = site
    for name, data in files(out).items():
        if name.endswith(".html") and not name.endswith("validation.html"):
            page = page_of(data.decode())
            assert page.errors == [], name
            assert page.check_accessible() == [], name
            policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
            assert policy.startswith("default-src 'none'") and "unsafe" not in policy and "//" not in policy
            assert page.all("style") == [] and all("src" in a for a in page.all("script"))
            for tag, link in page.links():
                if tag in ("img", "script", "link"):
                    assert "://" not in link and not link.startswith(("//", "data:")), link


def test_hostile_texts_are_shown_and_never_run(site, page_of):
    out, _ = site
    for name in ("index.html", "datasets/hostile/index.html"):
        text = (out / name).read_text("utf-8")
        page = page_of(text)
        assert (
            "<script>alert" not in text
            and "<img src=x" not in text
            and "javascript:" not in {link.split(":")[0] + ":" for _, link in page.links()}
        )
        assert any("<script>alert(1)</script>" in t for _, t in page.texts)
        assert any("{{7*7}}" in t for _, t in page.texts), "braces are text"
        assert not any(t.strip() == "49" for _, t in page.texts)


def test_the_same_data_give_the_same_bytes_and_nothing_is_written_twice(archive, site, tmp_path):
    out, built = site
    again = build_portal([archive], tmp_path / "site", PortalOptions(title="Our data", validate=True))
    assert files(tmp_path / "site") == files(out)
    assert again.nbytes == built.nbytes == sum(map(len, files(out).values()))
    once_more = build_portal([archive], tmp_path / "site", PortalOptions(title="Our data", validate=True))
    assert once_more.written == () and set(once_more.kept) == set(built.written) and once_more.removed == ()


def test_pages_do_not_say_where_things_are_on_the_machine(archive, site):
    out, _ = site
    for name, data in files(out).items():
        assert str(archive.parent).encode() not in data, name


def test_a_dry_run_writes_nothing_and_says_what_it_would(archive, tmp_path):
    built = build_portal([archive], tmp_path / "site", dry_run=True)
    assert "index.html" in built.written and "datasets/brain/index.html" in built.written
    assert not (tmp_path / "site").exists()


def test_pages_of_datasets_that_are_gone_are_removed_and_other_files_stay(archive, tmp_path):
    data = tmp_path / "lab"
    shutil.copytree(archive, data)
    build_portal([data], tmp_path / "site")
    (tmp_path / "site/CNAME").write_text("data.example.org")
    (tmp_path / "site/datasets/fly/mine.txt").write_text("mine")
    shutil.rmtree(data / "fly")
    built = build_portal([data], tmp_path / "site")
    assert {n for n in built.removed if n.endswith(".html")} == {"datasets/fly/index.html"}
    left = files(tmp_path / "site")
    assert "CNAME" in left and "datasets/fly/mine.txt" in left and "datasets/fly/index.html" not in left


def test_files_of_others_are_never_replaced(archive, tmp_path):
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(ExistsError, match="no file of a portal"):
        build_portal([archive / "loose"], tmp_path)
    assert (tmp_path / "index.html").read_text() == "mine"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format": "voxarium-portal", "files": 3}', '{"format": "x", "files": {}}']
)
def test_a_list_of_files_that_is_none_stops_the_build(archive, tmp_path, text):
    (tmp_path / "portal.json").write_text(text)
    with pytest.raises(FormatError, match="no list"):
        build_portal([archive / "loose"], tmp_path)


def test_a_list_that_somebody_changed_removes_nothing_else(archive, tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "site/notes.txt").write_text("mine")
    known = dict.fromkeys(("../mine.txt", "datasets/../../mine.txt", "notes.txt", "/etc/passwd"), "0" * 64)
    (tmp_path / "site/portal.json").write_text(json.dumps({"format": "voxarium-portal", "files": known}))
    assert build_portal([archive / "loose"], tmp_path / "site").removed == ()
    assert (tmp_path / "mine.txt").exists() and (tmp_path / "site/notes.txt").exists()


# ----------------------------------------------------------------------------------------------------- where data are
def code_of(out, name):
    text = (out / f"datasets/{name}/index.html").read_text("utf-8")
    return re.findall(r"<code>(.*?)</code>", text, re.DOTALL)


def test_with_an_address_lines_to_copy_and_viewers_have_it(archive, tmp_path):
    build_portal([archive], tmp_path, PortalOptions(base_url="https://data.example.org/lab/"))
    brain = "https://data.example.org/lab/brain"
    codes = "\n".join(code_of(tmp_path, "brain"))
    assert f"voxarium.open(&#34;{brain}/em/fibsem&#34;)" in codes
    assert f"zarr3://{brain}/em/fibsem" in codes and f"voxarium release verify {brain} v2" in codes
    text = (tmp_path / "datasets/brain/index.html").read_text("utf-8")
    assert "https://neuroglancer-demo.appspot.com/#!%7B" in text
    assert f'href="{brain}/releases/000002.json"' in text and f'href="{brain}/dataset.json"' in text
    assert "precomputed://https://data.example.org/lab/fly" in "\n".join(code_of(tmp_path, "fly"))


def test_a_view_looks_where_the_dataset_says(archive, tmp_path):
    build_portal([archive], tmp_path, PortalOptions(base_url="https://data.example.org"))
    text = (tmp_path / "datasets/brain/index.html").read_text("utf-8")
    link = re.search(r'<a href="([^"]+)">A corner</a>', text)[1].replace("&amp;", "&")
    state = json.loads(unquote(link.partition("#!")[2]))
    at = {n: p * size for p, (n, (size, _)) in zip(state["position"], state["dimensions"].items(), strict=True)}
    assert {n: pytest.approx(v) for n, v in {"z": 80e-9, "y": 100e-9, "x": 120e-9}.items()} == at
    assert [layer["name"] for layer in state["layers"]] == ["em/fibsem", "labels/cells"]


def test_a_portal_beside_its_data_has_addresses_relative_to_its_pages(archive, tmp_path):
    shutil.copytree(archive, tmp_path / "lab")
    for out, up in (("lab/portal", "../../../"), ("lab", "../../")):
        build_portal([tmp_path / "lab"], tmp_path / out)
        text = (tmp_path / out / "datasets/brain/index.html").read_text("utf-8")
        assert f'data-here="{up}brain/em/fibsem"' in text
        assert f'href="{up}brain/dataset.json"' in text
        assert (tmp_path / out / "datasets/brain" / up / "brain/dataset.json").is_file()
        shutil.rmtree(tmp_path / out / "datasets")


def test_a_portal_whose_data_are_nobody_knows_where_says_so(site):
    out, _ = site
    text = (out / "datasets/brain/index.html").read_text("utf-8")
    assert "Where the data lie was not said" in text and "ADDRESS-OF-THE-DATA/brain/em/fibsem" in text


def test_several_roots_are_told_apart_by_their_names(archive, tmp_path):
    built = build_portal([archive / "brain", archive / "loose"], tmp_path, PortalOptions(base_url="https://x.org"))
    assert set(built.datasets) == {"brain", "loose/em.ome.zarr", "loose/stack.h5"}
    assert "https://x.org/loose/em.ome.zarr" in "\n".join(code_of(tmp_path, "loose/em.ome.zarr"))
    with pytest.raises(InputError, match="same name"):
        build_portal([archive, archive], tmp_path / "other", dry_run=True)


def test_names_that_differ_only_in_what_files_cannot_hold_get_pages_of_their_own(archive, tmp_path):
    import numpy as np

    for name in ("a b.npy", "a-b.npy", "A-B.npy"):
        np.save(tmp_path / name, np.zeros((4, 5), np.uint8))
    built = build_portal([tmp_path], tmp_path / "site")
    assert len([n for n in built.written if n.endswith("/index.html")]) == 3
    assert len({n.lower() for n in built.written}) == len(built.written)


def test_thousands_of_datasets_are_spread_over_pages_that_lead_to_each_other(tmp_path):
    import numpy as np

    from voxarium.view.portal.catalogue import PAGE_SIZE

    for i in range(PAGE_SIZE + 3):
        np.save(tmp_path / f"scan{i:03}.npy", np.zeros((4, 5), np.uint8))
    build_portal([tmp_path], tmp_path / "site")
    first, second = ((tmp_path / "site" / n).read_text("utf-8") for n in ("index.html", "page-2.html"))
    assert 'rel="next" href="page-2.html"' in first and 'rel="prev" href="index.html"' in second
    assert first.count('<li class="card">') == PAGE_SIZE + 1  # with the template of the script
    assert "scan050.npy" in second and "scan050.npy" not in first


# ---------------------------------------------------------------------------------------------------------- elsewhere
def test_object_stores_are_told_what_the_files_are(archive, s3_bucket):
    client, environment = s3_bucket
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        built = build_portal([archive / "loose"], "s3://portal/site")
        again = build_portal([archive / "loose"], "s3://portal/site")
    assert "datasets/stack.h5/index.html" in built.written and again.written == ()
    kinds = {"html": "text/html; charset=utf-8", "css": "text/css; charset=utf-8", "json": "application/json"}
    for key, kind in (("index.html", "html"), ("assets/portal.css", "css"), ("index.json", "json")):
        assert client.head_object(Bucket="portal", Key=f"site/{key}")["ContentType"] == kinds[kind]


@pytest.fixture
def s3_bucket():
    boto3 = pytest.importorskip("boto3")
    server_module = pytest.importorskip("moto.server")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
    client = boto3.client("s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1",
                          aws_access_key_id="test", aws_secret_access_key="test")  # fmt: skip
    client.create_bucket(Bucket="portal")
    yield client, keys | {"AWS_ENDPOINT_URL": f"http://{host}:{port}"}
    client.close()
    server.stop()


def test_the_command_says_what_it_wrote(archive, tmp_path, capsys):
    assert main(["portal", "build", str(archive), str(tmp_path / "site"), "--json", "--dry-run"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["dry_run"] is True and "brain" in told["datasets"] and not (tmp_path / "site").exists()
    assert main(["portal", "build", str(archive), str(tmp_path / "site")]) == 0
    output = capsys.readouterr()
    assert re.search(r"wrote \d+ files about 5 datasets", output.out) and "broken.zarr is left out" in output.err


@pytest.mark.parametrize("arguments", [["x"], ["x", "y", "--base-url", "javascript:alert(1)"], ["x", "http://h/y"]])
def test_arguments_that_make_no_sense_are_refused(tmp_path, monkeypatch, capsys, arguments):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").mkdir()
    assert main(["portal", "build", *arguments]) == 2
    assert "fix" in capsys.readouterr().err
