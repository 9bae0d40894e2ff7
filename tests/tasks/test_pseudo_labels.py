"""Pseudo-labels of coarse-to-fine windows, with functions in the place of the network."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from depthjax import windows
from depthjax.ops import alignment, gradients
from depthjax.tasks import pseudo_labels

_SIDE = 64
_generate = functools.partial(pseudo_labels.generate, sigma=1.0, sigma_range=0.1)


def _scene(blur):
  """Two maps with steps, blurred by a box of so many pixels: [2 64 64 1]."""
  rows, columns = np.mgrid[:_SIDE, :_SIDE].astype(np.float32)
  maps = np.stack([np.where(columns > 18, 0.8, 0.2) + rows / 640, np.where(rows > 44, 0.1, 0.6)])
  kernel = np.ones(blur) / blur
  for axis in (1, 2):
    maps = np.apply_along_axis(
      lambda x: np.convolve(np.pad(x, blur // 2, mode='edge'), kernel, 'valid'), axis, maps
    )
  return maps[..., None].astype(np.float32)


def _views(scene, levels, side=32):
  """Every window of the scene as it is, at the side of the views, each of its own range."""
  parts = [
    scene[:, *box.slices] for s in range(1, levels + 1) for box in windows.grid((_SIDE,) * 2, s)
  ]
  views = [jax.image.resize(x, (len(x), side, side, 1), 'linear', antialias=True) for x in parts]
  return 5 * jnp.stack(views, axis=1) - 2


def _high(low, high):
  del low
  return high


def _low(low, high):
  del high
  return low


def test_levels_bring_the_sharpness_of_the_windows():
  sharp, blurred = _scene(1), _scene(9)
  edges = np.asarray(gradients.magnitude(sharp)) > 0.05
  share = []
  for levels in (0, 1, 2):
    views = _views(sharp, levels, side=16) if levels else None
    gradient = np.asarray(_generate(_high, blurred, views, levels=levels).gradient)
    share.append(gradient[edges].sum() / gradient.sum())
  assert share[1] > 1.2 * share[0]
  assert share[2] > share[1]


def test_the_windows_own_range_does_not_matter():
  sharp, blurred = _scene(1), _scene(5)
  views = _views(sharp, 1)
  scales = np.random.default_rng(0).uniform(0.5, 2, (*views.shape[:2], 1, 1, 1))
  labels = _generate(_high, blurred, views, levels=1)
  other = _generate(_high, blurred, scales * views + scales, levels=1)
  for a, b in zip(labels, other, strict=True):
    np.testing.assert_allclose(a, b, atol=1e-4)


def test_a_network_that_changes_nothing_leaves_the_disparity():
  blurred = _scene(9)
  labels = _generate(_low, blurred, _views(_scene(1), 1, side=64), levels=1)
  np.testing.assert_allclose(labels.disparity, blurred, atol=0.02)


def test_windows_read_the_level_before_them():
  """Neighbouring windows overlap: none sees what another has already refined."""
  blurred, views = _scene(5), _views(_scene(1), 2)
  seen = []

  def spy(low, high):
    jax.debug.callback(lambda x: seen.append(np.asarray(x)), low, ordered=True)
    return high

  _generate(spy, blurred, views, levels=2)
  jax.effects_barrier()
  # Four windows of each picture at once, none of two levels.
  assert [x.shape for x in seen] == [(8, 32, 32, 1)] * 4
  np.testing.assert_allclose(seen[0][7], _crop(blurred[1:], 1, 3), atol=1e-4)
  # The second level reads what the first has made of the picture, and so does its last window.
  first = _generate(_high, blurred, views[:, :4], levels=1).disparity
  np.testing.assert_allclose(seen[1][0], _crop(first[:1], 2, 0), atol=1e-3)
  np.testing.assert_allclose(seen[3][0], _crop(first[:1], 2, 8), atol=1e-3)


def _crop(scene, level, number):
  """What the network is shown of the only picture [1 h w 1] in a window."""
  box = windows.grid((_SIDE,) * 2, level)[number]
  crop = scene[:, *box.slices]
  part = np.asarray(jax.image.resize(crop, (1, 32, 32, 1), 'linear', antialias=True))[0]
  return (part - part.min()) / (part.max() - part.min())


@pytest.mark.parametrize('side', [16, 32, 50])
def test_levels_are_those_of_windows_one_by_one(side):
  """A second implementation, with every window cut out and laid over by itself."""
  shape = (64, 96)
  rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32) / 64
  maps = [np.where(columns > 0.4, 0.8, 0.2) + rows, np.where(rows > 0.7, 0.1, 0.6) - 2 * columns]
  scene = np.stack(maps)[..., None]
  blurred = np.asarray(
    jax.image.resize(jax.image.resize(scene, (2, 8, 9, 1), 'cubic'), scene.shape, 'cubic')
  )
  boxes = [windows.grid(shape, level) for level in (1, 2)]
  views = [_square(scene[:, *box.slices], side) for box in boxes[0] + boxes[1]]
  gradient, disparity = (np.array(x) for x in _generate(_high, blurred, None, levels=0))
  rest = iter(views)
  for level in boxes:
    old_gradient, old = gradient.copy(), disparity.copy()
    for box in level:
      at = (slice(None), *box.slices)
      size = (2, box.height, box.width, 1)
      fine = alignment.align(jax.image.resize(next(rest), size, 'linear', antialias=True), old[at])
      sharper = alignment.align(gradients.magnitude(fine), old_gradient[at])
      weights = windows.feather(size[1:3])[..., None]
      disparity[at] += weights * (np.asarray(fine) - disparity[at])
      gradient[at] += weights * (np.asarray(sharper) - gradient[at])
  for chunk in (1, 4, 16):
    found = _generate(_high, blurred, jnp.stack(views, axis=1), levels=2, chunk=chunk)
    np.testing.assert_allclose(found.disparity, disparity, atol=1e-4)
    np.testing.assert_allclose(found.gradient, gradient, atol=1e-4)


@pytest.mark.parametrize('side', [3, 4, 9])
def test_beyond_a_window_its_border_goes_on(side):
  """Of pixels 3 to 7 of 12: so that gradients at the rim are those of the window by itself."""
  rows = pseudo_labels._weights(12, side, jnp.float32(-3 * side / 4), jnp.float32(12 * side / 4))
  expected = jax.image.resize(jnp.eye(side), (4, side), 'linear', antialias=True)
  expected = np.concatenate(
    [np.repeat(expected[:1], 3, 0), expected, np.repeat(expected[-1:], 5, 0)]
  )
  np.testing.assert_allclose(rows, expected, atol=1e-6)


def _square(part, side):
  return jax.image.resize(part, (len(part), side, side, 1), 'linear', antialias=True)


def test_views_of_other_windows_are_refused():
  views = _views(_scene(1), 1)
  with pytest.raises(ValueError, match='4 views; levels 1 to 2 have 13 windows'):
    _generate(_high, _scene(5), views, levels=2)


@pytest.mark.parametrize('levels', [0, 1])
def test_labels_are_constants(levels):
  blurred = _scene(5)
  views = _views(_scene(1), levels) if levels else None

  def total(disparity, factor):
    refine = lambda low, high: factor * high + (1 - factor) * low  # noqa: E731
    labels = _generate(refine, disparity, views, levels=levels)
    return labels.gradient.sum() + labels.disparity.sum()

  slopes = jax.grad(total, (0, 1))(blurred, 0.5)
  assert not any(np.asarray(x).any() for x in slopes)
