"""Listings: for people, for programs, and as S3 gives them."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxarium.serve.listing import FolderLister, keys_page

KEYS = ["a.txt", "a/0", "a/1/x", "a/1/y", "a/10", "a0", "b/c/d/e", "zarr.json", "ä/ü", "z z&<>'"]
S3 = "{http://s3.amazonaws.com/doc/2006-03-01/}"


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "em"
    for key in KEYS:
        (root / key).parent.mkdir(parents=True, exist_ok=True)
        (root / key).write_text(key)
    return root


@pytest.fixture
def client(folder, serve):
    return serve(folder)


def test_people_get_links_that_lead_to_everything(client):
    answer = client.get("/raw/em/", headers={"Accept": "text/html"})
    assert answer.headers["Content-Type"].startswith("text/html")
    text = answer.body.decode()
    links = re.findall(r'href="\./([^"]+)"', text)
    assert links == ["a/", "b/", "%C3%A4/", "a0", "a.txt", "z%20z%26%3C%3E%27", "zarr.json"]
    for link in links:
        assert client.get(f"/raw/em/{link}").status == 200
    assert "z z&amp;&lt;&gt;" in text


def test_pages_of_folders_lead_back_to_all_datasets(client):
    from urllib.parse import urljoin

    for path in ("/raw/", "/raw/em/", "/raw/em/a/1/"):
        link = re.search(r'href="([^"]+)">All datasets', client.get(path).body.decode())[1]
        assert urljoin(f"http://x{path}", link) == "http://x/"


def test_people_who_forget_the_slash_are_led_on_and_programs_are_not(client):
    answer = client.get("/raw/em/a", headers={"Accept": "text/html,*/*"})
    assert answer.status == 308 and answer.headers["Location"] == "./a/"
    assert client.get("/raw/em/a", headers={"Accept": "*/*"}).status == 404
    assert client.get("/raw/em", headers={"Accept": "text/html"}).headers["Location"] == "./em/"


def test_programs_get_names_sizes_and_folders(client):
    listed = json.loads(client.get("/raw/em/a/?format=json").body)
    assert listed["folders"] == ["1"] and [f["name"] for f in listed["files"]] == ["0", "10"]
    assert listed["files"][1]["size"] == 4
    assert json.loads(client.get("/raw/em/a/", headers={"Accept": "application/json"}).body) == listed


def test_what_is_no_folder_has_no_listing(client):
    for path in ("/raw/em/nothing/", "/raw/em/a.txt/", "/raw/nothing/"):
        assert client.get(path).status == 404


def s3(client, path, **arguments):
    from urllib.parse import urlencode

    answer = client.get(f"{path}?{urlencode({'list-type': 2} | arguments)}")
    root = ElementTree.fromstring(answer.body)
    keys = [e.text for e in root.iterfind(f"{S3}Contents/{S3}Key")]
    folders = [e.text for e in root.iterfind(f"{S3}CommonPrefixes/{S3}Prefix")]
    return answer, root, keys, folders


def test_s3_listings_have_keys_in_order_and_folders_where_asked(client):
    for path in ("/raw/em", "/raw/em/"):
        _, root, keys, folders = s3(client, path)
        assert keys == sorted(KEYS, key=str.encode) and folders == []
        assert root.find(f"{S3}IsTruncated").text == "false" and root.find(f"{S3}KeyCount").text == str(len(KEYS))
    _, _, keys, folders = s3(client, "/raw/em", prefix="a", delimiter="/")
    assert keys == ["a.txt", "a0"] and folders == ["a/"]
    _, _, keys, folders = s3(client, "/raw/em", prefix="a/1", delimiter="/")
    assert keys == ["a/10"] and folders == ["a/1/"]
    assert s3(client, "/raw/em", prefix="nothing/")[2:] == ([], [])
    assert s3(client, "/raw/em", prefix="../")[2:] == ([], [])


@pytest.mark.parametrize("delimiter", ["", "/"])
@pytest.mark.parametrize("most", [1, 2, 3])
def test_s3_listings_continue_where_they_stopped(client, most, delimiter):
    whole = s3(client, "/raw/em", delimiter=delimiter)
    expected = sorted(whole[2] + whole[3], key=str.encode)
    found, token = [], None
    for _ in range(len(expected) + 1):
        arguments = {"max-keys": most, "delimiter": delimiter} | ({"continuation-token": token} if token else {})
        _, root, keys, folders = s3(client, "/raw/em", **arguments)
        assert 0 < len(keys) + len(folders) <= most
        found += sorted(keys + folders, key=str.encode)
        if root.find(f"{S3}IsTruncated").text == "false":
            break
        token = root.find(f"{S3}NextContinuationToken").text
    assert found == expected


def test_s3_listings_of_all_roots_name_them_first(client):
    _, _, keys, _ = s3(client, "/raw", prefix="em/a/")
    assert keys == ["em/a/0", "em/a/1/x", "em/a/1/y", "em/a/10"]
    _, _, keys, folders = s3(client, "/", prefix="raw/em/a/", delimiter="/")
    assert keys == ["raw/em/a/0", "raw/em/a/10"] and folders == ["raw/em/a/1/"]
    assert s3(client, "/raw", delimiter="/")[3] == ["em/"]


@pytest.mark.parametrize(
    "arguments",
    [{"max-keys": "x"}, {"max-keys": "-1"}, {"continuation-token": "???"}, {"delimiter": "x"}, {"prefix": "a\x00"}],
)
def test_s3_arguments_that_mean_nothing_are_refused(client, arguments):
    answer, root, _, _ = s3(client, "/raw/em", **arguments)
    assert answer.status == 400 and root.find("Code").text == "InvalidArgument"


def test_a_page_of_s3_has_no_more_than_a_thousand_keys(tmp_path, serve):
    for i in range(1003):
        (tmp_path / f"c{i:04}").touch()
    _, root, keys, _ = s3(serve(f"em={tmp_path}"), "/raw/em", **{"max-keys": 5000})
    assert len(keys) == 1000 and root.find(f"{S3}IsTruncated").text == "true"


names = st.text(st.sampled_from("a/.b0 "), min_size=1, max_size=6)


@given(st.sets(names.filter(lambda n: all(p and p[0] != "." for p in n.split("/"))), max_size=8), names, names)
def test_any_tree_lists_as_its_sorted_keys(tmp_path_factory, keys, prefix, after):
    root = tmp_path_factory.mktemp("tree")
    made = set()
    for key in keys:
        try:
            (root / key).parent.mkdir(parents=True, exist_ok=True)
            (root / key).write_text("")
            made.add(key)
        except OSError:
            continue  # a file where a folder is needed
    page = keys_page(FolderLister(str(root)), prefix, after=after, most=1000, deep=True)
    assert [k for k, _ in page.objects] == sorted(k for k in made if k.startswith(prefix) and k > after)


def test_links_that_lead_out_are_not_listed(tmp_path, serve):
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/file").write_text("x")
    root = tmp_path / "em"
    (root / "inside").mkdir(parents=True)
    (root / "inside/ok").write_text("x")
    (root / "out").symlink_to(tmp_path / "secret")
    (root / "out-file").symlink_to(tmp_path / "secret/file")
    (root / "in").symlink_to(root / "inside")
    (root / "nowhere").symlink_to(root / "absent")
    client = serve(root)
    listed = json.loads(client.get("/raw/em/?format=json").body)
    assert listed["folders"] == ["in", "inside"] and listed["files"] == []
    assert client.get("/raw/em/out/").status == 404
    assert s3(client, "/raw/em")[2] == ["in/ok", "inside/ok"]
    follows = serve(root, follow=True)
    assert json.loads(follows.get("/raw/em/?format=json").body)["folders"] == ["in", "inside", "out"]
