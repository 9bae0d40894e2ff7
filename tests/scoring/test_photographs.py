"""Scores of records: the lens that took a target is found, edges and valid pixels count."""

import functools

import cv2
import jax
import numpy as np
import pytest

from depthjax.models.deeplens.lensblur import LensBlur
from depthjax.pipelines.refocus import refocus
from depthjax.scoring import photographs

_H, _W = 40, 60


def _scene(seed=0):
  """A photograph, and a disparity of three planes, normalised."""
  rng = np.random.default_rng(seed)
  photo = np.repeat(np.repeat(rng.random((_H // 2, _W // 2, 3), np.float32), 2, 0), 2, 1)
  disparity = np.zeros((_H, _W, 1), np.float32)
  disparity[:, _W // 3 :], disparity[:, 2 * _W // 3 :] = 0.5, 1
  return photo, disparity


def _render(photo, disparity, lens):
  return refocus.refocus(photo, disparity, **lens._asdict())


def _record(lens, *, scale=1.0, offset=0.0, **fields):
  photo, disparity = _scene()
  target = _render(photo, disparity, lens)
  valid = np.ones_like(disparity)
  raw = scale * disparity + offset
  return {'image': photo, 'target': target, 'disparity': raw, 'valid': valid, **fields}


def _score(record, **options):
  return photographs.score_pair(record, photographs.renderers(), **options)


def test_a_picture_scores_as_itself_and_worse_where_it_differs():
  photo, _ = _scene()
  same = {'psnr': 100, 'ssim': pytest.approx(1)}
  assert photographs.compare(photo, photo) == same
  band = np.zeros((_H, _W, 1), np.float32)
  band[:, : _W // 2] = 1
  marred = np.where(band > 0, photo, 1 - photo)
  scores = photographs.compare(marred, photo, band)
  assert scores['psnr_edge'] == 100 and scores['psnr'] < 15 and scores['ssim'] < 0.6
  # The windows of SSIM reach five pixels into the other half.
  assert 0.8 < scores['ssim_edge'] < 1


@pytest.mark.parametrize('focus, radius', [(0.0, 3.0), (0.5, 3.0), (1.0, 1.8)])
def test_the_lens_of_a_target_is_found(focus, radius):
  record = _record(photographs.Lens(focus, radius))
  lens = photographs.find_lens(
    *(record[name] for name in ('image', 'target', 'disparity')),
    focuses=(0.0, 0.5, 1.0),
    radii=(0.9, 1.8, 3.0),
  )
  assert lens == photographs.Lens(focus, radius)


def test_a_lens_that_the_renderer_refuses_is_not_chosen():
  """At most a quarter of the long side; where nothing else is offered the refusal is told."""
  record = _record(photographs.Lens(0.0, 3.0))
  pictures = [record[name] for name in ('image', 'target', 'disparity')]
  lens = photographs.find_lens(*pictures, focuses=(0.0, 0.5), radii=(99, 3.0))
  assert lens == photographs.Lens(0.0, 3.0)
  with pytest.raises(ValueError, match='it must be up to 15, a quarter'):
    photographs.find_lens(*pictures, focuses=(0.0,), radii=(99,))


def test_the_lens_is_found_at_a_lower_resolution(monkeypatch):
  monkeypatch.setattr(photographs, '_LONG_SIDE', _W)
  photo, disparity = (np.kron(x, np.ones((2, 2, 1), np.float32)) for x in _scene())
  photo, disparity = photo[:, :-1], disparity[:, :-1]  # no multiple of the factor
  target = refocus.refocus(photo, disparity, focus=0.5, radius=3)
  seen = []

  def render(photo, disparity, **lens):
    seen.append((photo.shape, disparity.shape))
    return refocus.refocus(photo, disparity, **lens)

  lens = photographs.find_lens(photo, target, disparity, render, focuses=(0, 0.5), radii=(1.5, 3))
  assert lens == photographs.Lens(0.5, 3)
  assert set(seen) == {((_H, _W - 1, 3), (_H, _W - 1, 1))}


def test_a_record_without_a_lens_gets_the_one_that_suits_it():
  scores = _score(_record(photographs.Lens(0.5, 3.0), scale=3, offset=2))
  assert scores['classical']['psnr'] > 60 > 40 > scores['untouched']['psnr'] > 0
  assert scores['classical']['ssim'] > 0.999 > 0.99 > scores['untouched']['ssim']
  assert scores['classical']['focus'] == 0.5
  assert scores['classical']['radius'] == pytest.approx(3)
  assert 'focus' not in scores['untouched']


@pytest.mark.parametrize('focus', [0.0, 0.25, 1.0])
def test_a_blur_and_a_focus_in_the_units_of_the_scene_are_the_lens(focus):
  """Signed radius 2 * (disparity - focus') px in a scene from 3 to 4.5."""
  photo, disparity = _scene()
  lens = photographs.lens_of(3 + 1.5 * disparity[..., 0], 2.0, 3 + 1.5 * focus)
  signed = lens.radius * (disparity - lens.focus)
  np.testing.assert_allclose(signed, 3 * (disparity - focus), atol=1e-5)
  record = _record(lens, scale=1.5, offset=3, blur=2.0, focus=3 + 1.5 * focus)
  scores = _score(record)
  assert scores['classical']['psnr'] > 80
  assert scores['classical']['focus'] == pytest.approx(focus)
  assert scores['classical']['radius'] == pytest.approx(3)


def test_unknown_disparity_is_filled_and_does_not_set_the_range():
  record = _record(photographs.Lens(0.5, 3.0), blur=3.0, focus=0.5)
  record['disparity'][5, 3], record['valid'][5, 3] = -7, 0
  assert _score(record)['classical']['psnr'] > 60


def test_radii_that_are_offered_come_before_the_lens_that_a_record_has():
  record = _record(photographs.Lens(0.5, 3.0), blur=1.0, focus=0.0)
  scores = _score(record, radii=(3.0,))
  assert scores['classical']['psnr'] > 60
  assert (scores['classical']['focus'], scores['classical']['radius']) == (0.5, 3.0)


def test_a_predicted_disparity_is_blurred_by_and_that_of_the_record_has_the_edges():
  record = _record(photographs.Lens(0.5, 3.0), blur=3.0, focus=0.5)
  mirrored = record['disparity'][:, ::-1]
  own, other = _score(record), _score(record, disparity=mirrored, radii=(3.0,))
  assert own['untouched'] == other['untouched']
  assert other['classical']['psnr'] > 60, 'near and far are blurred alike'
  flat = _score(record, disparity=np.zeros_like(mirrored), radii=(3.0,))
  assert flat['classical']['psnr'] < 40
  # A lens is known for the disparity of the record alone: for others it is searched for.
  shrunk = _score(record, disparity=0.5 * record['disparity'], radii=())
  assert shrunk['classical']['focus'] == 0.25
  bare = {name: record[name] for name in ('image', 'target')}
  assert _score(bare, disparity=mirrored, radii=(3.0,))['classical'].keys() == {
    'psnr', 'ssim', 'focus', 'radius'
  }  # fmt: skip


def test_scores_at_edges_are_those_of_the_band():
  record = _record(photographs.Lens(0.5, 3.0), blur=3.0, focus=0.5)
  scores = _score(record)['untouched']
  squares = ((record['image'] - record['target']) ** 2).mean(axis=-1)
  band = photographs.near_edges(record['disparity'])[..., 0] > 0
  for name, error in (('psnr', squares.mean()), ('psnr_edge', squares[band].mean())):
    assert scores[name] == pytest.approx(-10 * np.log10(error), abs=1e-3)
  assert abs(scores['psnr'] - scores['psnr_edge']) > 0.1


def test_the_band_is_a_share_of_the_long_side_at_any_resolution(monkeypatch):
  _, disparity = _scene()
  columns = np.arange(_W)[None, :, None]
  # 60 / 40 is about 2 pixels from the two of a step.
  near = (abs(columns - 19.5) < 3) | (abs(columns - 39.5) < 3)
  np.testing.assert_array_equal(
    photographs.near_edges(disparity), np.broadcast_to(near, disparity.shape)
  )
  monkeypatch.setattr(photographs, '_LONG_SIDE', _W)
  large = np.kron(disparity, np.ones((3, 3, 1), np.float32))
  # As a predictor draws it: no difference between neighbours is large.
  soft = cv2.blur(large, (11, 1), borderType=cv2.BORDER_REPLICATE)[..., None]
  assert abs(np.diff(soft, axis=1)).max() < 0.05
  for values in (large, soft):
    band = photographs.near_edges(values[:-1, :-2])  # no multiple of the factor
    assert band.shape == (3 * _H - 1, 3 * _W - 2, 1)
    share = np.kron(near, np.ones((1, 3, 1)))[:, :-2]
    assert (band == share).mean() > (0.999 if values is large else 0.8)
    assert band[:, [60, 120]].all() and not band[:, [0, 30, 90, 150]].any()


def test_depth_is_scored_after_the_spline_where_it_is_valid():
  rng = np.random.default_rng(0)
  truth = rng.uniform(0, 1, (_H, _W, 1)).astype(np.float32)
  truth[0, 0], truth[0, 1] = 0, 1
  valid = (rng.random(truth.shape) < 0.7).astype(np.float32)
  valid[0, :2] = 1
  record = {'disparity': np.where(valid, 2 + 3 * truth, 50), 'valid': valid}
  scores = photographs.score_depth(record, np.where(valid, 7 - truth, -80).astype(np.float32))
  assert scores['predicted']['mae_spline'] < 1e-4
  kept = truth[valid > 0]
  constant = abs(kept - kept.mean()).mean()
  assert scores['constant']['mae_spline'] == pytest.approx(constant, rel=1e-4)
  noise = photographs.score_depth(record, rng.random(truth.shape, np.float32))['predicted']
  assert noise['mae_spline'] == pytest.approx(constant, rel=0.1)


@functools.cache
def _learned():
  widths = (6, 6, 3, 3)
  model = LensBlur(width=4, upsampler_width=4, features=widths, upsampler_features=widths)
  image, defocus = np.zeros((1, 8, 8, 3)), np.zeros((1, 8, 8, 1))
  init = jax.jit(
    lambda: model.init(jax.random.key(0), image, defocus, np.zeros((1, 16, 16, 3)), False)
  )
  return refocus.Learned(model, jax.device_get(init()), 4)


def test_every_renderer_is_scored_with_the_learned_one():
  record = _record(photographs.Lens(0.5, 3.0), blur=3.0, focus=0.5)
  ways = photographs.renderers(_learned())
  scores = photographs.score_pair(record, ways)
  assert list(scores) == ['untouched', 'classical', 'learned', 'hybrid']
  assert all(np.isfinite(list(row.values())).all() for row in scores.values())
  # The target is of the classical renderer.
  assert scores['classical']['psnr'] > max(scores[name]['psnr'] for name in ('learned', 'hybrid'))
  for name, options in (('learned', {}), ('hybrid', {'hybrid': True})):
    picture = refocus.refocus(
      record['image'], record['disparity'], focus=0.5, radius=3.0, learned=_learned(), **options
    )
    error = np.mean((picture - record['target']) ** 2)
    assert scores[name]['psnr'] == pytest.approx(-10 * np.log10(error), abs=1e-3)
  assert scores['learned']['psnr'] != scores['hybrid']['psnr']


def test_what_cannot_be_scored():
  record = _record(photographs.Lens(0.5, 3.0))
  photo, disparity = record['image'], record['disparity']
  with pytest.raises(ValueError, match='the record has no disparity; it has image, target'):
    _score({'image': photo, 'target': photo})
  with pytest.raises(ValueError, match='photo .* and target .* differ in size'):
    _score({**record, 'target': photo[1:]})
  with pytest.raises(ValueError, match='^disparity: is constant'):
    _score({**record, 'disparity': np.ones_like(disparity)})
  with pytest.raises(ValueError, match='^disparity: has no valid pixel'):
    photographs.score_depth({**record, 'valid': np.zeros_like(disparity)}, disparity)
  with pytest.raises(ValueError, match='the focus 9 is outside of the scene, 0 to 1'):
    _score({**record, 'blur': 2.0, 'focus': 9.0})
  with pytest.raises(ValueError, match='prediction .* and truth .* differ in size'):
    photographs.score_depth(record, disparity[1:])
  with pytest.raises(ValueError, match='photo .* and disparity .* differ in size'):
    _score(record, disparity=disparity[1:])
