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


@pytest.mark.parametrize('radius', [6, 40])
def test_with_occlusion_nothing_sharper_is_washed_and_the_rest_is_blurred_up_to_its_edge(radius):
  """A sharp grey body before stripes; without occlusion their light is on it."""
  h, w, middle = 96, 192, 96
  stripes = np.where(np.arange(h)[:, None, None] // 4 % 2, 0.8, 0.2)
  photo = np.broadcast_to(stripes, (h, w, 3)).astype(np.float32).copy()
  photo[:, middle:] = 0.1
  defocus = np.full((h, w, 1), -radius, np.float32)
  defocus[:, middle:] = 0
  washed, result = (classical.render(photo, defocus, 64, occlusion=on) for on in (False, True))
  np.testing.assert_allclose(result[:, middle:], 0.1, atol=0.02)
  assert np.abs(washed[:, middle] - 0.1).mean() > 0.1
  inside = result[radius:-radius, middle - 3 : middle, 0]
  assert inside.std(axis=0).max() < 0.3 * photo[radius:-radius, 0, 0].std()


def test_a_lamp_takes_the_shape_of_the_aperture():
  """The area of a square that is inscribed in the disc of radius 20; a corner is at the top."""
  photo = np.zeros((97, 97, 3), np.float32)
  photo[48, 48] = 1
  result = classical.render(photo, np.full((97, 97, 1), -20.0, np.float32), blades=4)
  lit = result[..., 0] > result[48, 48, 0] / 2
  assert abs(lit.sum() - 2 * 20**2) < 60
  rows, columns = np.nonzero(lit)
  assert np.ptp(rows) == np.ptp(columns) and abs(np.ptp(rows) - 40) <= 3
  assert lit[30, 48] and not lit[35, 35]
