"""``voxarium token`` and ``voxarium access``: what they print, and what a server makes of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request

import numpy as np
import pytest

from voxarium.cli.main import main

pytest.importorskip("sqlalchemy", reason="SQLAlchemy is not installed")


@pytest.fixture
def database(tmp_path, monkeypatch):
    monkeypatch.setenv("VOXARIUM_DATABASE", str(tmp_path / "server.db"))
    return str(tmp_path / "server.db")


def told(capsys, *args):
    assert main([*args, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_token_is_printed_once(database, capsys):
    made = told(capsys, "token", "create", "Ada", "--may", "read:lab", "--may", "annotate:lab/em", "--expires", "12h")
    assert made["token"].startswith(f"vx_{made['id']}_") and made["may"] == ["read:lab", "annotate:lab/em"]
    assert made["valid"] and made["expires"] > made["created"] and made["last_used"] is None
    listed = told(capsys, "token", "list")
    assert [t["name"] for t in listed["tokens"]] == ["Ada"] and made["token"] not in str(listed)
    assert main(["token", "list"]) == 0
    out = capsys.readouterr().out
    assert made["id"] in out and made["token"] not in out and "read:lab annotate:lab/em" in out
    assert main(["token", "create", "Bob", "--may", "read:*", "--expires", "never"]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("vx_") and "not shown again" in printed.err and "vx_" not in printed.err


def test_tokens_are_revoked(database, capsys):
    made = told(capsys, "token", "create", "Ada", "--may", "read:lab")
    assert told(capsys, "token", "revoke", made["id"]) == {"revoked": [made["id"]]}
    assert told(capsys, "token", "list") == {"tokens": []}
    assert [t["valid"] for t in told(capsys, "token", "list", "--all")["tokens"]] == [False]
    assert main(["token", "revoke", "nothing"]) == 1
    assert main(["token", "list", "--all"]) == 0 and "revoked" in capsys.readouterr().out


def test_a_link_to_one_dataset_is_made(database, capsys):
    made = told(capsys, "token", "share", "lab/em é.zarr", "--server", "https://data.example.org/", "--expires", "7d")
    base = f"https://data.example.org/t/{made['token']}"
    assert made["view"] == f"{base}/view/lab/em%20%C3%A9.zarr" and made["url"] == f"{base}/raw/lab/em%20%C3%A9.zarr"
    assert made["kind"] == "sharing" and made["may"] == ["read:lab/em é.zarr"]
    part = told(capsys, "token", "share", "lab/x.h5::/em", "--server", "https://x")
    assert part["url"].endswith("/as/ome-zarr-0.5/lab/x.h5::/em")
    assert main(["token", "share", "lab/em", "--server", "https://x"]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("https://x/t/vx_") and "vx_" not in printed.err


@pytest.mark.parametrize(
    "args",
    [
        ["create", "x", "--may", "root:lab"], ["create", "x", "--may", "read"], ["create", "x", "--may", "read:"],
        ["create", "x", "--may", "read:x", "--expires", "soon"], ["create", "x"], ["share", "*", "--server", "http://x"],
        ["share", "/", "--server", "http://x"], ["share", "lab"],
    ],
)  # fmt: skip
def test_wrong_arguments_make_no_token(database, args, capsys):
    assert main(["token", *args]) == 2
    assert not os.path.exists(database) or told(capsys, "token", "list") == {"tokens": []}


def test_a_database_that_is_not_there_is_not_made_by_looking(database, capsys):
    for args in (["token", "list"], ["token", "revoke", "x"], ["access", "list"], ["access", "log"]):
        assert main(args) == 1
        assert "there is no database" in capsys.readouterr().err
    assert not os.path.exists(database)


def test_datasets_are_made_public_and_the_log_tells_who_did_it(database, capsys):
    for address, word in (("lab/em", "public"), ("*", "private"), ("lab/x", "public"), ("lab/x", "unset")):
        assert main(["access", "set", address, word, "--quiet"]) == 0
    assert told(capsys, "access", "list") == {
        "rules": [{"address": "*", "public": False}, {"address": "lab/em", "public": True}]
    }
    events = told(capsys, "access", "log")["events"]
    assert [e["action"] for e in events] == ["rule-removed", "made-public", "made-private", "made-public"]
    assert all(e["who"].startswith("user:") for e in events)
    assert told(capsys, "access", "log", "--action", "made-private", "-n", "1")["events"][0]["what"] == "*"
    assert main(["access", "log"]) == 0 and main(["access", "list"]) == 0
    assert "public   lab/em" in capsys.readouterr().out
    assert main(["access", "set", "lab/x.h5::/em", "private", "--quiet"]) == 2


@pytest.mark.parametrize("workers", [1, 2])
def test_a_private_server_tells_only_those_with_a_token(database, tmp_path, capsys, workers):
    pytest.importorskip("uvicorn", reason="uvicorn is not installed")
    (tmp_path / "lab").mkdir()
    np.save(tmp_path / "lab/secret.npy", np.zeros((2, 3, 4), np.uint8))
    token = told(capsys, "token", "create", "Ada", "--may", "read:lab")["token"]
    code = "import sys; from voxarium.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "serve", f"{tmp_path}/lab", "--private", "--json", "--workers", str(workers),
               "--access-log", str(tmp_path / "log"), "--audit-log", str(tmp_path / "audit")]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            url = json.loads(process.stdout.readline())["url"]
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(f"{url}/raw/lab/secret.npy", timeout=30)
            assert caught.value.code == 404
            caught.value.close()
            named = urllib.request.Request(f"{url}/raw/lab/secret.npy", headers={"x-auth-token": token})
            for request in [f"{url}/t/{token}/raw/lab/secret.npy", named] * 5:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    assert len(answer.read()) == 128 + 24
        finally:
            process.send_signal(signal.SIGINT)
            out, errors = process.communicate(timeout=60)
    log = (tmp_path / "log").read_text() + (tmp_path / "audit").read_text()
    assert token not in log + out + errors and token[16:] not in log + out + errors
    assert f'"who":"token:{token[3:15]}"' in log and '"action":"read"' in log
    assert told(capsys, "token", "list")["tokens"][0]["last_used"] is not None
