"""Stamps as grey: limits are shared by both alerts, missing pixels stay missing, every stretch rises."""

import numpy as np
import pytest

from tests.hunter.night import make_object
from twostamp.hunter.display import NO_PIXEL, STRETCHES, read_images, stretch


@pytest.mark.parametrize("how", STRETCHES)
def test_brighter_is_never_darker_in_either_alert(how):
    images = read_images(make_object(1))
    grey = stretch(images, how)
    assert grey.shape == (2, 3, 63, 63)
    assert grey.max() == NO_PIXEL - 1
    for column in range(3):
        order = np.argsort(images[:, column].ravel(), kind="stable")
        assert (np.diff(grey[:, column].ravel()[order].astype(int)) >= 0).all()
    assert grey[1, 2, 31, 31] >= grey[0, 2, 31, 31]  # it is brighter at the second alert


def test_asinh_shows_more_of_the_faint():
    images = read_images(make_object(1))
    assert np.mean(stretch(images, "asinh")[:, 0]) > np.mean(stretch(images, "percentile")[:, 0])


def test_what_is_missing_is_marked():
    (alert,) = make_object(0, 1)
    alert["cutoutTemplate"] = None
    alert["cutoutDifference"] = {"stampData": b"broken"}
    images = read_images([alert])
    grey = stretch(images, "zscale")
    assert (grey[0, 0] != NO_PIXEL).all()
    assert (grey[0, 1:] == NO_PIXEL).all()
    assert (grey[1] == NO_PIXEL).all()
    images[0, 0, :, :5] = np.nan
    assert (stretch(images, "zscale")[0, 0, :, :5] == NO_PIXEL).all()


def test_a_constant_image_and_an_unknown_stretch():
    assert (stretch(np.ones((2, 3, 63, 63), np.float32), "zscale") < NO_PIXEL).all()
    with pytest.raises(ValueError, match="no stretch"):
        stretch(np.zeros((2, 3, 63, 63), np.float32), "log")
