"""Coloured previews: OpenCV's inferno, interpolated."""

import cv2
import numpy as np
import pytest

from depthjax.files.colormaps import colour


def test_entries_are_those_of_opencv_and_values_are_clipped():
  steps = np.arange(256, dtype=np.uint8)[None]
  expected = cv2.applyColorMap(steps, cv2.COLORMAP_INFERNO)[..., ::-1] / 255
  picture = colour(steps.astype(np.float32)[..., None] / 255)
  assert picture.dtype == np.float32 and picture.shape == (1, 256, 3)
  np.testing.assert_allclose(picture, expected, atol=1e-4)
  np.testing.assert_allclose(colour(np.array([[-1, 2]])), expected[:, [0, 255]], atol=1e-4)


def test_colours_between_entries_are_interpolated():
  light = colour(np.linspace(0, 1, 4096, dtype=np.float32)[None]).sum(-1)[0]
  assert (np.diff(light) > -1e-3).all() and light[-1] > light[0] + 1.5
  assert len(np.unique(light)) > 2000


def test_invalid_arguments_are_refused():
  with pytest.raises(ValueError, match=r'\[2, 2, 3\]; expected \[h w\]'):
    colour(np.zeros((2, 2, 3)))
  with pytest.raises(ValueError, match='NaN; expected'):
    colour(np.full((2, 2), np.nan))
