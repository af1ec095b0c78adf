"""A Ceph object gateway on this machine, in memory: a server that is not moto.

Its programs are those of Debian's packages ceph-mon, ceph-osd, radosgw and ceph-common: installed, or unpacked into a
folder that ``VOXARIUM_TEST_CEPH`` names (``dpkg -x PACKAGE.deb FOLDER``).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path

ROOT = os.environ.get("VOXARIUM_TEST_CEPH", "")
USER = ("user", "create", "--uid=t", "--display-name=t", "--access-key=A", "--secret-key=S")
PROGRAMS = ("monmaptool", "ceph-mon", "ceph", "ceph-osd", "radosgw", "radosgw-admin")
CONF = """
[global]
fsid = {fsid}
mon_host = v1:127.0.0.1:{monitor}
ms_bind_msgr2 = false
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
osd_pool_default_size = 1
osd_pool_default_pg_num = 4
mon_allow_pool_size_one = true
osd_crush_chooseleaf_type = 0
osd_objectstore = memstore
memstore_device_bytes = 1073741824
run_dir = {folder}
log_file = {folder}/$name.log
pid_file =
admin_socket = {folder}/$name.asok
mon_data = {folder}/mon-$id
osd_data = {folder}/osd-$id
mon_pg_warn_min_per_osd = 0
{places}
[client.rgw]
rgw_frontends = beast endpoint=127.0.0.1:{gateway}
rgw_data = {folder}/rgw
"""


def missing():
    """Return the first program that is not there; None when all are."""
    return next((name for name in PROGRAMS if found(name) is None), None)


def found(name):
    return shutil.which(name, path=f"{ROOT}/usr/bin") if ROOT else shutil.which(name)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def environment():
    known = {k: v for k, v in os.environ.items() if not k.startswith("CEPH")}
    if ROOT:
        lib = f"{ROOT}/usr/lib/x86_64-linux-gnu"
        known["LD_LIBRARY_PATH"] = f"{lib}:{lib}/ceph:{ROOT}/lib/x86_64-linux-gnu"
        known["PYTHONPATH"] = f"{ROOT}/usr/lib/python3/dist-packages"
    return known


@contextlib.contextmanager
def gateway(folder: Path):
    """Start a cluster of one monitor, one store in memory and a gateway; yield its address and keys."""
    fsid, port = str(uuid.uuid4()), free_port()
    lib = f"{ROOT}/usr/lib/x86_64-linux-gnu"
    places = ""
    if ROOT:
        places = (
            f"plugin_dir = {lib}/ceph\nosd_class_dir = {lib}/rados-classes\nerasure_code_dir = {lib}/ceph/erasure-code"
        )
    conf = folder / "ceph.conf"
    monitor = free_port()
    conf.write_text(CONF.format(fsid=fsid, monitor=monitor, gateway=port, folder=folder, places=places))
    known = environment()

    def run(name, *arguments, timeout=60):
        with open(folder / "output.txt", "a") as out:
            command = [found(name), "-c", str(conf), *arguments]
            return subprocess.run(
                command, env=known, check=True, timeout=timeout, stdout=subprocess.PIPE, stderr=out, text=True
            ).stdout

    running = []

    def start(name, *arguments):
        out = open(folder / "output.txt", "a")  # noqa: SIM115  closed below, when the program has ended
        running.append(
            (subprocess.Popen([found(name), "-c", str(conf), "-f", *arguments], env=known, stdout=out, stderr=out), out)
        )

    try:
        run(
            "monmaptool", "--create", "--fsid", fsid, "--addv", "a", f"[v1:127.0.0.1:{monitor}]", str(folder / "monmap")
        )
        run("ceph-mon", "--mkfs", "-i", "a", "--monmap", str(folder / "monmap"))
        start("ceph-mon", "-i", "a")
        number = str(uuid.uuid4())
        run("ceph", "osd", "new", number, timeout=120)
        (folder / "osd-0").mkdir()
        run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", number)
        start("ceph-osd", "-i", "0")
        start("radosgw", "-n", "client.rgw")
        for attempt in range(4):  # its first request may come before the store is up, and is then never answered
            try:
                run("radosgw-admin", *USER, timeout=60)
                break
            except (subprocess.TimeoutExpired, subprocess.CalledProcessError):
                if attempt == 3:
                    raise
        url = f"http://127.0.0.1:{port}"
        wait_for(url)
        yield url
    finally:
        for process, _ in reversed(running):
            process.kill()
        for process, out in running:
            process.wait()
            out.close()


def wait_for(url):
    give_up = time.monotonic() + 120
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except urllib.error.HTTPError as error:
            error.close()
            return
        except OSError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.2)
