"""Refocused photographs: size, range, focus, blur, the pyramid, refusals, weights."""

import functools
import math

import jax
import numpy as np
import pytest

from depthjax.files import weights
from depthjax.models.deeplens.lensblur import LensBlur, initial
from depthjax.ops import colour
from depthjax.pipelines.refocus import learned as learned_lib
from depthjax.pipelines.refocus import refocus
from tests import tiny


def _photo(h, w):
  """Noise, and a disparity that increases from 0 on the left to 1 on the right."""
  photo = np.random.default_rng(0).random((h, w, 3), np.float32)
  return photo, np.broadcast_to(np.linspace(0, 1, w, dtype=np.float32)[:, None], (h, w, 1))


@functools.cache
def _initial():
  """A tiny network and its initial variables."""
  widths = (6, 6, 3, 3)
  model = LensBlur(width=4, upsampler_width=4, features=widths, upsampler_features=widths)
  return model, jax.device_get(jax.jit(functools.partial(initial, model))())


@functools.cache
def _learned(kind='initial'):
  """`sharp` returns the photograph; `blur` only averages, so a constant colour does not change."""
  model, variables = _initial()
  params = jax.tree.map(np.array, variables['params'])
  if kind == 'sharp':
    convs = params['kernel_net']['kernels']['conv'], params['upsampler']['weights']['conv']
    for j, conv in enumerate(convs):
      conv['kernel'] *= 0
      conv['bias'] = 1e6 * np.eye(conv['bias'].size, dtype=np.float32)[j]
  if kind == 'blur':
    for net in (params['feature_net'], params['upsampler']['features']):
      for layer in net.values():
        kernel = layer['conv']['kernel']
        inputs, outputs = kernel.shape[2:]
        same_colour = np.arange(inputs)[:, None] % 3 == np.arange(outputs) % 3
        kernel = np.maximum(kernel * same_colour, 0)
        layer['conv']['kernel'] = kernel / kernel.sum(axis=(0, 1, 2))
  return refocus.Learned(model, {**variables, 'params': params}, 4)


@pytest.mark.parametrize('kind', ['initial', 'blur', 'sharp'])
@pytest.mark.parametrize(
  'shape, radius, levels', [((47, 61), 4.0, 1), ((33, 501), 1.0, 2), ((67, 93), 16.0, 3)]
)
def test_learned_result_has_the_size_and_range_of_the_photograph(kind, shape, radius, levels):
  photo, disparity = _photo(*shape)
  assert learned_lib.doublings(shape, radius, 4) == levels - 1
  if kind == 'blur':
    photo = np.broadcast_to(np.float32([0.2, 0.5, 0.9]), photo.shape)
  result = refocus.refocus(photo, disparity, focus=0.3, radius=radius, learned=_learned(kind))
  assert result.shape == photo.shape and result.dtype == np.float32
  assert result.min() >= 0 and result.max() <= 1
  # After larger blurs the photograph is not mixed in again.
  if kind == 'blur' or kind == 'sharp' and levels < 3:
    np.testing.assert_allclose(result, photo, atol=1e-4)


def test_defocus_of_the_network_is_relative_to_its_largest_radius(monkeypatch):
  """A radius of 12 px over the range: 6 px at the ends, 3 of 4 px at half the size."""
  seen = []

  def blur(variables, image, defocus):
    seen.append(np.asarray(defocus))
    return image

  upsample = lambda variables, image, blurred, defocus, guide, *_: guide  # noqa: E731
  monkeypatch.setattr(learned_lib, 'compiled', lambda model: (blur, upsample))
  photo, disparity = _photo(40, 64)
  refocus.refocus(photo, disparity, focus=0.5, radius=12, learned=_learned())
  (defocus,) = seen
  assert defocus.shape == (1, 128, 128, 1)  # Of 20 x 32 pixels.
  end = 0.75 * 62 / 63  # The mean of the last two of 64 columns.
  np.testing.assert_allclose(defocus[0, 0, [0, 31], 0], [-end, end], rtol=1e-4)


@pytest.mark.parametrize('kind', [None, 'initial'])
def test_radius_zero_returns_the_photograph(kind):
  photo, disparity = _photo(21, 33)
  fields = {'focus': 0.5, 'radius': 0, 'learned': _learned(kind) if kind else None}
  np.testing.assert_array_equal(refocus.refocus(photo, disparity, **fields), photo)


def test_classical_renderer_blurs_a_plane_by_a_disc_in_linear_light():
  """Compared with explicit sums; the radius is proportional to the distance from the focus."""
  photo, _ = _photo(20, 22)
  result = refocus.refocus(photo, np.full((20, 22, 1), 0.8, np.float32), focus=0.5, radius=5)
  light, radius = np.asarray(colour.srgb_to_linear(photo), np.float64), 5 * 0.3
  expected = np.zeros_like(light)
  for row in range(20):
    for column in range(22):
      distance = np.hypot(*np.mgrid[-row : 20 - row, -column : 22 - column])
      disc = np.clip(radius + 0.5 - distance, 0, 1)[..., None]
      expected[row, column] = (disc * light).sum(axis=(0, 1)) / disc.sum()
  np.testing.assert_allclose(result, colour.linear_to_srgb(expected), atol=1e-4)


@pytest.mark.parametrize('kind', [None, 'blur'])
def test_highlights_brighten_clipped_lamps_out_of_focus(kind):
  """A yellow lamp behind, and a white one in focus, which keeps its value."""
  photo, disparity = np.full((48, 64, 3), 0.1, np.float32), np.zeros((48, 64, 1), np.float32)
  disparity[:, 48:] = 1
  photo[23:25, 19:21], photo[23:25, 59:61] = (1, 0.9, 0.5), 1
  render = functools.partial(refocus.refocus, photo, disparity, focus=1.0, radius=6)
  learned = _learned(kind) if kind else None
  dim, bright = (render(learned=learned, highlights=gain) for gain in (1, 5))
  disc = tuple(np.mgrid[21:27, 17:23])
  dim_light, bright_light = (np.asarray(colour.srgb_to_linear(x))[disc] for x in (dim, bright))
  base = colour.srgb_to_linear(0.1)
  np.testing.assert_allclose((bright_light - base).sum(), 5 * (dim_light - base).sum(), rtol=0.05)
  np.testing.assert_allclose(bright[:, 58:], dim[:, 58:], atol=1e-4)


@pytest.mark.parametrize('kind', [None, 'initial'])
def test_blur_depends_on_radius_times_distance_from_the_focus(kind):
  photo, _ = _photo(48, 48)
  near, middle = (np.full((48, 48, 1), value, np.float32) for value in (1, 0.5))
  render = functools.partial(refocus.refocus, photo, learned=_learned(kind) if kind else None)
  once, twice = render(near, focus=0.0, radius=3.0), render(middle, focus=0.0, radius=6.0)
  np.testing.assert_array_equal(once, twice)
  assert np.abs(once - render(middle, focus=0.0, radius=3.0)).mean() > 0.005


@pytest.mark.parametrize(
  'shape, radius, largest, expected',
  [
    ((300, 452), 1, 8, 0),
    ((300, 453), 1, 8, 1),
    ((853, 1280), 32, 8, 2),
    ((853, 1280), 33, 8, 3),
    ((240, 320), 8, 4, 1),
    ((100, 6400), 1, 8, 2),  # No level of this strip is 320 px long and at least 16 px high.
    ((1, 1), 0.2, 8, 0),
  ],
)
def test_the_lowest_level_is_small_enough_for_the_blur(shape, radius, largest, expected):
  count = learned_lib.doublings(shape, radius, largest)
  assert count == expected
  assert radius / 2**count <= largest * 1.001


@pytest.mark.parametrize('shape, radius, most', [((240, 320), 65, 64), ((20, 300), 8.5, 8)])
def test_a_blur_beyond_the_smallest_level_is_refused(shape, radius, most):
  with pytest.raises(ValueError, match=rf'radius of {radius} .*too large.* at most {most} pixels'):
    learned_lib.doublings(shape, radius, 8)
  learned_lib.doublings(shape, most, 8)


def test_frames_of_an_animation_change_gradually():
  """From the photograph through radii that would have different lowest levels on their own."""
  photo, disparity = _photo(67, 93)
  radii = np.array([0, 0.02, 1 - 1e-3, 1 + 1e-3, 3.99, 4.01, 8, 8.02])
  assert learned_lib.doublings((67, 93), 3.99, 4) != learned_lib.doublings((67, 93), 8.02, 4)
  render = functools.partial(refocus.refocus, photo, disparity, focus=0.3, learned=_learned())
  frames = [render(radius=radius / 0.7, sweep=16) for radius in radii]
  np.testing.assert_array_equal(frames[0], photo)
  changes = np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2, 3))
  assert max(changes[0::2]) < 0.01 < 0.03 < changes[1]
  assert np.abs(render(radius=3.99 / 0.7) - frames[4]).mean() > 0.004


@pytest.mark.parametrize('focus, largest', [(0.5, 15.0), (0.0, 7.5), (2.0, 3.75)])
def test_the_largest_blur_in_the_picture_is_limited(focus, largest):
  photo, disparity = _photo(20, 30)
  assert refocus.largest_blur(disparity, focus, largest) == pytest.approx(7.5)
  refocus.refocus(photo, disparity, focus=focus, radius=0.99 * largest)
  with pytest.raises(ValueError, match='blur radius is 7.575 pixels; it must be at most 7.5'):
    refocus.refocus(photo, disparity, focus=focus, radius=1.01 * largest)


@pytest.mark.parametrize(
  'fields, message',
  [
    ({'disparity': np.zeros((20, 31, 1))}, 'differ in size'),
    ({'photo': np.zeros((20, 30))}, 'differ in size'),
    ({'radius': -1}, 'blur radius is -1 pixels; it must be at least 0'),
    ({'radius': math.nan}, 'blur radius is nan pixels'),
    ({'focus': math.nan}, 'focus is at disparity nan'),
    ({'sweep': 24}, 'blur radius is 24 pixels'),
    ({'hybrid': True}, 'the hybrid renderer needs the learned one'),
  ],
)
def test_invalid_arguments_are_refused(fields, message):
  arguments = {'photo': np.zeros((20, 30, 3)), 'disparity': np.zeros((20, 30, 1))}
  with pytest.raises(ValueError, match=message):
    refocus.refocus(**{**arguments, 'focus': 0.5, 'radius': 1.0, **fields})


def test_weights_of_a_run_are_loaded(tmp_path):
  model, variables = _initial()
  metadata = {'task': 'lensblur', 'step': 4, 'config': tiny.lensblur_config().to_dict()}
  weights.save_weights(tmp_path, variables, metadata)
  learned = refocus.load(tmp_path)
  assert learned.radius == 4
  assert (learned.model.width, learned.model.features) == (model.width, model.features)
  jax.tree.map(np.testing.assert_array_equal, learned.variables, variables)
  hash(learned.model)  # The key of the cache of compiled networks.
