"""Files are opened without asking where they are only if their path has no links; the answers are the same."""

from __future__ import annotations

import os

import pytest

from voxarium.serve import sources
from voxarium.serve.opening import no_links_opener

opener = no_links_opener()
needs_opener = pytest.mark.skipif(opener is None, reason="this system has no openat2, or does not allow it")


@pytest.fixture
def root(tmp_path):
    (tmp_path / "secret").write_bytes(b"secret")
    root = tmp_path / "em"
    (root / "a").mkdir(parents=True)
    (root / "a/x").write_bytes(b"inside")
    (root / "to-x").symlink_to("a/x")
    (root / "to-a").symlink_to("a")
    (root / "out").symlink_to(tmp_path / "secret")
    (root / "above").symlink_to(tmp_path)
    return root


@needs_opener
@pytest.mark.parametrize(
    ("path", "opens"),
    [("a/x", True), ("a", True), ("to-x", False), ("to-a/x", False), ("out", False), ("above/secret", False),
     ("absent", False), ("a/x\0", False)],
)  # fmt: skip
def test_only_paths_without_links_are_opened(root, path, opens):
    fd = opener(f"{os.path.realpath(root)}/{path}")
    assert (fd >= 0) is opens
    if fd >= 0:
        os.close(fd)


@needs_opener
def test_what_is_opened_is_not_inherited_and_only_read(root):
    fd = opener(f"{os.path.realpath(root)}/a/x")
    try:
        assert not os.get_inheritable(fd)
        assert os.read(fd, 10) == b"inside"
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.write(fd, b"x")
    finally:
        os.close(fd)


@pytest.mark.parametrize("has_call", [pytest.param(True, marks=needs_opener), False])
@pytest.mark.parametrize("links", [True, False])
def test_with_and_without_the_call_the_same_is_shown(root, monkeypatch, has_call, links):
    if not has_call:
        monkeypatch.setattr(sources, "no_links_opener", lambda: None)
    # The folder itself may be reached through a link.
    (root.parent / "published").symlink_to(root)
    source = sources.FolderSource(str(root.parent / "published"), links=links)
    found = {}
    for key in ("a/x", "to-x", "to-a/x", "out", "above/secret", "above/em/a/x", "absent", "a", "a/x/y"):
        opened = source.open(key, wait=True)
        if opened is not None:
            found[key] = opened.read(0, 6)
            opened.close()
    inside = ["a/x", "to-x", "to-a/x", "above/em/a/x"] if links else ["a/x"]
    assert found == dict.fromkeys(inside, b"inside")
