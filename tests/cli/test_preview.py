"""``voxarium preview``: pictures."""

from __future__ import annotations

import numpy as np
import pytest

PIL = pytest.importorskip("PIL.Image")


def test_a_picture_is_drawn(run, archive, tmp_path):
    done = run("preview", archive, "--out", tmp_path / "p.png", "--size", 200)
    assert done.code == 0 and "p.png" in done.out
    with PIL.open(tmp_path / "p.png") as picture:
        assert picture.format == "PNG" and max(picture.size) >= 200
        assert len(np.unique(np.asarray(picture))) > 10


def test_labels_are_laid_over_by_name_and_by_address(run, archive, tmp_path):
    plain, named, addressed = (tmp_path / f"{n}.png" for n in "abc")
    assert run("preview", archive, "-o", plain, "--size", 200, "-q").out == ""
    told = run("preview", archive, "-o", named, "--size", 200, "--labels", "cells", "--json").json
    assert told["out"] == str(named) and told["bytes"] == named.stat().st_size
    assert run("preview", archive, "-o", addressed, "--size", 200, "--labels", archive / "labels" / "cells").code == 0
    assert plain.read_bytes() != named.read_bytes() == addressed.read_bytes()


def test_place_and_level_are_chosen(run, archive, tmp_path):
    first, second = tmp_path / "a.png", tmp_path / "b.png"
    for out, options in ((first, []), (second, ["--level", 1, "--position", "3,4,5"])):
        assert run("preview", archive, "-o", out, "--size", 200, *options).code == 0
    assert first.read_bytes() != second.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "code", "kind"),
    [
        (["--labels", "nothing"], 1, "path-missing"),
        (["--level", "7"], 1, "level-missing"),
        (["--position", "1,2"], 2, "box-out-of-bounds"),
        (["--position", "1,2,900"], 2, "box-out-of-bounds"),
        (["--position", "here"], 2, "argument-invalid"),
        (["--size", "1"], 2, "argument-invalid"),
        (["--size", "100000"], 2, "argument-invalid"),
        (["--opacity", "2"], 2, "argument-invalid"),
        (["--out", "p.jpeg"], 2, "argument-invalid"),
        (["--out", "no/p.png"], 1, "store-unwritable"),
    ],
)
def test_wrong_arguments_leave_no_file(run, archive, tmp_path, monkeypatch, arguments, code, kind):
    monkeypatch.chdir(tmp_path)
    before = sorted(p.name for p in tmp_path.iterdir())
    given = arguments if "--out" in arguments else [*arguments, "--out", "p.png"]
    told = run("preview", archive, *given, "--json")
    assert (told.code, told.error["code"]) == (code, kind)
    assert sorted(p.name for p in tmp_path.iterdir()) == before
