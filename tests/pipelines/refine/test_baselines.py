"""Classical refinement: sharp edges at the low map's values, at any resolution."""

import numpy as np
import pytest

from depthjax.pipelines.refine import baselines

_H, _W = 32, 48


def _maps(scale):
  """A blurred step on a slope, the sharp step at half the height, and the sharp step on a slope."""
  rows, columns = (np.mgrid[: scale * _H, : scale * _W] + 0.5) / scale
  slope, step = 0.3 * rows / _H, 0.6 * (columns > _W / 2)
  low = 0.6 / (1 + np.exp(-2 * (columns - _W / 2))) + slope
  return [x[..., None].astype(np.float32) for x in (low, 0.5 * step + 0.1, step + slope)]


def _steepest(x):
  return np.abs(np.diff(x[_H], axis=0)).max()


@pytest.mark.parametrize('refine', [baselines.guided_filter, baselines.poisson_fusion])
def test_steps_become_sharp_and_slopes_are_preserved_at_any_resolution(refine):
  low, high, truth = _maps(2)
  result = refine(low, high)
  assert result.shape == low.shape and result.dtype == np.float32
  inner = slice(12, -12)  # The filter flattens slopes at the border.
  assert _steepest(result) > 2 * _steepest(low)
  beside = [abs(x - truth)[inner, _W - 1 : _W + 1].mean() for x in (result, low)]
  assert beside[0] < 0.7 * beside[1]
  assert abs(result - truth)[inner, 12 : _W - 8].max() < 0.02
  fine = refine(*_maps(8)[:2]).reshape(2 * _H, 4, 2 * _W, 4, 1).mean(axis=(1, 3))
  away = abs(np.arange(2 * _W) + 0.5 - _W) > 2
  assert abs(fine - result)[:, away].max() < 0.03
