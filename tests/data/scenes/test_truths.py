"""True disparity of drawn scenes: what the renderer says, and relief that keeps layers in order."""

import cv2
import numpy as np
import pytest

from depthjax.data.scenes import draw, objects, truths
from depthjax.data.scenes.config import SceneConfig
from depthjax.ops import layers

CONFIG = SceneConfig(height=48, width=64, pad=6, layers=6, margin=0.03, covers=(0.01, 0.6))


@pytest.mark.parametrize('seed', range(4))
def test_the_front_disparity_is_that_of_the_renderer(seed):
  record = draw.draw_scene(np.random.default_rng(seed), CONFIG)
  covered = layers.crop(record['layers'][..., 3], CONFIG.pad) > 127
  planes = record['planes']
  surfaces = [truths.plane_disparity(plane, 48, 64) for plane in planes]
  want = layers.plane_disparity(planes, 48, 64)
  np.testing.assert_allclose(np.stack(np.broadcast_arrays(*surfaces)), want, atol=1e-6)
  front = layers.front_disparity(want, covered.astype(np.float32))
  np.testing.assert_allclose(truths.compose(surfaces, covered[:-1]), front[..., 0], atol=1e-6)


def test_a_scene_is_what_scenes_draw_it_of(monkeypatch):
  """The same objects and planes, in the same order of random numbers; nothing is painted."""
  drawn = {}

  def spy(module, name):
    kept = getattr(module, name)

    def call(*args):
      drawn[name] = kept(*args)
      return drawn[name]

    monkeypatch.setattr(module, name, call)

  spy(objects, 'draw_objects')
  spy(draw, 'draw_planes')
  monkeypatch.setattr(draw, 'painting', None)
  out = truths.draw_truth(np.random.default_rng(0), CONFIG)
  planes, alphas = drawn['draw_planes'], np.stack(drawn['draw_objects'])[:, 6:-6, 6:-6]
  assert len(alphas) == len(planes) - 1
  alphas = np.concatenate([alphas, np.full((1, 48, 64), 255, np.uint8)])
  want = layers.front_disparity(layers.plane_disparity(planes, 48, 64), alphas > 127)
  np.testing.assert_allclose(out, want[..., 0], atol=1e-6)


def test_numbers_of_layers_vary_up_to_that_of_the_config(monkeypatch):
  counts, draw = [], objects.draw_objects

  def count(rng, config, foregrounds):
    counts.append(config.layers)
    return draw(rng, config, foregrounds)

  monkeypatch.setattr(objects, 'draw_objects', count)
  for seed in range(40):
    truths.draw_truth(np.random.default_rng(seed), CONFIG)
  assert set(counts) == set(range(2, CONFIG.layers + 1))


def test_a_truth_is_a_function_of_the_generator():
  one, same, other = (
    truths.draw_truth(np.random.default_rng(seed), CONFIG, relief=0.5) for seed in (1, 1, 2)
  )
  np.testing.assert_array_equal(one, same)
  assert one.dtype == np.float32 and one.shape == (48, 64) and (one != other).any()


@pytest.mark.parametrize('tilted_background', [0.0, 1.0])
def test_relief_curves_surfaces_and_keeps_their_order(monkeypatch, tilted_background):
  """Wherever a layer covers another, it is nearer."""
  config = SceneConfig(
    height=48,
    width=64,
    pad=6,
    layers=6,
    margin=0.03,
    covers=(0.01, 0.6),
    tilted_background=tilted_background,
  )
  seen, compose = [], truths.compose

  def spy(surfaces, covered):
    seen.append((np.stack(np.broadcast_arrays(*surfaces)), covered))
    return compose(surfaces, covered)

  monkeypatch.setattr(truths, 'compose', spy)
  curved = 0
  for seed in range(25):
    truths.draw_truth(np.random.default_rng(seed), config, relief=1.0)
    surfaces, covered = seen[-1]
    for i, mask in enumerate(covered):
      gap = (surfaces[i] - surfaces[i + 1 :])[:, mask]
      own = np.concatenate([covered[i + 1 :], np.ones((1, 48, 64), bool)])[:, mask]
      assert gap[own].min() >= -1e-6
      curved += np.abs(np.diff(surfaces[i], 2, axis=1)).max() > 1e-5
  assert curved > 20


def test_relief_stays_within_its_bounds():
  mask = np.zeros((40, 50), bool)
  mask[5:30, 10:45] = True
  for seed in range(60):
    for where in (mask, np.ones_like(mask), np.zeros_like(mask)):
      relief = truths.draw_relief(np.random.default_rng(seed), where)
      assert np.isfinite(relief).all()
      assert not where.any() or np.abs(relief[where]).max() <= 1 + 1e-6


@pytest.mark.parametrize('shape', [(512, 700), (1024, 1024)])
def test_wide_blurs_are_made_at_a_smaller_size(shape):
  rng = np.random.default_rng(0)
  mask = cv2.GaussianBlur(rng.random(shape, np.float32), (0, 0), 30) > 0.5
  x = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_3)
  sigma = 0.02 * max(shape)
  expected = cv2.GaussianBlur(x, (0, 0), sigma)
  found = truths._softened(x, sigma)
  assert found.shape == shape and found.min() >= 0
  assert np.abs(found - expected).max() < 0.03 * expected.max()
