"""Tables for git-annex and DataLad."""

from __future__ import annotations

import contextlib
import csv
import functools
import hashlib
import http.server
import os
import shutil
import subprocess
import threading

import pytest
from export_data import CONTENT, LATER, contents, exported, made

from voxarium.errors import InputError, UnsupportedError
from voxarium.spec import git_annex

NAMES = ["a.ome.zarr", "x.tar.gz", ".zattrs", "zarr.json", "a.b.c.d", "file.parquet", "x.tar.parquet", "x.jp g", "x.é",
         "plain", "a.", "a..b", ".hidden.txt", "A.JSON", "x.gz.longext", "x.a_b", "x.éé", "x.éég", "b.ab.c d", ".abc",
         "x.abcd.efgh.ijk", "...x.y", ".ab.cd", "x.a.b c.d", "x.ab.toolong.cd", "x.ab.", "x.ab..cd", "x.a%b",
         "x.½"]  # fmt: skip


def table(folder):
    with (folder / "urls.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


class TestTables:
    def test_every_object_has_a_row_and_a_key(self, brain, tmp_path):
        report = exported(f"{brain}@v1.1", tmp_path / "out", "datalad", url="https://example.org/brain")
        content = CONTENT | LATER
        assert report.plan.referred == len(content) and report.plan.objects == 0
        rows = {r["filename"]: r for r in table(tmp_path / "out")}
        assert set(rows) == set(content)
        for key, data in content.items():
            assert (rows[key]["sha256"], rows[key]["size"]) == (hashlib.sha256(data).hexdigest(), str(len(data)))
        digest = hashlib.sha256(CONTENT["em/zarr.json"]).hexdigest()
        assert rows["em/zarr.json"]["url"] == "https://example.org/brain/em/zarr.json"
        keys = dict(reversed(x.split(" ", 1)) for x in (tmp_path / "out/fromkey.txt").read_text("utf-8").splitlines())
        assert keys["em/zarr.json"] == f"SHA256E-s8--{digest}.json" and set(keys) == set(content)
        urls = dict(x.split(" ", 1) for x in (tmp_path / "out/registerurl.txt").read_text("utf-8").splitlines())
        assert (
            urls[keys["LICENSE"]]
            == f"https://example.org/brain/releases/objects/{hashlib.sha256(b'as I like').hexdigest()}"
        )

    def test_md5_keys_need_every_object(self, tmp_path):
        brain = made(tmp_path / "brain")
        report = exported(f"{brain}@v1.0", tmp_path / "out", "datalad", url="https://e.org/b", digest="md5")
        assert "every object is read" in report.plan.notes[0]
        rows = {r["filename"]: r["md5"] for r in table(tmp_path / "out")}
        assert rows == {k: hashlib.md5(v).hexdigest() for k, v in CONTENT.items()}
        with pytest.raises(InputError, match="--digest"):
            exported(f"{brain}@v1.0", tmp_path / "no", "datalad", url="https://e.org/b", digest="sha1")

    def test_an_address_is_needed(self, brain, tmp_path):
        with pytest.raises(InputError, match="can be got"):
            exported(f"{brain}@v1.0", tmp_path / "out", "datalad")
        assert "http" in exported(f"{brain}@v1.0", tmp_path / "out", "datalad", url="s3://bucket/b").plan.notes[0]

    @pytest.mark.parametrize("name", [".git/config", "a/.GIT/x"])
    def test_names_that_git_refuses(self, tmp_path, name):
        brain = made(tmp_path / "brain", {name: b"1"})
        with pytest.raises(UnsupportedError, match="git takes no files"):
            exported(f"{brain}@v1.0", tmp_path / "out", "datalad", url="https://e.org/b")
        assert git_annex.checked_name("a/.gitignore") == "a/.gitignore"

    def test_addresses_with_white_space_are_refused(self):
        with pytest.raises(InputError):
            git_annex.registerurl_line("k", "https://e.org/a b")


# -------------------------------------------------------------------------------------------------------- git-annex
@pytest.fixture
def annex(tmp_path):
    if shutil.which("git-annex") is None:
        pytest.skip("git-annex is not installed")
    folder = tmp_path / "annex"
    folder.mkdir()
    environment = os.environ | {
        "HOME": str(tmp_path),
        "GIT_CONFIG_NOSYSTEM": "1",
        **{f"GIT_{who}_{what}": "ada@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    }

    def run(*arguments, data=None):
        done = subprocess.run(
            ["git", *arguments], cwd=folder, env=environment, capture_output=True, input=data, timeout=120
        )
        assert done.returncode == 0, done.stderr.decode() + done.stdout.decode()
        return done.stdout.decode()

    run("init", "-q")
    run("annex", "init", "-q")
    yield run, folder
    for path in (tmp_path, *tmp_path.rglob("*")):  # git-annex takes the right to write
        with contextlib.suppress(OSError):
            path.chmod(0o755)


@pytest.mark.oracle
def test_keys_are_those_of_git_annex(annex):
    run, folder = annex
    for name in NAMES:
        (folder / name).write_bytes(b"voxels")
        mine = git_annex.annex_key("sha256", hashlib.sha256(b"voxels").digest(), 6, f"em/{name}")
        assert run("annex", "calckey", "--backend=SHA256E", name).strip() == mine, name


@pytest.mark.oracle
@pytest.mark.parametrize("digest", ["sha256", "md5"])
def test_git_annex_makes_the_tree_and_gets_the_files(annex, brain, tmp_path, digest):
    run, folder = annex

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=brain)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}"
            exported(f"{brain}@v1.0", tmp_path / "out", "datalad", url=url, digest=digest)
            run("annex", "fromkey", "--force", "--batch", data=(tmp_path / "out/fromkey.txt").read_bytes())
            run("annex", "registerurl", "--batch", data=(tmp_path / "out/registerurl.txt").read_bytes())
            run("commit", "-q", "-m", "a release")
            run("-c", "annex.security.allowed-ip-addresses=127.0.0.1", "annex", "get", ".")
        finally:
            server.shutdown()
            thread.join()
    run("annex", "fsck", "--quiet")
    assert {k: (folder / k).read_bytes() for k in CONTENT} == CONTENT
    assert set(run("ls-files", "-z").split("\0")) == {*CONTENT, ""}


def test_the_page_of_commands_names_every_file(brain, tmp_path):
    exported(f"{brain}@v1.0", tmp_path / "out", "datalad", url="https://e.org/b")
    page = (tmp_path / "out/README.md").read_text("utf-8")
    assert "--key 'et:SHA256-s{size}--{sha256}' urls.csv '{url}' '{filename}'" in page
    assert set(contents(tmp_path / "out")) == {"urls.csv", "fromkey.txt", "registerurl.txt", "README.md"}
