"""Archives: manifests of a million objects, audits, digests of voxels, and what digests cost a conversion."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from common import anonymous_mb, best, case, main, wipe

warnings.filterwarnings("ignore")
OBJECTS = 1_000_000


@case("manifest/a million objects", timeout=600)
def _manifest(_data: Path, _work: Path) -> dict[str, Any]:
    from voxarium.spec.manifest import dump_manifest, make_manifest, parse_manifest
    from voxarium.spec.manifest.comparing import differences
    from voxarium.spec.manifest.strings import Strings

    random = np.random.default_rng(0)
    keys = Strings.of(f"em/s0/c/{i // 10_000}/{i // 100 % 100}/{i % 100}" for i in range(OBJECTS))
    sizes = random.integers(1, 1 << 20, OBJECTS)
    digests = random.integers(0, 256, (OBJECTS, 32), np.uint8)
    before = anonymous_mb()
    first = make_manifest(keys, sizes, digests)
    dump_manifest(first)  # compiles
    written = best(lambda: dump_manifest(make_manifest(keys, sizes, digests)), 3)
    raw = dump_manifest(first)
    changed = digests.copy()
    changed[::1000] ^= 1
    second = make_manifest(keys, sizes, changed)
    opened = best(lambda: parse_manifest(raw, "manifest"), 3)
    compared = best(lambda: differences(first, second), 3)
    return {
        "write_s": round(written, 2), "open_s": round(opened, 2), "diff_s": round(compared, 2),
        "file_mb": round(len(raw) / 1e6), "grown_mb": round(anonymous_mb() - before),
    }  # fmt: skip


@case("verify/full, shards of 512³", timeout=600)
def _verify(data: Path, work: Path) -> dict[str, Any]:
    from voxarium.archive.manifests import write_manifest
    from voxarium.archive.verify import verify

    target = data / "em1024_shard_64.zarr"
    size = sum(p.stat().st_size for p in target.rglob("*") if p.is_file())
    manifest = work / "em.manifest.parquet"
    write_manifest(target, manifest, overwrite=True)

    def run() -> None:
        if not verify(target, manifest, journal=work / "journal").ok:
            raise SystemExit("not as listed")

    run()
    return {"GB_s": round(size / best(run, 3) / 1e9, 2), "mb": round(size / 1e6)}


@case("logical digest/EM, shards of 512³", timeout=600)
def _digest(data: Path, _work: Path) -> dict[str, Any]:
    import voxarium

    image = voxarium.open(data / "em1024_shard_64.zarr")
    voxels = image.arrays[0].size
    block = 256
    out = np.empty((block,) * 3, image.dtype)

    def read() -> None:
        for box in voxarium.Box.whole(image.shape).tiles((block,) * 3):
            image.arrays[0].read(box, out=out)

    read(), voxarium.logical_digest(image)
    reading, digesting = best(read, 3), best(lambda: voxarium.logical_digest(image), 3)
    return {"read_MVx_s": round(voxels / reading / 1e6), "digest_MVx_s": round(voxels / digesting / 1e6)}


for _name, _digests in (("none", ()), ("sha256", ("sha256",)), ("blake3", ("blake3",))):

    @case(f"convert/EM from .npy, digests {_name}", timeout=600)
    def _convert(data: Path, work: Path, chosen: tuple[str, ...] = _digests) -> Any:
        import voxarium

        target = work / "digested.zarr"

        def run() -> None:
            voxarium.convert(
                data / "em1024.npy", target, axes="zyx", chunk=64, shard=512, codec="zstd:1", levels=5, digests=chosen
            )

        return run, lambda: wipe(target), None


if __name__ == "__main__":
    main()
