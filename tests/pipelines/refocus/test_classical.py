"""The classical renderer in tiles and levels equals the operation on the full frame."""

import cv2
import jax
import numpy as np
import pytest

from depthjax.ops import colour, scatter
from depthjax.pipelines.refocus import classical

_scatter = jax.jit(scatter.scatter, static_argnames='limit')


@pytest.mark.parametrize('core', [8, 16, 64])
def test_tiles_equal_the_full_frame(core):
  rng = np.random.default_rng(0)
  photo = rng.random((30, 45, 3), np.float32)
  defocus = rng.uniform(-3.6, 3.6, (30, 45, 1)).astype(np.float32)
  light = _scatter(colour.srgb_to_linear(photo), defocus, limit=4)
  result = classical.render(photo, defocus, core)
  np.testing.assert_allclose(result, colour.linear_to_srgb(light), atol=1e-5)
  assert np.abs(result - photo).max() > 0.1


@pytest.mark.parametrize('core', [16, 64])
def test_large_radii_are_rendered_at_reduced_size(core):
  """Levels 0 to 3 within 1/255 of the full frame, in a scene with edges and odd sizes."""
  h, w, radius = 99, 141, 40
  photo = np.random.default_rng(0).random((h // 9, w // 9, 3), np.float32)
  photo = cv2.resize(photo, (w, h), interpolation=cv2.INTER_LINEAR)
  defocus = np.broadcast_to(np.linspace(-radius, 0, w, dtype=np.float32)[:, None], (h, w, 1)).copy()
  defocus[20:50, 30:60] = 25
  light = _scatter(colour.srgb_to_linear(photo), defocus, limit=radius)
  result, exact = classical.render(photo, defocus, core), colour.linear_to_srgb(light)
  assert np.sqrt(np.mean((result - exact) ** 2)) < 1 / 255
  assert np.abs(photo - exact).mean() > 0.05
