"""Scores of refocused pairs: the lens that took a target is found, and scores best."""

import functools

import jax
import numpy as np
import pytest

from depthjax.models.lensblur import LensBlur
from depthjax.pipelines import refocus, scoring

_H, _W = 40, 60


def _scene(seed=0):
  """A photograph, and a disparity of three planes, normalised."""
  rng = np.random.default_rng(seed)
  photo = np.repeat(np.repeat(rng.random((_H // 2, _W // 2, 3), np.float32), 2, 0), 2, 1)
  disparity = np.zeros((_H, _W, 1), np.float32)
  disparity[:, _W // 3 :], disparity[:, 2 * _W // 3 :] = 0.5, 1
  return photo, disparity


def _record(lens, *, scale=1.0, offset=0.0, **fields):
  photo, disparity = _scene()
  target = scoring.render(photo, disparity, lens)
  valid = np.ones_like(disparity)
  raw = scale * disparity + offset
  return {'image': photo, 'target': target, 'disparity': raw, 'valid': valid, **fields}


def test_the_photograph_itself_scores_as_the_target_where_nothing_is_blurred():
  photo, disparity = _scene()
  scores = scoring.score(photo, photo, disparity, scoring.Lens(0.5, 0))
  assert scores == {
    'psnr/sharp': 100,
    'ssim/sharp': pytest.approx(1),
    'psnr/classical': 100,
    'ssim/classical': pytest.approx(1),
  }


@pytest.mark.parametrize('focus, radius', [(0.0, 3.0), (0.5, 3.0), (1.0, 1.8)])
def test_the_lens_of_a_target_is_found(focus, radius):
  record = _record(scoring.Lens(focus, radius))
  lens = scoring.find_lens(
    *(record[name] for name in ('image', 'target', 'disparity')),
    focuses=(0.0, 0.5, 1.0),
    apertures=(0.3, 0.6, 1.0),
  )
  assert lens == scoring.Lens(focus, pytest.approx(radius))


def test_the_lens_is_found_at_a_lower_resolution(monkeypatch):
  monkeypatch.setattr(scoring, '_SEARCHED', _W)
  photo, disparity = (np.kron(x, np.ones((2, 2, 1), np.float32)) for x in _scene())
  photo, disparity = photo[:, :-1], disparity[:, :-1]  # no multiple of the factor
  target = refocus.refocus(photo, disparity, focus=0.5, radius=2.9)
  lens = scoring.find_lens(photo, target, disparity, focuses=(0, 0.5), apertures=(0.5, 1))
  assert lens.focus == 0.5 and lens.radius == pytest.approx(2.9, rel=0.03)


def test_a_record_without_a_lens_gets_the_one_that_suits_it():
  scores = scoring.score_record(_record(scoring.Lens(0.5, 3.0), scale=3, offset=2))
  assert scores['psnr/classical'] > 60 > 40 > scores['psnr/sharp'] > 0
  assert scores['ssim/classical'] > 0.999 > 0.99 > scores['ssim/sharp']


@pytest.mark.parametrize('focus', [0.0, 0.25, 1.0])
def test_a_blur_and_a_focus_in_the_units_of_the_scene_are_the_lens(focus):
  """Signed radius 2 * (disparity - focus') px in a scene from 3 to 4.5."""
  photo, disparity = _scene()
  lens = scoring.lens_of(3 + 1.5 * disparity[..., 0], 2.0, 3 + 1.5 * focus)
  signed = lens.radius * (disparity - lens.focus)
  np.testing.assert_allclose(signed, 3 * (disparity - focus), atol=1e-5)
  target = scoring.render(photo, disparity, lens)
  record = _record(lens, scale=1.5, offset=3, blur=2.0, focus=3 + 1.5 * focus)
  np.testing.assert_array_equal(record['target'], target)
  assert scoring.score_record(record)['psnr/classical'] > 80


def test_unknown_disparity_is_filled_and_does_not_set_the_range():
  record = _record(scoring.Lens(0.5, 3.0), blur=3.0, focus=0.5)
  record['disparity'][5, 3], record['valid'][5, 3] = -7, 0
  assert scoring.score_record(record)['psnr/classical'] > 60


@functools.cache
def _learned():
  widths = (6, 6, 3, 3)
  model = LensBlur(width=4, upsampler_width=4, features=widths, upsampler_features=widths)
  image, defocus = np.zeros((1, 8, 8, 3)), np.zeros((1, 8, 8, 1))
  init = jax.jit(
    lambda: model.init(jax.random.key(0), image, defocus, np.zeros((1, 16, 16, 3)), False)
  )
  return refocus.Learned(model, jax.device_get(init()), 4)


def test_both_renderers_are_scored_with_the_learned_one():
  record = _record(scoring.Lens(0.5, 3.0), blur=3.0, focus=0.5)
  scores = scoring.score_record(record, _learned())
  names = {f'{m}/{n}' for m in ('psnr', 'ssim') for n in ('sharp', 'classical', 'learned')}
  assert scores.keys() == names and np.isfinite(list(scores.values())).all()
  # The target is of the classical renderer.
  assert scores['psnr/classical'] > scores['psnr/learned']
  lens = scoring.lens_of(record['disparity'][..., 0], 3.0, 0.5)
  picture = scoring.render(record['image'], record['disparity'], lens, _learned())
  error = np.mean((picture - record['target']) ** 2)
  assert scores['psnr/learned'] == pytest.approx(-10 * np.log10(error), abs=1e-3)


def test_what_cannot_be_scored():
  record = _record(scoring.Lens(0.5, 3.0))
  photo, disparity = record['image'], record['disparity']
  with pytest.raises(ValueError, match='the record has no disparity; it has image, target'):
    scoring.score_record({'image': photo, 'target': photo})
  with pytest.raises(ValueError, match='photo .* and target .* differ in size'):
    scoring.score(photo, photo[1:], disparity, scoring.Lens(0, 1))
  with pytest.raises(ValueError, match='is constant'):
    scoring.score_record({**record, 'disparity': np.ones_like(disparity)})
  with pytest.raises(ValueError, match='the focus 9 is outside of the scene, 0 to 1'):
    scoring.score_record({**record, 'blur': 2.0, 'focus': 9.0})
