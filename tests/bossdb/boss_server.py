"""A Boss on 127.0.0.1: the routes of its REST service that cutouts need, strict about what it is asked."""

from __future__ import annotations

import logging
import re
import threading
from dataclasses import dataclass, field

import blosc
import flask
import numpy as np
from werkzeug.serving import make_server

NAMES = {"collection": "col", "experiment": "exp-1", "channel": "em"}


@dataclass
class Boss:
    """One channel; `levels` has the voxels per level, (t), z, y, x; every field may be changed while it runs."""

    levels: list[np.ndarray]
    start: tuple[int, int, int] = (0, 0, 0)  # x y z
    token: str = "public"
    channel: dict = field(default_factory=dict)
    experiment: dict = field(default_factory=dict)
    frame: dict = field(default_factory=dict)
    downsample: dict | None = field(default_factory=dict)
    status: dict[str, int] = field(default_factory=dict)  # first part of the route → status
    payload: bytes | None = None
    requests: list[tuple[str, dict]] = field(default_factory=list)

    @property
    def times(self) -> int:
        return self.levels[0].shape[0] if self.levels[0].ndim == 4 else 1

    def documents(self) -> dict[str, dict]:
        z, y, x = self.levels[0].shape[-3:]
        count = len(self.levels)
        shapes = [level.shape[-3:][::-1] for level in self.levels]
        frame = {"name": "frame", "description": "", "voxel_unit": "nanometers"}
        for axis, first, size, voxel in zip("xyz", self.start, (x, y, z), (4.0, 4.5, 30.0), strict=True):
            frame |= {f"{axis}_start": first, f"{axis}_stop": first + size, f"{axis}_voxel_size": voxel}
        experiment = {
            "name": "exp-1",
            "public": True,
            "description": "an experiment",
            "collection": "col",
            "coord_frame": "frame",
            "channels": ["em"],
            "num_hierarchy_levels": count,
            "hierarchy_method": "anisotropic",
            "num_time_samples": self.times,
            "time_step": 5 if self.times > 1 else None,
            "time_step_unit": "seconds" if self.times > 1 else "",
            "creator": "somebody",
        }
        channel = {
            "name": "em",
            "public": True,
            "description": "a channel",
            "experiment": "exp-1",
            "default_time_sample": 0,
            "type": "image",
            "base_resolution": 0,
            "datatype": self.levels[0].dtype.name,
            "creator": "somebody",
            "sources": [],
            "related": [],
            "downsample_status": "DOWNSAMPLED" if count > 1 else "NOT_DOWNSAMPLED",
            "storage_type": "spdb",
            "bucket": "",
            "cv_path": "",
        }
        levels = {
            "status": channel["downsample_status"],
            "num_hierarchy_levels": count,
            "extent": {str(i): list(s) for i, s in enumerate(shapes)},
            "voxel_size": {str(i): [4.0 * 2**i, 4.5 * 2**i, 30.0] for i in range(count)},
            "cuboid_size": {str(i): [64, 32, 16] for i in range(count)},
        }
        return {
            "frame": frame | self.frame,
            "experiment": experiment | self.experiment,
            "channel": channel | self.channel,
            "levels": levels | (self.downsample or {}),
        }

    def cutout(self, level: int, spans: list[tuple[int, int]]) -> np.ndarray | None:
        """Return voxels; spans are x, y, z, (t). None when they leave the frame."""
        if not level < len(self.levels):
            return None
        volume = self.levels[level]
        sizes = volume.shape[::-1]
        starts = (*self.start, 0)
        index = []
        for (a, b), n, s in zip(spans, sizes, starts, strict=False):
            if not s <= a < b <= s + n:
                return None
            index.append(slice(a - s, b - s))
        if volume.ndim == 4 and len(spans) == 3:
            index.append(0)
        return volume[tuple(reversed(index))]


def app_of(boss: Boss) -> flask.Flask:
    app = flask.Flask("boss")

    def answer(kind: str):
        request = flask.request
        boss.requests.append((request.full_path.rstrip("?"), dict(request.headers)))
        part = request.path.split("/")[2]
        if part in boss.status:
            return flask.jsonify({"message": "no"}), boss.status[part]
        if request.headers.get("Authorization") != f"Token {boss.token}":
            return flask.jsonify({"message": "Invalid token"}), 401
        if request.headers.get("Accept", "*/*") not in ("application/json", "*/*"):
            return flask.jsonify({"message": "not acceptable"}), 406
        if kind == "levels" and boss.downsample is None:
            return flask.jsonify({"message": "no"}), 404
        return flask.jsonify(boss.documents()[kind])

    def known(**names: str) -> bool:
        return all(NAMES[k] == v for k, v in names.items())

    @app.get("/v1/collection/<collection>/experiment/<experiment>", strict_slashes=False)
    def experiment(collection, experiment):
        return answer("experiment") if known(collection=collection, experiment=experiment) else ("{}", 404)

    @app.get("/v1/collection/<collection>/experiment/<experiment>/channel/<channel>", strict_slashes=False)
    def channel(collection, experiment, channel):
        there = known(collection=collection, experiment=experiment, channel=channel)
        return answer("channel") if there else ("{}", 404)

    @app.get("/v1/coord/<name>", strict_slashes=False)
    def coord(name):
        return answer("frame") if name == "frame" else ("{}", 404)

    @app.get("/v1/downsample/<collection>/<experiment>/<channel>", strict_slashes=False)
    def downsample(collection, experiment, channel):
        return answer("levels")

    @app.get("/v1/cutout/<collection>/<experiment>/<channel>/<int:level>/<path:ranges>", strict_slashes=False)
    def cutout(collection, experiment, channel, level, ranges):
        request = flask.request
        boss.requests.append((request.full_path, dict(request.headers)))
        if "cutout" in boss.status:
            return "{}", boss.status["cutout"]
        if request.headers.get("Authorization") != f"Token {boss.token}":
            return flask.jsonify({"message": "Invalid token"}), 401
        if request.headers.get("Accept") != "application/blosc":
            return "only blosc here", 406
        parts = ranges.strip("/").split("/")
        if len(parts) not in (3, 4) or not all(re.fullmatch(r"\d+:\d+", p) for p in parts):
            return "{}", 404
        spans = [tuple(map(int, p.split(":"))) for p in parts]
        data = boss.cutout(level, spans)
        if data is None:
            return flask.jsonify({"message": "Incorrect cutout arguments"}), 400
        raw = np.ascontiguousarray(data)
        body = boss.payload if boss.payload is not None else blosc.compress(raw, typesize=raw.dtype.itemsize * 8)
        return flask.Response(body, mimetype="application/blosc")

    return app


class Running:
    """``with Running(boss) as server: server.host``"""

    def __init__(self, boss: Boss) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = make_server("127.0.0.1", 0, app_of(boss), threaded=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exc) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
