"""Classical refinement: the same at any size, and of each map what it has to give."""

import numpy as np

from depthjax.pipelines.refine import baselines

_H, _W = 32, 48
_REFINE = (baselines.guided_filter, baselines.fast_guided_filter, baselines.poisson_fusion)


def _maps(scale):
  """A blurred step on a slope, the sharp step half as high without it, and what is right."""
  rows, columns = (np.mgrid[: scale * _H, : scale * _W] + 0.5) / scale
  slope, step = 0.3 * rows / _H, 0.6 * (columns > _W / 2)
  low = 0.6 / (1 + np.exp(-2 * (columns - _W / 2))) + slope
  return [x[..., None].astype(np.float32) for x in (low, 0.5 * step + 0.1, step + slope)]


def test_steps_become_sharp_and_slopes_stay():
  low, high, right = _maps(2)
  inner = slice(12, -12)  # Beside the border the filter levels slopes.
  steepest = lambda x: np.abs(np.diff(x[_H], axis=0)).max()  # noqa: E731
  for refine in _REFINE:
    result = refine(low, high)
    assert result.shape == low.shape and result.dtype == np.float32
    assert steepest(result) > 2 * steepest(low)
    beside = [abs(x - right)[inner, _W - 1 : _W + 1].mean() for x in (result, low)]
    assert beside[0] < 0.7 * beside[1]
    assert abs(result - right)[inner, 12 : _W - 8].max() < 0.02


def test_a_finer_grid_is_refined_alike():
  coarse, fine = _maps(2)[:2], _maps(8)[:2]
  inside = abs(np.arange(2 * _W) + 0.5 - _W) > 2
  for refine in _REFINE:
    small, large = refine(*coarse), refine(*fine)
    large = large.reshape(2 * _H, 4, 2 * _W, 4, 1).mean(axis=(1, 3))
    assert abs(large - small)[:, inside].max() < 0.03
