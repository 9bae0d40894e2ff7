"""Windows of coarse-to-fine refinement."""

import numpy as np
import pytest

from depthjax import windows


@pytest.mark.parametrize('shape', [(257, 131), (1080, 1920), (64, 64)])
@pytest.mark.parametrize('level', [0, 1, 2, 3])
def test_windows_of_equal_size_cover_every_pixel(shape, level):
  covered = np.zeros(shape, int)
  found = windows.grid(shape, level)
  for window in found:
    covered[window.slices] += 1
  assert covered.min() == 1 and len(found) == (level + 1) ** 2
  assert len({window[2:] for window in found}) == 1


def test_sizes_are_those_of_the_authors_release():
  assert windows.grid((1080, 1920), 1)[0][2:] == (601, 1067)
  assert windows.grid((1080, 1920), 2)[0][2:] == (433, 769)
  assert windows.count(3) == 29


def test_weights_are_one_in_the_middle_and_zero_at_the_border():
  weights = windows.feather((101, 64))
  assert weights.shape == (101, 64) and weights.max() == 1
  assert max(weights[0].max(), weights[-1].max(), weights[:, 0].max()) < 1e-6
  np.testing.assert_allclose(weights, weights[::-1, ::-1], atol=2e-3)
  assert (np.diff(weights[50, :32]) >= 0).all()


@pytest.mark.parametrize('level', [-1, 3])
def test_invalid_levels_are_refused(level):
  with pytest.raises(ValueError, match=f'the level is {level}; it must be 0 to 2 for 100 x 3'):
    windows.grid((3, 100), level)
