"""True disparity of drawn scenes against the renderer, and relief that keeps layers in order."""

import numpy as np
import pytest

from depthjax.data.scenes import draw, truths
from depthjax.data.scenes.config import SceneConfig
from depthjax.ops import layers

FIELDS = {'height': 48, 'width': 64, 'pad': 6, 'margin': 0.03, 'covers': (0.01, 0.6), 'layers': 6}
CONFIG = SceneConfig(**FIELDS)


def draw_truth(seed, config=CONFIG, **options):
  return truths.draw_truth(np.random.default_rng(seed), config, **options)


def test_a_truth_is_the_rendered_disparity_of_the_drawn_objects_and_planes(monkeypatch):
  calls, draw_planes = [], draw.draw_planes

  def recorded(rng, config, alphas):
    calls.append((alphas, draw_planes(rng, config, alphas)))
    return calls[-1][1]

  monkeypatch.setattr(draw, 'draw_planes', recorded)
  for seed in range(30):
    truth = draw_truth(seed)
    alphas, planes = calls[-1]
    covered = np.concatenate([alphas[:, 6:-6, 6:-6] > 127, np.ones((1, 48, 64), bool)])
    expected = layers.front_disparity(layers.plane_disparity(planes, 48, 64), covered)
    np.testing.assert_allclose(truth, expected[..., 0], atol=1e-6)
  assert {len(planes) for _, planes in calls} == set(range(2, 7))


@pytest.mark.parametrize('tilted_background', [0.0, 1.0])
def test_relief_curves_surfaces_and_keeps_their_order(monkeypatch, tilted_background):
  drawn, curved, compose = [], 0, truths.compose
  monkeypatch.setattr(truths, 'compose', lambda *args: drawn.append(args) or compose(*args))
  for seed in range(25):
    draw_truth(seed, SceneConfig(**FIELDS, tilted_background=tilted_background), relief=1.0)
    surfaces, covered = np.stack(drawn[-1][0]), drawn[-1][1]
    behind = np.concatenate([covered, np.ones((1, 48, 64), bool)])
    for i, mask in enumerate(covered):
      gap = surfaces[i] - surfaces[i + 1 :]
      assert gap[behind[i + 1 :] & mask].min() >= -1e-6
      curved += np.abs(np.diff(surfaces[i], 2, axis=1)).max() > 1e-5
  assert curved > 20


def test_relief_is_within_its_bounds():
  mask = np.zeros((40, 50), bool)
  mask[5:30, 10:45] = True
  for seed in range(60):
    for silhouette in (mask, np.ones_like(mask), np.zeros_like(mask)):
      relief = truths.draw_relief(np.random.default_rng(seed), silhouette)
      assert np.isfinite(relief).all() and np.abs(relief[silhouette]).max(initial=0) <= 1 + 1e-6
