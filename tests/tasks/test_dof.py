"""What the experiments with a lens share: predicted disparity in the scene's own units."""

import numpy as np
import pytest

from depthjax.tasks import dof
from depthjax.tasks.task import Env
from tests import tiny


def _truth(seed=0):
  return np.random.default_rng(seed).uniform(0.2, 0.7, (2, 9, 7, 1)).astype(np.float32)


def test_a_prediction_is_brought_to_the_scale_and_shift_of_the_scene():
  truth = _truth()
  np.testing.assert_allclose(dof.aligned(0.1 + 3 * truth, truth), truth, atol=1e-5)
  noise = np.random.default_rng(1).normal(0, 0.05, truth.shape).astype(np.float32)
  fitted = np.asarray(dof.aligned(5 * (truth + noise) - 2, truth))
  for one, true in zip(fitted, truth, strict=True):
    slope, shift = np.polyfit(one.ravel(), true.ravel(), 1)
    np.testing.assert_allclose([slope, shift], [1, 0], atol=1e-3)


@pytest.mark.parametrize('prediction', [lambda x: 1 - x, np.zeros_like, lambda x: 0 * x + 7])
def test_one_that_tells_nothing_becomes_the_mean(prediction):
  truth = _truth()
  fitted = np.asarray(dof.aligned(prediction(truth), truth))
  mean = truth.mean(axis=(1, 2, 3), keepdims=True)
  np.testing.assert_allclose(fitted, np.broadcast_to(mean, truth.shape), atol=1e-5)


def _each(rendered):
  """Instead of rendering: the same examples whatever the records are."""
  return lambda function: lambda records: rendered


def _rendered():
  truth = np.concatenate([np.full((1, 4, 4, 1), 0.3), np.full((1, 4, 4, 1), 0.6)], axis=2)
  truth = np.concatenate([truth, truth]).astype(np.float32)
  return {
    'image': np.repeat(truth, 3, axis=-1),
    'disparity': truth,
    'defocus': np.full_like(truth, 9),
    'defocus_low': np.full((2, 2, 4, 1), 9, np.float32),
    'focus': np.float32([0.3, 0.5]),
    'aperture': np.float32([1.0, 0.5]),
  }


def test_networks_may_be_given_what_a_frozen_predictor_says(monkeypatch):
  config = tiny.lensblur_config(render__disparity='predicted', render__steepness=2.0)
  seen = []

  def disparity(predictor, variables, image):
    seen.append((predictor, variables, image.shape))
    return 10 - 4 * (1 - image[..., :1])

  monkeypatch.setattr(dof.predictors, 'disparity', disparity)
  env = Env(_each(_rendered()), frozen={'predictor': 'network'})
  batch = dof.rendering(config, env)({'predictor': 'arrays'}, {})
  assert seen == [('network', 'arrays', (2, 4, 8, 3))]
  # Twice the disparity from the focus, times the aperture: the signed radius over the largest.
  left, right = batch['defocus'][..., :4, 0], batch['defocus'][..., 4:, 0]
  np.testing.assert_allclose(left[:, 0, 0], [0.0, -0.2], atol=1e-5)
  np.testing.assert_allclose(right[:, 0, 0], [0.6, 0.1], atol=1e-5)
  np.testing.assert_allclose(batch['defocus_low'][:, 0, 0, 0], [0.0, -0.2], atol=1e-5)
  np.testing.assert_array_equal(batch['disparity'], _rendered()['disparity'])


def test_without_a_predictor_there_is_nothing_to_see():
  config = tiny.lensblur_config(render__disparity='predicted')
  with pytest.raises(ValueError, match='predictor.weights names no predictor'):
    dof.rendering(config, Env(_each({})))


@pytest.mark.parametrize(
  'field, value', [('disparity', 'guessed'), ('radius', 0), ('samples', 0), ('band', 0)]
)
def test_a_field_of_the_rendering_that_cannot_be_is_refused(field, value):
  config = tiny.lensblur_config(**{f'render__{field}': value})
  with pytest.raises(ValueError, match=f'render.{field} '):
    dof.rendering(config, Env(_each({})))
