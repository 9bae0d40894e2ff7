"""The classical renderer in tiles equals the operation on the full frame."""

import jax
import numpy as np
import pytest

from depthjax.ops import colour, scatter
from depthjax.pipelines.refocus import classical


@pytest.mark.parametrize('core', [7, 16, 64])
def test_tiles_equal_the_full_frame(core):
  rng = np.random.default_rng(0)
  photo = rng.random((30, 45, 3), np.float32)
  defocus = rng.uniform(-3.6, 3.6, (30, 45, 1)).astype(np.float32)
  light = jax.jit(scatter.scatter, static_argnames='limit')(
    colour.srgb_to_linear(photo), defocus, limit=4
  )
  result = classical.render(photo, defocus, 3.6, core)
  np.testing.assert_allclose(result, colour.linear_to_srgb(light), atol=1e-5)
  assert np.abs(result - photo).max() > 0.1
