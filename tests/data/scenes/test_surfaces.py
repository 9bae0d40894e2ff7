"""Tilt, relief and material of layers: independence of the rest, and the order of the layers."""

import hashlib

import cv2
import jax
import numpy as np
import pytest

from depthjax.data.scenes import surfaces
from depthjax.ops import layers as ops
from tests.data import made

OTHERS = 'layers observed focus aperture blades rotation highlight seed'.split()


@pytest.mark.skipif(cv2.__version__ != '5.0.0', reason='digests are those of the locked OpenCV')
def test_records_without_surfaces_are_those_before_surfaces_existed():
  digest = hashlib.sha256()
  for seed in range(8):
    record = made.scene(seed)
    assert not record['relief'].any() and not record['material'].any()
    for name in ('layers', 'planes', *OTHERS[1:]):
      digest.update(np.ascontiguousarray(record[name]).tobytes())
  assert digest.hexdigest() == 'fc1ea70134b730a705c0d620864878ef581f56fb2be64af7f013fa3417518e66'


def test_tilt_relief_and_material_are_independent_of_each_other_and_of_the_rest():
  for seed in range(4):
    plain = made.scene(seed)
    every = made.scene(seed, tilted_foreground=1.0, relief=0.5, glass=0.5, mirror=0.5)
    for name in OTHERS:
      np.testing.assert_array_equal(every[name], plain[name])
    glass = made.scene(seed, glass=0.5, mirror=0.5)
    np.testing.assert_array_equal(glass['material'], every['material'])
    np.testing.assert_array_equal(glass['planes'], plain['planes'])
    tilted = made.scene(seed, tilted_foreground=1.0)
    assert tilted['planes'][:-1, 1:].all() and not tilted['relief'].any()
    np.testing.assert_array_equal(tilted['planes'][-1], plain['planes'][-1])


@pytest.mark.parametrize('layers', [2, 4, 8])
@pytest.mark.parametrize('tilt, relief', [(0, 0), (1, 0), (0, 1), (0.7, 0.7)])
@pytest.mark.parametrize('background', [0.0, 1.0])
def test_nearer_layers_exceed_what_they_cover_by_the_margin(layers, tilt, relief, background):
  fields = {'tilted_background': background, 'tilted_foreground': tilt, 'relief': relief}
  curved = tilted = 0
  for seed in range(12):
    record = made.scene(seed, layers=layers, **fields)
    covered = record['layers'][..., 3] > 0
    resized = jax.image.resize(record['relief'], covered.shape, 'cubic')
    values = np.asarray(ops.plane_disparity(record['planes'], 48, 64, 6, resized))
    assert values[covered].min() >= -1e-6 and values[covered].max() <= 1 + 1e-6
    for i in range(layers - 1):
      for behind in range(i + 1, layers):
        gap = (values[i] - values[behind])[covered[i] & covered[behind]]
        assert gap.size == 0 or gap.min() >= 0.05 - 1e-5
    curved += np.abs(record['relief']).max() > 0.02
    tilted += np.abs(record['planes'][:-1, 1:]).max() > 0.01
  assert (curved > 4) == (relief > 0) and (tilted > 4) == (tilt > 0)


def test_materials_have_their_fractions_and_the_background_is_opaque():
  fields = {'height': 32, 'width': 32, 'pad': 0, 'glass': 0.3, 'mirror': 0.2}
  material = np.array([made.scene(seed, **fields)['material'] for seed in range(150)])
  counts = np.bincount(material[:, :-1].ravel(), minlength=3) / material[:, :-1].size
  np.testing.assert_allclose(counts, [0.5, 0.3, 0.2], atol=0.09)
  assert not material[:, -1].any()


def test_slack_is_half_of_the_gap_minus_the_margin():
  offsets, background = np.array([0.9, 0.5]), np.array([[0.1, 0.3]], np.float32)
  for covered, overlapping, expected in (
    ([[1, 1], [1, 0]], True, [0.15, 0.15, 0.15]),
    ([[1, 0], [0, 1]], True, [0.35, 0.05, 0.05]),
    ([[1, 0], [0, 1]], False, [0.15, 0.05, 0.05]),
  ):
    covered = np.array(covered, bool)[:, None]
    found = surfaces.slack(offsets, background, covered, margin=0.1, overlapping=overlapping)
    np.testing.assert_allclose(found, expected, atol=1e-6)
