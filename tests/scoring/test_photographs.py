"""Scores of records: the search of the lens, scores at edges, valid pixels, refusals."""

import cv2
import numpy as np
import pytest

from depthjax.pipelines.refocus import refocus
from depthjax.scoring import photographs
from depthjax.scoring.photographs import Lens
from tests.commands import made

_H, _W = 40, 60
_LENS = Lens(0.5, 3.0)


def _scene():
  """A photograph, and a normalised disparity of three planes."""
  noise = np.random.default_rng(0).random((_H // 2, _W // 2, 3), np.float32)
  photo = np.kron(noise, np.ones((2, 2, 1), np.float32))
  disparity = np.zeros((_H, _W, 1), np.float32)
  disparity[:, _W // 3 :], disparity[:, 2 * _W // 3 :] = 0.5, 1
  return photo, disparity


def _record(lens, *, scale=1.0, offset=0.0, **fields):
  photo, disparity = _scene()
  target = refocus.refocus(photo, disparity, **lens._asdict())
  fields |= {'disparity': scale * disparity + offset, 'valid': np.ones_like(disparity)}
  return {'image': photo, 'target': target, **fields}


def _score(record, **options):
  return photographs.score_pair(record, photographs.renderers(), **options)


def _pictures(record):
  return [record[name] for name in ('image', 'target', 'disparity')]


def test_scores_of_a_picture_and_of_a_band():
  photo, _ = _scene()
  assert photographs.compare(photo, photo) == {'psnr': 100, 'ssim': pytest.approx(1)}
  band = np.zeros((_H, _W, 1), np.float32)
  band[:, : _W // 2] = 1
  scores = photographs.compare(np.where(band > 0, photo, 1 - photo), photo, band)
  assert scores['psnr_edge'] == 100 and scores['psnr'] < 15 and scores['ssim'] < 0.6
  # The windows of SSIM extend five pixels into the wrong half.
  assert 0.8 < scores['ssim_edge'] < 1


@pytest.mark.parametrize('lens', [Lens(0.0, 3.0), Lens(0.5, 3.0), Lens(1.0, 1.8)])
def test_the_lens_of_a_target_is_found(lens):
  """Radii that the renderer refuses are skipped."""
  fields = {'focuses': (0.0, 0.5, 1.0), 'radii': (99, 0.9, 1.8, 3.0)}
  assert photographs.find_lens(*_pictures(_record(lens)), **fields) == lens


def test_the_lens_is_searched_at_a_lower_resolution(monkeypatch):
  monkeypatch.setattr(photographs, '_LONG_SIDE', _W)
  # The width is not a multiple of the factor.
  photo, disparity = (np.kron(x, np.ones((2, 2, 1), np.float32))[:, :-1] for x in _scene())
  target = refocus.refocus(photo, disparity, focus=0.5, radius=3)
  seen = set()

  def render(photo, disparity, **lens):
    seen.add((photo.shape, disparity.shape))
    return refocus.refocus(photo, disparity, **lens)

  lens = photographs.find_lens(photo, target, disparity, render, focuses=(0, 0.5), radii=(1.5, 3))
  assert lens == Lens(0.5, 3)
  assert seen == {((_H, _W - 1, 3), (_H, _W - 1, 1))}


def test_an_unknown_lens_is_searched():
  scores = _score(_record(_LENS, scale=3, offset=2))
  assert scores['classical']['psnr'] > 60 > 40 > scores['untouched']['psnr'] > 0
  assert scores['classical']['ssim'] > 0.999 > 0.99 > scores['untouched']['ssim']
  assert scores['classical']['radius'] == pytest.approx(3)
  # Given radii take precedence over the lens of the record.
  scores = _score(_record(_LENS, blur=1.0, focus=0.0), radii=(3.0,))
  assert (scores['classical']['focus'], scores['classical']['radius']) == _LENS


@pytest.mark.parametrize('focus', [0.0, 0.3, 1.0])
def test_blur_and_focus_in_units_of_the_scene_define_the_lens(focus):
  """Signed radius 2 * (disparity - focus') px in a scene from 3 to 4.5."""
  _, disparity = _scene()
  lens = photographs.lens_of(3 + 1.5 * disparity[..., 0], 2.0, 3 + 1.5 * focus)
  assert lens == pytest.approx((focus, 3))
  record = _record(lens, scale=1.5, offset=3, blur=2.0, focus=3 + 1.5 * focus)
  record['disparity'][5, 3], record['valid'][5, 3] = -7, 0  # Filled, and not part of the range.
  scores = _score(record)['classical']
  assert scores['psnr'] > 60 and scores['focus'] == pytest.approx(focus)


def test_a_predicted_disparity_is_used_for_rendering_but_not_for_edges():
  record = _record(_LENS, blur=3.0, focus=0.5)
  mirrored = record['disparity'][:, ::-1]
  own, other = _score(record), _score(record, disparity=mirrored, radii=(3.0,))
  assert own['untouched'] == other['untouched']
  assert other['classical']['psnr'] > 60, 'near and far are blurred alike'
  flat = _score(record, disparity=np.zeros_like(mirrored), radii=(3.0,))
  assert flat['classical']['psnr'] < 40
  # The record's lens is valid for its own disparity only.
  assert _score(record, disparity=0.5 * record['disparity'])['classical']['focus'] == 0.25
  bare = {name: record[name] for name in ('image', 'target')}
  assert 'psnr_edge' not in _score(bare, disparity=mirrored, radii=(3.0,))['classical']


def test_scores_at_edges_are_those_of_the_band():
  record = _record(_LENS, blur=3.0, focus=0.5)
  photo, target, disparity = _pictures(record)
  expected = photographs.compare(photo, target, photographs.near_edges(disparity))
  assert _score(record)['untouched'] == expected
  nothing = np.zeros_like(disparity)  # No score at edges, which is not NaN.
  assert photographs.compare(photo, target, nothing) == photographs.compare(photo, target)


def test_the_band_is_a_fraction_of_the_long_side_at_any_resolution(monkeypatch):
  _, disparity = _scene()
  columns = np.arange(_W)[None, :, None]
  # 60 / 40, about 2 pixels, from both pixels of a step.
  near = (abs(columns - 19.5) < 3) | (abs(columns - 39.5) < 3)
  assert (photographs.near_edges(disparity) == near).all()
  monkeypatch.setattr(photographs, '_LONG_SIDE', _W)
  large = np.kron(disparity, np.ones((3, 3, 1), np.float32))
  # A smooth prediction: no difference between neighbours is large.
  soft = cv2.blur(large, (11, 1), borderType=cv2.BORDER_REPLICATE)[..., None]
  assert abs(np.diff(soft, axis=1)).max() < 0.05
  for values in (large, soft):
    band = photographs.near_edges(values[:-1, :-2])  # Not a multiple of the factor.
    assert band.shape == (3 * _H - 1, 3 * _W - 2, 1)
    expected = np.kron(near, np.ones((1, 3, 1)))[:, :-2]
    assert (band == expected).mean() > (0.999 if values is large else 0.8)
    assert band[:, [60, 120]].all() and not band[:, [0, 30, 90, 150]].any()


def test_disparity_is_scored_after_the_spline_on_valid_pixels():
  rng = np.random.default_rng(0)
  truth = rng.uniform(0, 1, (_H, _W, 1)).astype(np.float32)
  truth[0, 0], truth[0, 1] = 0, 1
  valid = (rng.random(truth.shape) < 0.7).astype(np.float32)
  valid[0, :2] = 1
  record = {'disparity': np.where(valid, 2 + 3 * truth, 50), 'valid': valid}
  scores = photographs.score_depth(record, np.where(valid, 7 - truth, -80).astype(np.float32))
  assert scores['predicted']['mae_spline'] < 1e-4
  constant = abs(truth[valid > 0] - truth[valid > 0].mean()).mean()
  assert scores['constant']['mae_spline'] == pytest.approx(constant, rel=1e-4)


def test_all_renderers_are_scored(tmp_path):
  made.save_lensblur(tmp_path / 'weights.safetensors')
  learned = refocus.load(tmp_path)
  record = _record(_LENS, blur=3.0, focus=0.5)
  scores = photographs.score_pair(record, photographs.renderers(learned))
  assert list(scores) == ['untouched', 'classical', 'learned', 'hybrid']
  photo, target, disparity = _pictures(record)
  for name, hybrid in (('learned', False), ('hybrid', True)):
    fields = {**_LENS._asdict(), 'learned': learned, 'hybrid': hybrid}
    error = np.mean((refocus.refocus(photo, disparity, **fields) - target) ** 2)
    assert scores[name]['psnr'] == pytest.approx(-10 * np.log10(error), abs=1e-3)
  assert scores['learned']['psnr'] != scores['hybrid']['psnr']


def test_invalid_records_are_refused():
  record = _record(_LENS)
  photo, disparity = record['image'], record['disparity']
  for change, message in (
    ({'target': photo[1:]}, 'photo .* and target .* differ in size'),
    ({'disparity': np.ones_like(disparity)}, '^disparity: is constant'),
    ({'blur': 2.0, 'focus': 9.0}, 'the focus 9 is outside the scene; it must be in 0 to 1'),
  ):
    with pytest.raises(ValueError, match=message):
      _score({**record, **change})
  with pytest.raises(ValueError, match='the record has no disparity; it has image, target'):
    _score({'image': photo, 'target': photo})
  with pytest.raises(ValueError, match='it must be at most 15, a quarter'):
    _score(record, radii=(99,))
  with pytest.raises(ValueError, match='prediction .* and truth .* differ in size'):
    photographs.score_depth(record, disparity[1:])
