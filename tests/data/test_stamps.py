"""Stamps: read like astropy reads, repaired to the scene they were cut from, normalised like the slow loop."""

import gzip
import io
import warnings
from contextlib import suppress

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from twostamp.alerts.archive import iter_members
from twostamp.alerts.cutouts import CHIP_HEIGHT, CHIP_WIDTH, SIZE, expected_shape, read_stamp, repair_stamp
from twostamp.alerts.packet import BadStamp, read_packets
from twostamp.data.arrays import Preparation, read_images, read_triplets
from twostamp.data.stamps import (
    QUANTILES,
    _deal_for_quantiles,
    _find_quantiles,
    _sort_for_quantiles,
    count_degenerate,
    crop_stamps,
    normalise_stamps,
)

CUTOUTS = ("cutoutScience", "cutoutTemplate", "cutoutDifference")

# candid: shape, missing rows and columns (before, after), sum of the difference's pixels
EDGE_PACKETS = {
    522193343315015001: ((63, 55), (0, 0), (0, 8), -2278.052282722201),
    595277915515015000: ((51, 63), (12, 0), (0, 0), -387.86743415053934),
    697251920715010005: ((53, 63), (0, 10), (0, 0), 2538.160578496201),
    697251924215010002: ((63, 56), (0, 0), (0, 7), 512.9168447994161),
    697252382115010005: ((63, 44), (0, 0), (0, 19), 336.94641904346645),
    697252382315010002: ((63, 60), (0, 0), (0, 3), -1578.8306084215583),
    697252840615010009: ((63, 47), (0, 0), (0, 16), 3577.768211924471),
    697252842615010004: ((63, 50), (0, 0), (0, 13), -720.0612375563942),
    697252844715015001: ((63, 48), (0, 0), (0, 15), 1253.749013118213),
    975188145315010003: ((55, 63), (8, 0), (0, 0), -2835.197921621613),
    2481458493315010007: ((53, 63), (0, 10), (0, 0), 1468.5874787021894),
    2659307100115010008: ((48, 63), (0, 15), (0, 0), 7027.184365003835),
}


@pytest.fixture(scope="module")
def packets(real_alerts):
    return [packet for member in iter_members(str(real_alerts), progress=False) for packet in read_packets(member.data)]


def write_fits(*hdus):
    stream = io.BytesIO()
    fits.HDUList(list(hdus)).writeto(stream)
    return gzip.compress(stream.getvalue(), compresslevel=1, mtime=0)


def read_with_astropy(data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with fits.open(io.BytesIO(gzip.decompress(data))) as hdus:
            return hdus[0].data.astype(np.float32)


def normalise_by_loop(images, method="range", nan_value=2.0):
    normalised = []
    for image in images.astype(np.float64):
        low, high = (np.nanmin(image), np.nanmax(image)) if method == "minmax" else np.nanquantile(image, [0.1, 0.9])
        scaled = (image - low) / (high if method == "literal" else high - low)
        normalised.append(np.nan_to_num(scaled.clip(-1, 1), nan=0 if method == "minmax" else nan_value))
    return np.array(normalised)


IMAGE = np.random.default_rng(5).normal(100, 9, (63, 55)).astype(np.float32)


def test_plain_stamp_is_native_float32():
    stamp = read_stamp(write_fits(fits.PrimaryHDU(IMAGE)))
    assert stamp.dtype == np.float32
    assert stamp.dtype.isnative
    assert stamp.flags.writeable
    np.testing.assert_array_equal(stamp, IMAGE)


@pytest.mark.parametrize(
    "hdus",
    [
        (fits.PrimaryHDU(), fits.CompImageHDU(IMAGE.round().astype(np.int32), compression_type="RICE_1")),
        (fits.PrimaryHDU(), fits.ImageHDU(IMAGE.round())),
        (fits.PrimaryHDU(IMAGE.round().astype(np.float64)),),
        (fits.PrimaryHDU(IMAGE.round().astype(np.int16)),),
        (fits.PrimaryHDU(IMAGE.round().astype(np.uint16)),),  # stored with BZERO 32768
        (fits.PrimaryHDU(IMAGE.round(), fits.Header([("COMMENT", str(n)) for n in range(60)])),),  # two header blocks
    ],
    ids=["compressed", "extension", "float64", "int16", "scaled", "long header"],
)
def test_unusual_fits_goes_through_astropy(hdus):
    stamp = read_stamp(write_fits(*hdus))
    np.testing.assert_array_equal(stamp, IMAGE.round())
    assert stamp.dtype == np.float32


def test_scaled_float_is_not_read_raw():
    raw = gzip.decompress(write_fits(fits.PrimaryHDU(IMAGE)))
    card = b"END".ljust(80)
    scaled = raw.replace(card + card.replace(b"END", b"   "), b"BSCALE  =                  2.0".ljust(80) + card)
    np.testing.assert_array_equal(read_stamp(gzip.compress(scaled)), 2 * IMAGE)


GOOD = write_fits(fits.PrimaryHDU(IMAGE))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "missing"),
        (None, "missing"),
        (b"not gzip", "gzip"),
        (GOOD[:-900], "gzip"),
        (gzip.compress(b"SIMPLE  =  T", mtime=0), "FITS"),
        (gzip.compress(b"\0" * 3000, mtime=0), "FITS"),
        (gzip.compress(gzip.decompress(GOOD)[:4000], mtime=0), "FITS"),
        (write_fits(fits.PrimaryHDU()), "no two-dimensional image"),
        (write_fits(fits.PrimaryHDU(np.zeros((2, 3, 4), np.float32))), "no two-dimensional image"),
    ],
)
def test_bad_bytes_give_a_reason(data, reason):
    with pytest.raises(BadStamp, match=reason):
        read_stamp(data)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damage_is_a_bad_stamp_or_harmless(data):
    damaged = bytearray(gzip.decompress(GOOD))
    for _ in range(data.draw(st.integers(1, 5))):
        damaged[data.draw(st.integers(0, 2879))] = data.draw(st.integers(0, 255))
    with suppress(BadStamp):
        assert read_stamp(gzip.compress(bytes(damaged), compresslevel=0)).ndim == 2


# --- repair (S1)


@pytest.mark.parametrize("x", [1.2, 5.0, 20.4, 31.0, 32.0, 1500.0, 3040.0, 3041.0, 3060.7, 3072.0])
@pytest.mark.parametrize("y", [1.0, 11.6, 31.4, 32.0, 1500.0, 3048.0, 3049.4, 3070.0, 3080.0])
def test_repaired_stamp_is_the_scene_it_was_cut_from(x, y):
    """All edges and corners: 125 pixels of sky around the source, of which the chip sees a part."""
    sky = np.random.default_rng(round(10 * x + y)).normal(size=(125, 125)).astype(np.float32)
    columns, rows = round(x) + np.arange(-62, 63), round(y) + np.arange(-62, 63)  # chip pixels, from 1
    on_chip = np.outer((rows >= 1) & (rows <= CHIP_HEIGHT), (columns >= 1) & (columns <= CHIP_WIDTH))
    scene = np.where(on_chip, sky, np.nan)[31:94, 31:94]
    cut = scene[~np.isnan(scene).all(axis=1)][:, ~np.isnan(scene).all(axis=0)]
    assert cut.shape == expected_shape(x, y)
    repaired = repair_stamp(cut, x, y)
    np.testing.assert_array_equal(repaired, scene)
    assert repaired[31, 31] == sky[62, 62]


def test_whole_stamp_is_returned_as_it_is():
    whole = np.zeros((SIZE, SIZE), np.float32)
    assert repair_stamp(whole, float("nan"), float("nan")) is whole


@pytest.mark.parametrize(
    ("shape", "position"),
    [((63, 55), (1500.0, 1500.0)), ((55, 63), (3048.6, 791.3)), ((63, 62), (float("nan"), 50.0)), ((64, 63), (9, 9))],
)
def test_unexplained_shape_is_refused(shape, position):
    with pytest.raises(BadStamp, match="shape"):
        repair_stamp(np.zeros(shape, np.float32), *position)


# --- normalisation (S2)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.floats(-5000, 5000),
    st.floats(0.5, 500),
    st.integers(0, 62),
    st.sampled_from(["range", "literal", "minmax"]),
)
def test_normalisation_equals_the_loop(seed, sky, noise, holes, method):
    images = np.random.default_rng(seed).normal(sky, noise, (4, 7, 9)).astype(np.float32)
    images.reshape(4, -1)[1:3, :holes] = np.nan
    low, high = np.nanquantile(images.reshape(4, -1), [0.1, 0.9], axis=1)
    assume((high - low > noise / 10).all() and (np.abs(high) > noise / 10).all())
    precision = 1e-6 * (1 + (abs(sky) + 9 * noise) / noise) * 10  # of float32 on that sky
    np.testing.assert_allclose(normalise_stamps(images, method), normalise_by_loop(images, method), atol=precision)


@settings(max_examples=100, deadline=None)
@given(
    hnp.arrays(
        np.float32, (3, 5, 5), elements=st.floats(-(2.0**99), 2.0**99, width=32) | st.just(np.nan) | st.just(np.inf)
    ),
    st.sampled_from(["range", "literal", "minmax"]),
)
def test_normalised_stamps_are_finite_and_bounded(images, method):
    normalised = normalise_stamps(images, method)
    missing = ~np.isfinite(images)
    assert np.isfinite(normalised).all()
    assert (np.abs(normalised[~missing]) <= 1).all()
    assert (normalised[missing] == (0 if method == "minmax" else 2)).all()


@pytest.mark.parametrize("method", ["range", "literal", "minmax"])
def test_a_contrast_below_single_precision_is_none(method):
    image = np.full((1, 5, 5), np.nan, np.float32)
    image[0, 0, :2] = -4e-45, 0
    normalised = normalise_stamps(image, method)
    assert np.isfinite(normalised).all()
    assert (np.abs(normalised[0, 0, :2]) <= 1).all()


def test_each_image_by_itself_whatever_the_leading_axes():
    images = np.random.default_rng(2).normal(50, 9, (2, 3, 63, 63)).astype(np.float32)
    together = normalise_stamps(images)
    np.testing.assert_array_equal(together[1, 2], normalise_stamps(images[1, 2]))
    assert together.shape == images.shape
    np.testing.assert_allclose(normalise_stamps(images * 8 + 64), together, atol=1e-5)  # scale and offset drop out


def test_degenerate_images_are_zero_or_missing_and_counted():
    images = np.random.default_rng(3).normal(size=(5, 3, 63, 63)).astype(np.float32)
    images[0, 0] = 7.0
    images[1, 1, :40] = np.nan
    images[1, 1, 40:] = -3.0
    images[2, 2] = np.nan
    normalised = normalise_stamps(images)
    assert (normalised[0, 0] == 0).all()
    assert set(np.unique(normalised[1, 1])) == {0, 2}
    assert (normalised[2, 2] == 2).all()
    counts = count_degenerate(normalised)
    assert (counts.flat, counts.empty) == (2, 1)
    assert count_degenerate(normalise_stamps(images, "minmax"), nan_value=0).flat == 3


def test_unknown_normalisation_is_named():
    with pytest.raises(ValueError, match="zscale"):
        normalise_stamps(np.zeros((63, 63), np.float32), "zscale")


# --- crop (S4)


@pytest.mark.parametrize(
    ("size", "first", "last"), [(1, 31, 31), (21, 21, 41), (41, 11, 51), (42, 10, 51), (63, 0, 62)]
)
def test_crop_rows(size, first, last):
    rows = np.broadcast_to(np.arange(63)[:, None, None], (2, 63, 63, 3))
    crop = crop_stamps(rows, size)
    assert crop.shape == (2, size, size, 3)
    assert (crop[0, 0, 0, 0], crop[0, -1, 0, 0]) == (first, last)


@pytest.mark.parametrize("size", [0, 64])
def test_impossible_crop(size):
    with pytest.raises(ValueError, match=str(size)):
        crop_stamps(np.zeros((63, 63, 3)), size)


def test_triplets_keep_the_channels_order():
    data = [write_fits(fits.PrimaryHDU(np.full((63, 55), k, np.float32))) for k in range(3)]
    stamps = dict(zip(("science_1", "template_1", "difference_1"), data, strict=True))
    triplets = read_triplets(pd.DataFrame([stamps | {"xpos_1": 3049.0, "ypos_1": 99.0}] * 2), alert=1)
    assert triplets.shape == (2, 63, 63, 3)
    assert triplets.flags.c_contiguous
    np.testing.assert_array_equal(triplets[1, 5, 5], [0, 1, 2])
    assert np.isnan(triplets[:, :, 55:]).all()


# --- real packets


@pytest.mark.slow
def test_every_real_stamp_is_read_like_astropy_and_explained(packets):
    for packet in packets:
        candidate = packet["candidate"]
        for cutout in CUTOUTS:
            stamp = read_stamp(packet[cutout]["stampData"])
            np.testing.assert_array_equal(stamp, read_with_astropy(packet[cutout]["stampData"]))
            assert stamp.shape == expected_shape(candidate["xpos"], candidate["ypos"])


def test_real_edge_packets(packets, real_alerts):
    seen = {}
    for packet in packets:
        candidate, stamp = packet["candidate"], read_stamp(packet["cutoutDifference"]["stampData"])
        if stamp.shape != (SIZE, SIZE):
            there = repair_stamp(np.zeros_like(stamp), candidate["xpos"], candidate["ypos"]) == 0
            (top, bottom), (left, right) = (there.any(axis=axis).nonzero()[0][[0, -1]] for axis in (1, 0))
            total = float(np.nansum(stamp, dtype=np.float64))
            seen[packet["candid"]] = (stamp.shape, (top, 62 - bottom), (left, 62 - right), pytest.approx(total))
    index = pd.read_csv(real_alerts / "index.csv")
    assert seen.keys() == set(index.loc[index["shape"] != "63x63", "candid"])
    assert {candid: seen[candid] for candid in EDGE_PACKETS} == EDGE_PACKETS


def test_source_is_in_the_centre_of_repaired_real_stamps(packets):
    bright = []
    for packet in packets:
        candidate = packet["candidate"]
        if packet["candid"] in EDGE_PACKETS and candidate["magpsf"] < candidate["diffmaglim"] - 1.5:
            stamp = read_stamp(packet["cutoutDifference"]["stampData"])
            repaired = np.abs(repair_stamp(stamp, candidate["xpos"], candidate["ypos"]))
            bright.append(np.unravel_index(np.nanargmax(repaired), repaired.shape))
    assert len(bright) >= 3
    assert np.abs(np.array(bright) - 31).max() <= 1


def test_real_stamps_are_normalised_like_the_loop(packets):
    some = packets[::13]
    table = pd.DataFrame({f"{name}_1": [packet["candidate"][name] for packet in some] for name in ("xpos", "ypos")})
    for cutout in CUTOUTS:
        table[f"{cutout[6:].lower()}_1"] = [packet[cutout]["stampData"] for packet in some]
    images = read_images(table, alert=1)
    raw = images.reshape(-1, 63, 63)
    for method in ("range", "literal", "minmax"):
        expected = normalise_by_loop(raw, method)
        triplets = Preparation(method).prepare(images, SIZE)
        np.testing.assert_allclose(np.moveaxis(triplets, -1, 1).reshape(-1, 63, 63), expected, atol=2e-5)


def whole_image(kind: str, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    noise = rng.normal(200, 10, SIZE**2)
    images = {
        "noise": noise,
        "few values": noise.round(-1),
        "slope": np.arange(SIZE**2) * 1.0,
        "star": noise + 1e5 * np.exp(-0.01 * (np.arange(SIZE**2) - SIZE**2 / 2) ** 2),
        "stripes": noise + 1000 * (np.arange(SIZE**2) % 9),  # each hand is dealt cards of its own
        "constant": np.full(SIZE**2, 3.0),
        "missing": np.where(rng.random(SIZE**2) < 0.01, np.nan, noise),
        "empty": np.full(SIZE**2, np.nan),
    }
    return images[kind].astype(np.float32)


KINDS = ("noise", "few values", "slope", "star", "stripes", "constant", "missing", "empty")


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 1000)), min_size=1, max_size=5))
def test_quick_quantiles_are_those_of_sorted_images(chosen):
    images = np.stack([whole_image(*each) for each in chosen])
    missing = np.isnan(images)
    expected = _sort_for_quantiles(images, missing, QUANTILES)
    np.testing.assert_array_equal(_find_quantiles(images, missing, QUANTILES), expected)


def test_quick_quantiles_do_ordinary_stamps_and_doubt_striped_ones():
    images = np.stack([whole_image("noise", 1), whole_image("stripes", 1)])
    assert _deal_for_quantiles(images, QUANTILES)[1].tolist() == [False, True]


def test_many_images_are_scaled_as_one_by_one():
    images = np.stack([whole_image("noise", seed).reshape(SIZE, SIZE) for seed in range(70)])
    np.testing.assert_array_equal(normalise_stamps(images), [normalise_stamps(image) for image in images])


@pytest.mark.parametrize("method", ["range", "literal", "minmax"])
@pytest.mark.parametrize("crop", [1, 21, 42, 63])
def test_scaling_the_centre_alone_changes_nothing(method, crop):
    images = np.stack([whole_image(kind, 2).reshape(SIZE, SIZE) for kind in KINDS] * 2).reshape(2, -1, SIZE, SIZE)
    whole = normalise_stamps(images, method)
    cropped = crop_stamps(whole[..., None], crop)[..., 0]
    np.testing.assert_array_equal(normalise_stamps(images, method, crop=crop), cropped)
