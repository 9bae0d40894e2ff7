"""Filling both sides of a mask: a NumPy twin, exact edges, thin parts, bad input."""

import cv2
import numpy as np
import pytest
from scipy import ndimage

from depthjax.pipelines.mask_refine import fill

_RNG = np.random.default_rng(0)
_MASK = np.zeros((40, 50, 1), np.float32)
cv2.circle(_MASK, (22, 20), 13, 1.0, -1)


def test_each_side_takes_the_nearest_value_well_inside_it():
  disparity, distance = _RNG.random(_MASK.shape, np.float32), 4.5
  layers = fill.layers(disparity, _MASK, distance=distance / 50)
  for layer, side in zip(layers, (_MASK > 0, _MASK == 0), strict=True):
    kept = ndimage.distance_transform_edt(side[..., 0]) > distance
    np.testing.assert_array_equal(layer[kept], disparity[kept])
    nearest = ndimage.distance_transform_edt(~kept)
    positions = {value: at for at, value in np.ndenumerate(disparity[..., 0]) if kept[at]}
    for at, value in np.ndenumerate(layer[..., 0]):
      assert np.hypot(*np.subtract(positions[value], at)) <= 1.03 * nearest[at] + 1e-6


def test_a_blurred_edge_becomes_exact():
  """At any size, with any unit; values far from the mask are the same, bit for bit."""
  for factor in (1, 3):
    mask = np.kron(_MASK[..., 0], np.ones((factor, factor), np.float32))[..., None]
    truth = 7000 - 5000 * mask
    blurred = cv2.GaussianBlur(truth, (0, 0), 0.5 * factor, borderType=cv2.BORDER_REPLICATE)
    result = fill.refine(blurred[..., None], mask, distance=0.05)
    np.testing.assert_allclose(result, truth, rtol=1e-4)
    far = ndimage.distance_transform_edt(mask[..., 0] == 0) > 0.05 * 50 * factor
    np.testing.assert_array_equal(result[far, 0], blurred[far])


def test_thin_parts_and_holes_take_the_value_of_their_side():
  """A wire and a hole, which the initial map misses."""
  disparity, mask = 0.2 + 0.5 * _MASK, _MASK.copy()
  mask[20, 30:], mask[18:21, 20:23] = 1, 0
  result = fill.refine(disparity, mask, distance=0.05)
  np.testing.assert_allclose(result, 0.2 + 0.5 * mask)
  # A mask that has no thicker part keeps its innermost values.
  wire = np.zeros_like(mask)
  wire[19:22, 10:40] = 1
  disparity = _RNG.random(mask.shape, np.float32)
  inside, outside = fill.layers(disparity, wire, distance=0.05)
  assert set(inside.ravel()) == set(disparity[20, 11:39].ravel())
  assert not set(outside.ravel()) & set(disparity[wire > 0])


def test_a_prior_gives_the_shape_and_tells_what_is_of_the_other_side():
  """Wide errors are restored where they are clear, other pixels are kept."""
  rows, columns = np.mgrid[:400, :500].astype(np.float32)[..., None] / 500
  narrow, mask, wide = (
    np.float32(np.hypot(rows - 0.4, columns - 0.5) < x) for x in (0.23, 0.25, 0.27)
  )
  prior = fill.Layers(1 + rows, columns / 2)
  side = prior.inside - 0.02, prior.outside + 0.02  # Offsets do not matter.
  truth = np.where(mask > 0, *side)
  away = ndimage.distance_transform_edt(mask == 0) + ndimage.distance_transform_edt(mask > 0)
  ring = (wide > mask) & (away > 7)
  for seen, error, low, high in (
    (truth, 1e-6, 0.99, 1),
    (np.where(wide > 0, *side), 1e-6, 0.5, 0.9),
    (np.where(narrow > 0, *side), 1e-6, 0.5, 0.9),
    (cv2.GaussianBlur(truth, (0, 0), 3)[..., None], 0.04, 0.5, 0.95),
    (truth + 0.2 * ring, 0.2, 0.9, 1),  # Less than 0.4 of the gap.
  ):
    result = np.where(mask > 0, *fill.layers(seen, mask, prior=prior))
    np.testing.assert_array_equal(result[away > 30], seen[away > 30])
    band = (away > 1) & (away <= 30)
    assert np.abs(result - truth)[band].mean() <= error
    assert low <= (result == seen)[band].mean() <= high
  np.testing.assert_array_equal(result[ring], seen[ring])


@pytest.mark.parametrize(
  ('disparity', 'distance', 'message'),
  [
    (_MASK[:-1], 0.1, r'map and mask are \[39, 50, 1\] and \[40, 50, 1\]; they must be'),
    (np.where(_MASK > 0, np.nan, 1), 0.1, 'the depth map has NaN or infinite values'),
    (_MASK, -0.1, r'the distance is -0\.1 of the long side; it must be in \[0, 1\)'),
  ],
)
def test_bad_input_is_refused(disparity, distance, message):
  with pytest.raises(ValueError, match=message):
    fill.layers(disparity, _MASK, distance=distance)
