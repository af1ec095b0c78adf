"""Preview pictures: sizes, true aspect, exact scale bars, labels where they belong."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, field

import numpy as np
import pytest

from voxarium.errors import InputError, NotFoundError
from voxarium.model.axes import Axis
from voxarium.model.box import Box
from voxarium.model.image import (
    ArrayInfo,
    ChannelDisplay,
    Display,
    ImageInfo,
    LabelColor,
    LevelInfo,
    Value,
)
from voxarium.model.transforms import Identity
from voxarium.view.picture import preview, preview_png, scale_bar
from voxarium.view.shading import label_colors
from voxarium.view.thumbnail import thumbnail_png

PIL_Image = pytest.importorskip("PIL.Image")
PAPER = (18, 19, 22)
TOP, GAP = 58, 8


@dataclass
class FakeImage:
    """An image in memory that keeps a log of what was read."""

    arrays: list
    axes: tuple
    transforms: list
    role: str = "intensity"
    name: str = "fake"
    display: Display = field(default_factory=Display)
    value: Value = field(default_factory=Value)
    log: list = field(default_factory=list)

    @property
    def info(self):
        levels = tuple(
            LevelInfo(
                path=str(i),
                array=ArrayInfo(format="fake", shape=a.shape, dtype=a.dtype, chunk_shape=a.shape),
                transform=Identity(),
            )
            for i, a in enumerate(self.arrays)
        )
        return ImageInfo(
            format="fake",
            axes=self.axes,
            levels=levels,
            role=self.role,
            display=self.display,
            value=self.value,
        )

    @property
    def levels(self):
        return self.info.levels

    def level(self, index):
        if not 0 <= index < len(self.arrays):
            raise NotFoundError(f"no level {index}", code="level-missing", fix="choose another")
        return self.arrays[index]

    def scale_translation(self, level=0):
        return self.transforms[level]

    def read(self, box=None, *, level=0):
        self.log.append((level, box))
        return self.arrays[level][box.slices]


def axes_of(names, unit="nanometer"):
    kinds = {"c": "channel", "t": "time"}
    return tuple(Axis(name=n, type=kinds.get(n, "space"), unit=None if n in kinds else unit) for n in names)


def image_of(array, names="zyx", scale=None, translation=None, unit="nanometer", **kw):
    scale = scale or (1.0,) * array.ndim
    translation = translation or (0.0,) * array.ndim
    return FakeImage([array], axes_of(names, unit), [(tuple(scale), tuple(translation))], **kw)


def pyramid_of(array, factors=2, levels=3):
    arrays, transforms = [array], [((8.0,) * 3, (0.0,) * 3)]
    for k in range(1, levels):
        f = factors**k
        arrays.append(array[::f, ::f, ::f])
        transforms.append(((8.0 * f,) * 3, (8.0 * (f - 1) / 2,) * 3))
    return FakeImage(arrays, axes_of("zyx"), transforms)


def ramp(shape, dtype=np.uint8):
    return (np.indices(shape).sum(axis=0) % 251).astype(dtype)


def panel(picture, left, top, width, height):
    return np.asarray(picture)[top : top + height, left : left + width]


def test_picture_has_the_size_asked_for_and_png_reads_back():
    image = image_of(ramp((30, 50, 70)))
    picture = preview(image, size=512)
    assert picture.mode == "RGB"
    k = (512 - 3 * GAP) / (70 + 30)
    assert picture.width == round(70 * k) + round(30 * k) + 3 * GAP == 512
    assert picture.height == TOP + round(50 * k) + round(30 * k) + 2 * GAP
    with PIL_Image.open(io.BytesIO(preview_png(image, size=512))) as stored:
        np.testing.assert_array_equal(np.asarray(stored), np.asarray(picture))


def test_anisotropic_voxels_show_their_true_aspect():
    shape, scale = (10, 40, 80), (40.0, 8.0, 4.0)
    picture = preview(image_of(np.full(shape, 200, np.uint8), scale=scale), size=800)
    k = (800 - 3 * GAP) / (400 + 320)
    w, h, d = round(320 * k), round(320 * k), round(400 * k)
    assert picture.width == w + d + 3 * GAP
    assert picture.height == TOP + h + d + 2 * GAP
    pixels = np.asarray(picture)
    assert (pixels[TOP + h + GAP // 2] == PAPER).all()
    assert (pixels[TOP : TOP + h, GAP + w + GAP // 2] == PAPER).all()


def test_mixed_units_are_brought_together():
    axes = (Axis(name="z", type="space", unit="micrometer"), *axes_of("yx"))
    image = FakeImage([ramp((10, 40, 40))], axes, [((0.04, 10.0, 10.0), (0.0, 0.0, 0.0))])
    picture = preview(image, size=524)
    assert picture.width == 250 + 250 + 3 * GAP


@pytest.mark.parametrize(
    ("per_pixel", "unit", "longest", "length", "pixels", "text"),
    [
        (8.0, "nanometer", 300, 2000.0, 250, "2 µm"),
        (8.0, "nanometer", 100, 500.0, 62, "500 nm"),
        (0.5, "micrometer", 100, 50.0, 100, "50 µm"),
        (0.5, "millimeter", 41, 20.0, 40, "2 cm".replace("2 cm", "20 mm")),
        (0.004, "micrometer", 200, 0.5, 125, "500 nm"),
        (3.0, None, 100, 200.0, 67, "200 voxels"),
        (1.0, "parsec", 100, 100.0, 100, None),
    ],
)
def test_scale_bars_are_round_and_fit(per_pixel, unit, longest, length, pixels, text):
    bar = scale_bar(per_pixel, unit, longest)
    assert (bar.length, bar.pixels) == (length, pixels)
    assert text is None or bar.text == text


@pytest.mark.parametrize("per_pixel", [0.37, 1.0, 7.3, 64.0, 1234.5])
@pytest.mark.parametrize("longest", [20, 133, 999])
def test_scale_bars_are_never_longer_than_asked_and_never_tiny(per_pixel, longest):
    bar = scale_bar(per_pixel, "nanometer", longest)
    assert longest / 2.6 <= bar.pixels <= longest
    assert abs(bar.pixels * per_pixel - bar.length) <= per_pixel / 2
    mantissa = bar.length / 10 ** math.floor(math.log10(bar.length) + 1e-9)
    assert min(abs(mantissa - m) for m in (1, 2, 5)) < 1e-9


def test_the_drawn_bar_is_exactly_as_long_as_it_says():
    array = np.zeros((20, 100, 130), np.uint8)
    picture = preview(image_of(array, scale=(10.0, 5.0, 5.0)), size=700)
    k = (700 - 3 * GAP) / (650 + 200)
    bar = scale_bar(1 / k, "nanometer", round(650 * k) // 3)
    white = (np.asarray(picture) == 255).all(axis=2)
    runs = {int(row.sum()) for row in white[TOP:] if row.sum() > 20}
    assert runs == {bar.pixels}
    assert bar.pixels == round(bar.length * k)


def test_the_coarsest_sufficient_level_is_read_and_no_other():
    image = pyramid_of(ramp((64, 512, 512)))
    preview(image, size=200)
    assert {level for level, _ in image.log} == {1}
    assert all(1 in box.shape for _, box in image.log)
    assert len(image.log) == 3
    image.log.clear()
    preview(image, size=1200)
    assert {level for level, _ in image.log} == {0}
    image.log.clear()
    preview(image, size=1200, level=2)
    assert {level for level, _ in image.log} == {2}
    with pytest.raises(NotFoundError):
        preview(image, level=3)


def test_levels_agree_about_where_things_are():
    array = np.zeros((64, 256, 256), np.uint8)
    array[:, 100:140, 60:90] = 200
    image = pyramid_of(array)
    fine, coarse = (np.asarray(preview(image, size=300, level=i)).astype(int) for i in (0, 1))
    assert (np.abs(fine - coarse) > 120).mean() < 0.01


def test_slices_go_through_the_position():
    array = np.full((9, 11, 13), 60, np.uint8)
    array[2], array[:, 3], array[:, :, 4] = 120, 160, 220
    image = image_of(array)
    image.log.clear()
    preview(image, size=256, position=(2, 3, 4))
    assert {box.origin for _, box in image.log} == {(2, 0, 0), (0, 3, 0), (0, 0, 4)}
    for bad in [(2, 3), (9, 0, 0), (-1, 0, 0)]:
        with pytest.raises(InputError):
            preview(image, position=bad)


def test_labels_are_overlaid_with_stable_colours_and_outlines():
    em = np.full((12, 60, 60), 100, np.uint8)
    seg = np.zeros((12, 60, 60), np.uint64)
    seg[:, 10:30, 10:30] = 864691128455135300
    seg[:, 30:50, 30:50] = 864691128455135301
    plain = np.asarray(preview(image_of(em), size=400)).astype(int)
    picture = np.asarray(preview(image_of(em), labels=image_of(seg, role="label"), size=400)).astype(int)
    k = (400 - 3 * GAP) / 72

    def at(p, y, x):
        return p[TOP + round((y + 0.5) * k), GAP + round((x + 0.5) * k)]

    assert (at(picture, 55, 5) == at(plain, 55, 5)).all()
    first, second = at(picture, 18, 18), at(picture, 42, 42)
    assert np.abs(first - at(plain, 18, 18)).max() > 15
    assert np.abs(first - second).max() > 15
    colors, alpha = label_colors(np.array([864691128455135300], np.uint64), {})
    np.testing.assert_allclose(first, np.round(0.65 * 127.5 + 0.35 * colors[0] * 255), atol=2)
    assert alpha[0] == 1
    outline = np.abs(picture - plain).max(axis=2) > np.abs(first - at(plain, 18, 18)).max() * 1.5
    assert 100 < outline[TOP:].sum() < 6000


def test_labels_with_their_own_grid_are_matched_by_world_coordinates():
    em = np.full((16, 64, 64), 100, np.uint8)
    seg = np.full((4, 8, 8), 7, np.uint32)  # 0.016 µm voxels over y 32–48, x 16–32 of 1 nm·8
    em_image = image_of(em, scale=(8.0, 8.0, 8.0))
    labels = image_of(seg, scale=(0.016,) * 3, translation=(0.036, 0.26, 0.132), unit="micrometer", role="label")
    picture = np.asarray(preview(em_image, labels=labels, size=320, opacity=1.0)).astype(int)
    plain = np.asarray(preview(em_image, size=320)).astype(int)
    k = (320 - 3 * GAP) / 80
    changed = (np.abs(picture - plain).max(axis=2) > 8)[TOP : TOP + round(64 * k), GAP : GAP + round(64 * k)]
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    np.testing.assert_allclose([rows[0] / k, (rows[-1] + 1) / k], [32, 48], atol=0.5)
    np.testing.assert_allclose([columns[0] / k, (columns[-1] + 1) / k], [16, 32], atol=0.5)


def test_labels_elsewhere_leave_the_picture_as_it_is():
    em = image_of(ramp((8, 30, 30)))
    far = image_of(np.full((8, 30, 30), 5, np.uint8), translation=(0.0, 500.0, 0.0), role="label")
    np.testing.assert_array_equal(np.asarray(preview(em, labels=far, size=200)), np.asarray(preview(em, size=200)))


def test_a_label_image_is_drawn_in_its_own_colours():
    seg = np.zeros((6, 20, 20), np.int32)
    seg[:, :, 10:] = 9
    display = Display(label_colors=(LabelColor(label=9, rgba=(10, 200, 30, 255)),))
    picture = np.asarray(preview(image_of(seg, role="label", display=display), size=256))
    assert (picture == (10, 200, 30)).all(axis=2).sum() > 2000


def test_label_colours_are_distinct_and_ignore_what_else_is_there():
    ids = np.arange(1, 400, dtype=np.uint64)
    colors, _ = label_colors(ids, {})
    assert len(np.unique(np.round(colors * 255), axis=0)) > 395
    again, alpha = label_colors(np.array([0, 17], np.int64), {})
    np.testing.assert_array_equal(again[1], colors[16])
    assert alpha.tolist() == [0, 1]


def test_channels_are_mixed_in_their_colours_and_windows():
    array = np.zeros((2, 3, 4, 20, 20), np.uint16)
    array[0, 0], array[0, 1] = 1000, 30
    display = Display(
        channels=(
            ChannelDisplay(color="FF0000", window=(0, 2000)),
            ChannelDisplay(color="0000FF", window=(0, 30)),
        )
    )
    picture = np.asarray(preview(image_of(array, "tczyx", display=display), size=256))
    assert (picture == (128, 0, 255)).all(axis=2).mean() > 0.3


def test_a_window_that_is_but_the_range_of_the_type_is_none():
    array = np.zeros((1, 4, 20, 20), np.uint16)
    array[..., 10:] = 900
    pictures = []
    for window in ((0, 65535), None, (0, 5000)):
        display = Display(channels=(ChannelDisplay(color="FFFFFF", window=window),))
        pictures.append(np.asarray(preview(image_of(array, "czyx", display=display), size=256)))
    assert np.array_equal(pictures[0], pictures[1]) and not np.array_equal(pictures[0], pictures[2])


def test_an_image_without_voxels_is_refused_in_words():
    with pytest.raises(InputError, match="has no voxels"):
        preview(image_of(np.zeros((0, 5, 4), np.uint8), "zyx"))


def test_rgb_images_keep_their_colours():
    array = np.zeros((24, 30, 3), np.uint8)
    array[:] = (200, 100, 50)
    display = Display(channels=(ChannelDisplay(window=(0, 255)),) * 3)
    image = image_of(array, "yxc", display=display, value=Value(components="rgb"))
    picture = np.asarray(preview(image, size=200))
    assert (picture == (200, 100, 50)).all(axis=2).mean() > 0.3


def test_two_dimensions_make_one_panel():
    picture = preview(image_of(ramp((40, 100)), "yx"), size=416)
    assert (picture.width, picture.height) == (416, TOP + 160 + GAP)


def test_x_first_storage_is_shown_like_z_first():
    array = ramp((12, 30, 50))
    np.testing.assert_array_equal(
        panel(preview(image_of(array), size=300), GAP, TOP, 200, 110),
        panel(preview(image_of(array.transpose(2, 1, 0).copy(), "xyz"), size=300), GAP, TOP, 200, 110),
    )


@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.uint16, np.int64, np.float16, np.float64, np.complex64])
def test_every_kind_of_number_can_be_drawn(dtype):
    array = (ramp((7, 9, 11), np.int64) % 2).astype(dtype)
    if np.dtype(dtype).kind == "f":
        array[0, 0, :3] = np.nan, np.inf, -np.inf
        array[3] = np.nan
    assert preview(image_of(array), size=128).width > 0


def test_extreme_shapes_still_fit():
    for shape in [(1, 1, 1), (1, 4000, 3), (500, 2, 2)]:
        picture = preview(image_of(np.zeros(shape, np.uint8), name="n" * 500), size=300)
        assert max(picture.width, picture.height) < 520


def test_a_plane_too_large_to_hold_is_thinned():
    class Endless(FakeImage):
        def level(self, index):
            return np.broadcast_to(np.uint8(90), (3, 60_000, 50_000))

        def read(self, box=None, *, level=0):
            self.log.append((level, box))
            return np.broadcast_to(np.uint8(90), box.shape)

    image = Endless([np.zeros((1, 1, 1), np.uint8)], axes_of("zyx"), [((1.0,) * 3, (0.0,) * 3)])
    assert preview(image, size=128).width > 0
    assert max(box.size for _, box in image.log) <= 1 << 24


def test_one_axis_and_silly_sizes_are_refused():
    with pytest.raises(InputError, match="too few"):
        preview(image_of(np.zeros(5), "x"))
    with pytest.raises(InputError, match="pixels"):
        preview(image_of(ramp((3, 4, 5))), size=5)


def test_boxes_are_asked_for_within_the_image():
    image = image_of(ramp((5, 6, 7)))
    preview(image, size=128)
    assert all(Box.whole((5, 6, 7)).contains(box) for _, box in image.log)


# ------------------------------------------------------------------------------------------------------ thumbnails
def opened(png):
    with PIL_Image.open(io.BytesIO(png)) as picture:
        return np.asarray(picture)


def test_a_thumbnail_is_the_middle_slice_with_its_true_aspect_and_nothing_else():
    array = np.zeros((9, 20, 40), np.uint8)
    array[4, :, 20:] = 200  # the middle slice only
    picture = opened(thumbnail_png(image_of(array, scale=(40.0, 8.0, 4.0)), size=160))
    assert picture.shape == (160, 160, 3)
    assert (picture[:, :70] < 60).all() and (picture[:, 90:] > 100).all()


def test_a_thumbnail_reads_the_coarsest_level_that_suffices():
    image = pyramid_of(ramp((16, 512, 512)), levels=3)
    thumbnail_png(image, size=128)
    assert {level for level, _ in image.log} == {2}


def test_a_thumbnail_of_labels_has_their_colours_and_flat_images_have_one_too():
    labels = np.zeros((3, 40, 50), np.uint32)
    labels[:, 5:20, 5:20] = 7
    image = image_of(labels)
    image.role = "label"
    assert len(np.unique(opened(thumbnail_png(image, size=64)).reshape(-1, 3), axis=0)) >= 2
    flat = FakeImage([ramp((30, 60))], axes_of("yx"), [((1.0, 1.0), (0.0, 0.0))])
    assert opened(thumbnail_png(flat, size=64)).shape == (32, 64, 3)


def test_a_thumbnail_that_takes_too_much_is_refused_before_anything_is_read():
    image = image_of(ramp((16, 128, 128)))
    with pytest.raises(InputError, match="262,144 bytes"):
        thumbnail_png(image, most=1000)
    assert image.log == []
