"""Colour maps: OpenCV's colours at its 256 entries, and no bands between them."""

import cv2
import numpy as np
import pytest

from depthjax.files.colormaps import colour


@pytest.mark.parametrize('name', ['inferno', 'turbo'])
def test_entries_are_those_of_opencv(name):
  steps = np.arange(256, dtype=np.uint8)[None]
  expected = cv2.applyColorMap(steps, getattr(cv2, f'COLORMAP_{name.upper()}'))[..., ::-1] / 255
  picture = colour(steps.astype(np.float32) / 255, name)
  assert picture.dtype == np.float32 and picture.shape == (1, 256, 3)
  np.testing.assert_allclose(picture, expected, atol=1e-4)


def test_inferno_brightens_with_nearness_and_is_smooth_at_16_bits():
  ramp = np.linspace(0, 1, 4096, dtype=np.float32)[None]
  light = colour(ramp).sum(-1)[0]
  assert (np.diff(light) > -1e-3).all() and light[-1] > light[0] + 1.5
  assert len(np.unique(light)) > 2000


def test_shapes_and_values_beyond():
  disparity = np.array([[-1.0, 0, 1, 2]], np.float32)
  picture = colour(disparity)
  np.testing.assert_array_equal(picture, colour(disparity[..., None]))
  np.testing.assert_array_equal(picture[:, :2], picture[:, [0, 0]])
  np.testing.assert_array_equal(picture[:, 2:], picture[:, [3, 3]])


def test_bad_arguments():
  ramp = np.zeros((2, 2), np.float32)
  with pytest.raises(ValueError, match="'jet'; expected inferno or turbo"):
    colour(ramp, 'jet')
  with pytest.raises(ValueError, match=r'\[2, 2, 3\]; expected \[h w\]'):
    colour(np.zeros((2, 2, 3)))
  with pytest.raises(ValueError, match='NaN; expected'):
    colour(ramp + np.nan)
