"""Silhouettes of drawn objects, and their positions in the frame."""

import numpy as np
import pytest

from depthjax.data.scenes import objects, shapes
from depthjax.data.scenes.config import SceneConfig


def outline(seed, family, size, **options):
  return shapes.outline(np.random.default_rng(seed), family, size, **{'softness': 1.0, **options})


@pytest.mark.parametrize('family', shapes.FAMILIES)
def test_family_draws_varied_objects_with_soft_edges(family):
  alphas = [outline(seed, family, 96, softness=1.5) for seed in range(6)]
  for alpha in alphas:
    assert alpha.shape == (96, 96) and alpha.max() > 200 and alpha.min() == 0
    assert ((alpha > 0) & (alpha < 255)).sum() > 20
    if family in ('ellipse', 'polygon', 'star', 'blob', 'vase'):  # They do not touch the border.
      assert not np.concatenate([alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]]).any()
  areas = [(alpha > 127).mean() for alpha in alphas]
  assert len(set(areas)) > 3 and 0.01 < np.median(areas) < 0.9


def test_softness_widens_the_edge_and_does_not_change_the_area():
  hard, soft = (outline(1, 'blob', 120, softness=x, holes=0) for x in (0.4, 3.0))
  edges = [((alpha > 5) & (alpha < 250)).sum() for alpha in (hard, soft)]
  assert edges[1] > 2 * edges[0]
  assert soft.mean() == pytest.approx(hard.mean(), rel=0.01)


def test_holes_reduce_the_area():
  solid, holed = (sum(outline(s, 'blob', 80, holes=x).mean() for s in range(6)) for x in (0, 1))
  assert 0.3 * solid < holed < 0.95 * solid


def test_position_shows_the_required_fraction_in_the_frame():
  alpha = outline(0, 'figure', 30).astype(float)
  fractions = []
  for seed in range(60):
    corner = objects.place(np.random.default_rng(seed), alpha.astype(np.uint8), 50, 70, visible=0.4)
    if corner is not None:
      rows, columns = (np.arange(30) + x for x in corner)
      inside = ((rows >= 0) & (rows < 50))[:, None] & (columns >= 0) & (columns < 70)
      fractions.append((alpha * inside).sum() / alpha.sum())
  assert len(fractions) > 50 and min(fractions) >= 0.4
  assert np.mean(np.array(fractions) < 0.98) > 0.2  # Some are cut by the border.
  empty = np.zeros((10, 10), np.uint8)
  assert objects.place(np.random.default_rng(0), empty, 50, 50, visible=0.3) is None


@pytest.mark.parametrize('layers', [2, 5])
def test_foregrounds_cover_the_configured_area_and_leave_background(layers):
  config = SceneConfig(height=72, width=96, pad=6, layers=layers, covers=(0.05, 0.3))
  allowed = []
  for seed in range(25):
    alphas = np.array(objects.draw_objects(np.random.default_rng(seed), config))
    assert alphas.shape == (layers - 1, 84, 108)
    inside = alphas[:, 6:-6, 6:-6] > 127
    covers = inside.mean(axis=(1, 2))
    assert 1 - inside.any(axis=0).mean() > 0.08
    first = np.argmax(inside, axis=0)[inside.any(axis=0)]
    assert np.bincount(first, minlength=layers - 1).min() > 20  # Every foreground is visible.
    allowed.extend((covers >= 0.05) & (covers <= 0.3))
  assert np.mean(allowed) > 0.97  # The fallback, a disc, may be cut by the border.
