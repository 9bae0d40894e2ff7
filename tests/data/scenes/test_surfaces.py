"""Tilt, relief and material of layers: what records keep, and the order of the layers."""

import hashlib

import cv2
import jax
import numpy as np
import pytest

from depthjax.data.scenes import draw, surfaces
from depthjax.data.scenes.config import SceneConfig
from depthjax.ops import layers as ops

SMALL = {'height': 48, 'width': 64, 'pad': 6}
OTHERS = 'layers observed focus aperture blades rotation highlight seed'.split()


def drawn(seed, **fields):
  return draw.draw_scene(np.random.default_rng(seed), SceneConfig(**{**SMALL, **fields}))


@pytest.mark.skipif(cv2.__version__ != '5.0.0', reason='digests are those of the locked OpenCV')
def test_records_without_surfaces_are_those_before_surfaces_existed():
  digest = hashlib.sha256()
  for seed in range(8):
    record = drawn(seed)
    assert not record['relief'].any() and not record['material'].any()
    for name in ('layers', 'planes', *OTHERS[1:]):
      digest.update(np.ascontiguousarray(record[name]).tobytes())
  assert digest.hexdigest() == 'fc1ea70134b730a705c0d620864878ef581f56fb2be64af7f013fa3417518e66'


def test_surfaces_change_nothing_else_and_not_each_other():
  for seed in range(4):
    plain = drawn(seed)
    every = drawn(seed, tilted_foreground=1.0, relief=0.5, glass=0.5, mirror=0.5)
    for name in OTHERS:
      np.testing.assert_array_equal(every[name], plain[name])
    glass = drawn(seed, glass=0.5, mirror=0.5)
    np.testing.assert_array_equal(glass['material'], every['material'])
    np.testing.assert_array_equal(glass['planes'], plain['planes'])
    tilted = drawn(seed, tilted_foreground=1.0)
    assert tilted['planes'][:-1, 1:].all() and not tilted['relief'].any()
    np.testing.assert_array_equal(tilted['planes'][-1], plain['planes'][-1])


@pytest.mark.parametrize('fields', [{'tilted_foreground': 1.0}, {'relief': 1.0}, {}])
@pytest.mark.parametrize('tilted_background', [0.0, 1.0])
def test_nearer_layers_exceed_what_they_cover_by_the_margin(tilted_background, fields):
  both = fields or {'tilted_foreground': 0.7, 'relief': 0.7}
  curved = tilted = 0
  for seed in range(12):
    record = drawn(seed, layers=4, tilted_background=tilted_background, **both)
    covered = record['layers'][..., 3] > 0
    relief = jax.image.resize(record['relief'], covered.shape, 'cubic')
    values = np.asarray(ops.plane_disparity(record['planes'], 48, 64, 6, relief))
    seen = np.where(covered, values, 0.5)
    assert seen.min() >= -1e-6 and seen.max() <= 1 + 1e-6
    for i in range(3):
      for behind in range(i + 1, 4):
        gap = (values[i] - values[behind])[covered[i] & covered[behind]]
        assert gap.size == 0 or gap.min() >= 0.05 - 1e-5
    curved += np.abs(record['relief']).max() > 0.02
    tilted += np.abs(record['planes'][:-1, 1:]).max() > 0.01
  assert (curved > 4) == ('relief' in both) and (tilted > 4) == ('tilted_foreground' in both)


def test_materials_come_at_their_fractions_and_never_behind_all():
  material = np.array([drawn(s, height=32, width=32, pad=0, glass=0.3, mirror=0.2)['material']
                       for s in range(150)])  # fmt: skip
  counts = np.bincount(material[:, :-1].ravel(), minlength=3) / material[:, :-1].size
  np.testing.assert_allclose(counts, [0.5, 0.3, 0.2], atol=0.09)
  assert not material[:, -1].any()


def test_more_than_all_foregrounds_cannot_have_a_material():
  with pytest.raises(ValueError, match=r'glass \+ mirror is 1.2; it must be a number in'):
    SceneConfig(glass=0.6, mirror=0.6)


def test_rooms_are_half_of_the_gaps_less_the_margin():
  background = np.array([[0.1, 0.3]], np.float32)
  covered = np.array([[[True, True]], [[True, False]]])
  room = surfaces.rooms(np.array([0.9, 0.5]), background, covered, margin=0.1)
  np.testing.assert_allclose(room, [0.15, 0.15, 0.15], atol=1e-6)
