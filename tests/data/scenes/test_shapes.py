"""Silhouettes and where they are placed."""

import numpy as np
import pytest

from depthjax.data.scenes import config as scene_config
from depthjax.data.scenes import objects, shapes, strokes


@pytest.mark.parametrize('family', shapes.FAMILIES)
def test_family_draws_an_object_with_a_soft_edge(family):
  areas = []
  for seed in range(6):
    alpha = shapes.outline(np.random.default_rng(seed), family, 96, softness=1.5)
    assert alpha.shape == (96, 96) and alpha.dtype == np.uint8
    assert alpha.max() > 200 and alpha.min() == 0
    assert ((alpha > 0) & (alpha < 255)).sum() > 20
    areas.append((alpha > 127).mean())
  assert len(set(areas)) > 3  # not one shape again and again
  assert 0.01 < np.median(areas) < 0.9
  again = shapes.outline(np.random.default_rng(5), family, 96, softness=1.5)
  np.testing.assert_array_equal(alpha, again)


def test_solid_objects_leave_the_border_of_their_canvas_empty():
  for family in ('ellipse', 'polygon', 'star', 'blob', 'vase'):
    for seed in range(5):
      alpha = shapes.outline(np.random.default_rng(seed), family, 80, softness=1.0)
      assert not np.concatenate([alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]]).any()


def test_softness_widens_the_edge_and_keeps_the_area():
  def edge(softness):
    alpha = shapes.outline(np.random.default_rng(1), 'blob', 120, softness=softness, holes=0)
    return ((alpha > 5) & (alpha < 250)).sum(), alpha.astype(float).sum()

  (hard, area), (soft, same) = edge(0.4), edge(3.0)
  assert soft > 2 * hard
  assert same == pytest.approx(area, rel=0.01)


def test_holes_take_area_away():
  def area(holes):
    rngs = [np.random.default_rng(seed) for seed in range(6)]
    return sum(shapes.outline(r, 'blob', 80, softness=1, holes=holes).mean() for r in rngs)

  assert 0.3 * area(0) < area(1) < 0.95 * area(0)


def test_unknown_family():
  with pytest.raises(ValueError, match="family is 'cube'; it must be one of ellipse, "):
    shapes.outline(np.random.default_rng(0), 'cube', 32, softness=1)


def test_fill_has_the_area_of_the_polygon():
  canvas = np.zeros((200, 200), np.uint8)
  strokes.fill(canvas, strokes.turn([[-0.5, -0.3], [0.5, -0.3], [0.5, 0.3], [-0.5, 0.3]], 0.4))
  # OpenCV draws a line around the polygon, which adds up to a pixel of the fine canvas.
  assert 100 * 60 < canvas.astype(float).sum() / 255 < 102 * 62
  rows, columns = np.nonzero(canvas)
  assert rows.mean() == pytest.approx(99.5, abs=0.1)
  assert columns.mean() == pytest.approx(99.5, abs=0.1)


def test_turn_is_a_rotation():
  points = np.array([[1.0, 0.0], [0.0, 2.0]])
  np.testing.assert_allclose(strokes.turn(points, np.pi / 2), [[0, 1], [-2, 0]], atol=1e-12)


def test_closed_curve_touches_its_bound():
  curve = strokes.closed_curve(np.random.default_rng(0), roughness=0.5)
  assert np.hypot(*curve.T).max() == pytest.approx(0.9)


def test_place_shows_enough_in_the_frame():
  alpha = shapes.outline(np.random.default_rng(0), 'figure', 30, softness=1)
  shares = []
  for seed in range(60):
    corner = objects.place(np.random.default_rng(seed), alpha, 50, 70, visible=0.4)
    if corner is not None:
      frame = objects.paste(alpha, *corner, np.zeros((50, 70), np.uint8))
      shares.append(frame.astype(float).sum() / alpha.astype(float).sum())
  assert len(shares) > 50 and min(shares) >= 0.4
  assert np.mean(np.array(shares) < 0.98) > 0.2  # some enter from the border


def test_nothing_can_be_placed_of_an_empty_alpha():
  alpha = np.zeros((10, 10), np.uint8)
  assert objects.place(np.random.default_rng(0), alpha, 50, 50, visible=0.3) is None


@pytest.mark.parametrize('corner', [(-3, 2), (4, -2), (6, 8), (20, 0), (-30, -30)])
def test_paste_cuts_at_the_border(corner):
  patch = np.arange(1, 31, dtype=np.uint8).reshape(5, 6)
  canvas = objects.paste(patch, *corner, np.zeros((10, 12), np.uint8))
  for row in range(10):
    for column in range(12):
      y, x = row - corner[0], column - corner[1]
      inside = 0 <= y < 5 and 0 <= x < 6
      assert canvas[row, column] == (patch[y, x] if inside else 0)


@pytest.mark.parametrize('layers', [2, 5])
def test_objects_cover_a_fair_part_and_stay_visible(layers):
  config = scene_config.SceneConfig(height=72, width=96, pad=6, layers=layers, covers=(0.05, 0.3))
  fair = []
  for seed in range(25):
    alphas = np.array(objects.draw_objects(np.random.default_rng(seed), config))
    assert alphas.shape == (layers - 1, 84, 108)
    inside = alphas[:, 6:-6, 6:-6] > 127
    covers = inside.mean(axis=(1, 2))
    assert 1 - inside.any(axis=0).mean() > 0.08
    fair.extend((covers >= 0.05) & (covers <= 0.3))
  assert np.mean(fair) > 0.97  # the last resort, a disc, may be cut by the border
