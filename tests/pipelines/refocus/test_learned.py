"""The learned renderer: tiles, receptive fields, and the blur after several doublings."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from depthjax.models import layers
from depthjax.models.deeplens.lensblur import LensBlur, initial
from depthjax.models.deeplens.upsampler import UNet
from depthjax.ops import colour
from depthjax.pipelines.refocus import classical
from depthjax.pipelines.refocus import learned as learned_lib

_FEATURES = (6, 6, 3, 3)


@functools.cache
def _learned():
  """A tiny network whose output depends on all inputs: positive weights do not cancel."""
  model = LensBlur(width=4, upsampler_width=4, features=_FEATURES, upsampler_features=_FEATURES)
  variables = jax.device_get(jax.jit(functools.partial(initial, model))())
  variables['params']['upsampler'] = {
    name: jax.tree.map(_mean if name == 'features' else lambda x: 1.5 * np.abs(x), net)
    for name, net in variables['params']['upsampler'].items()
  }
  return learned_lib.Learned(model, variables, 4)


def _mean(x):
  """A box filter of the kernel's size."""
  return np.full_like(x, 1 / x[..., 0].size) if x.ndim == 4 else x


def _scene(h, w):
  rng = np.random.default_rng(0)
  photo = rng.random((h, w, 3), np.float32)
  return photo, rng.uniform(-8, 8, (h, w, 1)).astype(np.float32)


def test_tiles_equal_the_full_frame():
  """512 x 250 pixels from 256 x 128; the input of a tile has 104 + 16 pixels."""
  photo, defocus = _scene(512, 250)
  full = learned_lib.render(_learned(), photo, defocus, 1, core=400)
  tiled = learned_lib.render(_learned(), photo, defocus, 1, core=16)
  np.testing.assert_allclose(tiled, full, atol=1e-4)
  assert full.shape == photo.shape and np.std(full) > 0.03


def test_all_tiles_have_the_same_shape(monkeypatch):
  shapes = set()

  def upsample(variables, image, blurred, defocus, guide, corner, place):
    shapes.add((image.shape, guide.shape))
    return guide

  monkeypatch.setattr(learned_lib, 'compiled', lambda model: (lambda v, x, d: x, upsample))
  photo, defocus = _scene(500, 620)
  result = learned_lib.render(_learned(), photo, defocus, 1, core=16)
  np.testing.assert_array_equal(result, photo)
  assert shapes == {((1, 120, 120, 3), (1, 52, 52, 3))}


@pytest.mark.parametrize('shape', [(200, 300), (250, 150), (171, 330)])
def test_small_pictures_share_programs(shape, monkeypatch):
  """Inputs are padded to multiples of 128, and the results are cropped."""
  seen = set()

  def upsample(variables, image, blurred, defocus, guide, corner, prior):
    seen.add((image.shape[1:3], guide.shape[1:3]))
    return guide

  monkeypatch.setattr(learned_lib, 'compiled', lambda model: (lambda v, x, d: x, upsample))
  photo, defocus = _scene(*shape)
  np.testing.assert_array_equal(learned_lib.render(_learned(), photo, defocus, 1), photo)
  low = tuple(128 * -(-n // 256) for n in shape)
  assert seen == {(low, tuple(2 * n for n in low))}


def test_only_wanted_tiles_are_rendered():
  """And those of the level below that they depend on."""
  photo, defocus = _scene(512, 250)
  wanted = np.zeros((512, 250, 1), bool)
  wanted[500:, 100] = True
  steps = []
  fields = {'core': 16, 'done': steps.append}
  full = learned_lib.render(_learned(), photo, defocus, 2, **fields)
  count = len(steps)
  part = learned_lib.render(_learned(), photo, defocus, 2, wanted=wanted, **fields)
  np.testing.assert_array_equal(part[wanted[..., 0]], full[wanted[..., 0]])
  assert 2 < len(steps) - count < count / 2 and sum(steps) == pytest.approx(2)


def test_receptive_field_of_the_unet():
  """From the gradient at 8 neighbouring pixels, because strides make them differ."""
  unet = UNet(2, norm=layers.BatchNorm)
  init = jax.jit(functools.partial(unet.init, train=False))
  variables = init(jax.random.key(0), jnp.zeros((1, 16, 16, 7)))
  variables = jax.tree.map(lambda x: jnp.abs(x) + 0.1, variables)

  @jax.jit
  def depends(row):
    total = lambda x: unet.apply(variables, x, False)[0, row, 4].sum()  # noqa: E731
    return jnp.abs(jax.grad(total)(jnp.ones((1, 128, 8, 7)))).sum(axis=(0, 2, 3)) > 0

  radii = []
  for row in range(56, 64):
    rows = np.nonzero(depends(row))[0]
    radii.append((row - rows.min(), rows.max() - row))
  assert tuple(np.max(radii, axis=0)) == learned_lib.UNET_RADIUS


def _initial(radius=4):
  """A network with zero output layers, which renders the discs that it is initialised with."""
  features = {'features': (18, 18, 12, 12), 'upsampler_features': (12, 12)}
  model = LensBlur(width=4, upsampler_width=4, radius=radius, **features)
  variables = jax.device_get(jax.jit(functools.partial(initial, model))())
  for net, name in (('kernel_net', 'kernels'), ('upsampler', 'weights')):
    conv = variables['params'][net][name]['conv']
    conv.update({key: np.zeros_like(value) for key, value in conv.items()})
  return learned_lib.Learned(model, variables, radius)


@pytest.mark.parametrize('radius', [2.0, 6.0, 20.0])
def test_a_plane_is_blurred_by_its_disc_after_three_doublings(radius):
  h, w, count = 128, 192, 3
  noise = np.random.default_rng(0).random((h, w, 3), np.float32)
  photo = np.asarray(jax.image.resize(noise[::4, ::4], noise.shape, 'cubic')).clip(0, 1)
  defocus = np.full((h, w, 1), -radius, np.float32)
  result = learned_lib.render(_initial(), photo, defocus, count)
  expected = classical.render(photo, defocus)
  error, change = (np.abs(x - expected)[24:-24, 24:-24].mean() for x in (result, photo))
  assert error < 0.2 * change


def test_a_plane_in_focus_is_not_changed_far_from_a_blurred_one():
  h, w, count, radius = 64, 256, 2, 8.0
  photo = np.random.default_rng(0).random((h, w, 3), np.float32)
  defocus = np.where(np.arange(w) < 64, radius, 0).astype(np.float32)
  defocus = np.broadcast_to(defocus[None, :, None], (h, w, 1))
  result = learned_lib.render(_learned(), photo, defocus, count)
  far = 64 + 2 * 4 * 4 + 2 * 4  # Twice 4 px of the lowest level, and the upsampling filters.
  np.testing.assert_allclose(result[:, far:], photo[:, far:], atol=1e-4)
  assert np.abs(result - photo)[:, :64].mean() > 0.05


def test_details_of_the_photograph_are_not_added_again_where_everything_nearby_is_blurred_more():
  """Two photographs that differ by a checkerboard that the first halving removes."""
  h, w, radius = 128, 192, 20.0
  light = np.random.default_rng(0).uniform(0.2, 0.8, (h // 2, w // 2, 3)).astype(np.float32)
  light = light.repeat(2, axis=0).repeat(2, axis=1)
  rows, columns = np.mgrid[:h, :w]
  details = 0.15 * np.where((rows + columns) % 2, 1, -1)[..., None]
  defocus = np.full((h, w, 1), -radius, np.float32)
  defocus[:, :16] = 0
  first, second = (
    learned_lib.render(_learned(), np.asarray(colour.linear_to_srgb(x)), defocus, 3)
    for x in (light, light + details)
  )
  beyond = 16 + 4 * 8 + 2 * 8  # 4 px of the lowest level from the focus, and the upsampling.
  np.testing.assert_allclose(second[:, beyond:], first[:, beyond:], atol=1e-5)
  assert np.abs(second - first)[:, :16].mean() > 0.01
