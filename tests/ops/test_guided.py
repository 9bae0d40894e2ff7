"""The guided filter against a twin in float64, window by window."""

import jax
import numpy as np
import pytest

from depthjax.ops import guided

_box = jax.jit(guided.box, static_argnums=1)
_guided = jax.jit(guided.guided, static_argnames=('radius', 'epsilon'))
_lines = jax.jit(guided.lines, static_argnames=('radius', 'epsilon'))


def _maps(seed=0):
  rng = np.random.default_rng(seed)
  guide = (np.arange(26) > 13) + 0.3 * rng.random((20, 26))
  x = 0.4 * guide + 0.5 * rng.random((20, 26))
  return x[..., None].astype(np.float32), guide[..., None].astype(np.float32)


def _windows(h, w, radius):
  for i, j in np.ndindex(h, w):
    yield slice(max(i - radius, 0), i + radius + 1), slice(max(j - radius, 0), j + radius + 1)


def _twin(x, guide, radius, epsilon):
  """He et al., equations 4 to 8: ridge regression on n guides in each window, averaged."""
  h, w, n = guide.shape
  windows = list(_windows(h, w, radius))
  scale, shift = np.empty((h * w, n)), np.empty(h * w)
  for k, window in enumerate(windows):
    i, p = guide[window].reshape(-1, n), x[window].ravel()
    centred = i - i.mean(axis=0)
    normal = centred.T @ centred / len(i) + epsilon * np.eye(n)
    scale[k] = np.linalg.solve(normal, centred.T @ (p - p.mean()) / len(i))
    shift[k] = p.mean() - scale[k] @ i.mean(axis=0)
  lines = np.concatenate([scale, shift[:, None]], axis=1).reshape(h, w, n + 1)
  mean = np.reshape([lines[at].mean(axis=(0, 1)) for at in windows], lines.shape)
  return mean[..., :-1], mean[..., -1:]


@pytest.mark.parametrize('radius', [0, 1, 6, 40])
def test_box_is_the_mean_of_the_cropped_window(radius):
  x, _ = _maps()
  expected = np.reshape([x[window].mean() for window in _windows(20, 26, radius)], x.shape)
  result = _box(np.stack([x, 2 * x]).repeat(2, axis=-1), radius)
  np.testing.assert_allclose(result[0, ..., :1], expected, atol=1e-6)
  np.testing.assert_allclose(result[1, ..., 1:], 2 * expected, atol=2e-6)


@pytest.mark.parametrize('offset', [0, 100])
@pytest.mark.parametrize('radius, epsilon', [(1, 1e-2), (4, 1e-4), (9, 1e-3)])
def test_guided_equals_a_slow_twin(radius, epsilon, offset):
  x, guide = _maps()
  scale, shift = _twin(*(y.astype(np.float64) for y in (x, guide)), radius, epsilon)
  result = _guided(x, guide + np.float32(offset), radius=radius, epsilon=epsilon)
  np.testing.assert_allclose(result, scale * guide + shift, atol=1e-3 if offset else 2e-5)


def test_guide_with_several_channels_equals_a_slow_twin():
  (x, first), (_, second) = _maps(), _maps(seed=1)
  guide = np.concatenate([first, second, x**2], axis=-1)
  scale, shift = _lines(x, guide, radius=3, epsilon=1e-3)
  expected = _twin(x.astype(np.float64), guide.astype(np.float64), 3, 1e-3)
  for ours, twin in zip((scale, shift), expected, strict=True):
    np.testing.assert_allclose(ours, twin, atol=1e-3)
  far = _lines(x, guide + 50, radius=3, epsilon=1e-3)
  np.testing.assert_allclose(far[0], scale, atol=1e-2)
  result = _guided(x, guide + 50, radius=3, epsilon=1e-3)
  np.testing.assert_allclose(result, (scale * guide).sum(-1, keepdims=True) + shift, atol=3e-3)


def test_blurred_step_becomes_as_sharp_as_the_guide():
  step = np.zeros((16, 40, 1), np.float32)
  step[:, 20:] = 1
  blurred = _box(step, 5)
  refined = np.asarray(_guided(blurred, 3 - 2 * step, radius=8, epsilon=1e-6))
  assert np.abs(refined - step).max() < 0.25 < 0.4 < np.abs(blurred - step).max()
  # The input has the step spread over 11 pixels.
  assert np.abs(np.diff(refined, axis=1)).max() > 0.6 > 0.1 > np.abs(np.diff(blurred, axis=1)).max()


def test_flat_guide_smooths_and_flat_map_is_unchanged():
  x, guide = _maps()
  flat = np.full_like(x, 0.1)
  np.testing.assert_allclose(_guided(flat, guide, radius=3), flat, atol=1e-6)
  for epsilon in (1e-4, 1e-12):  # The second is the smallest of the papers.
    smooth = _guided(x, flat, radius=3, epsilon=epsilon)
    np.testing.assert_allclose(smooth, _box(_box(x, 3), 3), atol=1e-5)


def test_grey_is_encoded_luminance():
  np.testing.assert_allclose(guided.grey(np.full((4, 5, 3), 0.5, np.float32)), 0.5, atol=1e-5)
  red = guided.grey(np.float32([[[1, 0, 0]]]))
  assert red.shape == (1, 1, 1) and 0.45 < red.item() < 0.55


@pytest.mark.parametrize('channels, radius, message', [(3, 1, 'has 3 channels'), (1, -1, 'is -1')])
def test_bad_input_is_an_error(channels, radius, message):
  with pytest.raises(ValueError, match=message):
    guided.guided(np.zeros((4, 4, channels)), np.zeros((4, 4, 1)), radius=radius)
