"""Pseudo-labels of coarse-to-fine windows, with simple functions as the network."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from depthjax import windows
from depthjax.ops import alignment, gradients
from depthjax.ops.disparity import normalise
from depthjax.tasks import pseudo_labels

_SIZE = 64
_generate = functools.partial(pseudo_labels.generate, sigma=1.0, sigma_range=0.1)
_high = lambda low, high: high  # noqa: E731


def _scene(blur):
  """Two maps with steps, blurred by a box of a number of pixels: [2 64 64 1]."""
  rows, columns = np.mgrid[:_SIZE, :_SIZE].astype(np.float32)
  maps = np.stack([np.where(columns > 18, 0.8, 0.2) + rows / 640, np.where(rows > 44, 0.1, 0.6)])
  maps = scipy.ndimage.uniform_filter(maps, blur, axes=(1, 2), mode='nearest')
  return maps[..., None].astype(np.float32)


def _resize(x, shape):
  return jax.image.resize(x, (len(x), *shape, 1), 'linear', antialias=True)


def _views(scene, levels, size=32):
  """The windows of the scene as predictions [b n s s 1], with another scale and offset."""
  boxes = [box for s in range(1, levels + 1) for box in windows.grid(scene.shape[1:3], s)]
  return 5 * jnp.stack([_resize(scene[:, *box.slices], (size, size)) for box in boxes], axis=1) - 2


def test_more_levels_have_sharper_gradients():
  sharp, blurred = _scene(1), _scene(9)
  edges = np.asarray(gradients.magnitude(sharp)) > 0.05
  fractions = []
  for levels in (0, 1, 2):
    views = _views(sharp, levels, size=16) if levels else None
    gradient = np.asarray(_generate(_high, blurred, views, levels=levels).gradient)
    fractions.append(gradient[edges].sum() / gradient.sum())
  assert fractions[2] > fractions[1] > 1.2 * fractions[0]


def test_a_network_that_returns_the_low_input_changes_nothing():
  blurred = _scene(9)
  labels = _generate(lambda low, high: low, blurred, _views(_scene(1), 1, size=64), levels=1)
  np.testing.assert_allclose(labels.disparity, blurred, atol=0.02)


@pytest.mark.parametrize('size', [16, 32, 50])
def test_labels_equal_those_of_one_window_after_another(size):
  """A second implementation without resampling matrices; no window reads another of its level."""
  shape, mean = (64, 96), lambda low, high: 0.3 * low + 0.7 * high
  rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32) / 64
  maps = [np.where(columns > 0.4, 0.8, 0.2) + rows, np.where(rows > 0.7, 0.1, 0.6) - 2 * columns]
  scene = np.stack(maps)[..., None]
  small = jax.image.resize(scene, (2, 8, 9, 1), 'cubic')
  blurred, views = jax.image.resize(small, scene.shape, 'cubic'), _views(scene, 2, size)
  gradient, disparity = (np.array(x) for x in _generate(_high, blurred, None, levels=0))
  rest = iter(jnp.moveaxis(views, 1, 0))
  for level in (1, 2):
    old_gradient, old = gradient.copy(), disparity.copy()
    for box in windows.grid(shape, level):
      at = (slice(None), *box.slices)
      pair = _resize(old[at], (size, size)), next(rest)
      fine = _resize(mean(*map(normalise, pair)), (box.height, box.width))
      fine = alignment.align(fine, old[at])
      sharper = alignment.align(gradients.magnitude(fine), old_gradient[at])
      weights = windows.feather((box.height, box.width))[..., None]
      disparity[at] += weights * (np.asarray(fine) - disparity[at])
      gradient[at] += weights * (np.asarray(sharper) - gradient[at])
  for chunk in (1, 4, 16):
    found = _generate(mean, blurred, views, levels=2, chunk=chunk)
    np.testing.assert_allclose(found, (gradient, disparity), atol=1e-4)


@pytest.mark.parametrize('size', [3, 4, 9])
def test_the_edge_of_a_window_is_repeated_beyond_it(size):
  """For a window of pixels 3 to 7 of 12, so that gradients at its edge do not see other pixels."""
  first, length = jnp.float32(-3 * size / 4), jnp.float32(12 * size / 4)
  rows = pseudo_labels._resampling(12, size, first, length)
  expected = jax.image.resize(jnp.eye(size), (4, size), 'linear', antialias=True)
  np.testing.assert_allclose(rows, np.pad(expected, ((3, 5), (0, 0)), 'edge'), atol=1e-6)


def test_a_wrong_number_of_views_is_refused():
  with pytest.raises(ValueError, match='views has 4 windows; it must have 13 for levels 1 to 2'):
    _generate(_high, _scene(5), _views(_scene(1), 1), levels=2)


@pytest.mark.parametrize('levels', [0, 1])
def test_labels_have_no_gradient(levels):
  blurred = _scene(5)
  views = _views(_scene(1), levels) if levels else None

  def total(disparity, factor):
    refine = lambda low, high: factor * high + (1 - factor) * low  # noqa: E731
    labels = _generate(refine, disparity, views, levels=levels)
    return labels.gradient.sum() + labels.disparity.sum()

  assert not any(np.asarray(x).any() for x in jax.grad(total, (0, 1))(blurred, 0.5))
