"""Rendering through a lens with predicted disparity, and the checks of the fields `render`."""

import numpy as np
import pytest

from depthjax.tasks import dof
from depthjax.tasks.task import Env
from tests import tiny

_TRUTH = np.random.default_rng(0).uniform(0.2, 0.7, (2, 9, 7, 1)).astype(np.float32)


def test_aligned_predictions_have_the_scale_and_shift_of_the_truth():
  noise = np.random.default_rng(1).normal(0, 0.05, _TRUTH.shape).astype(np.float32)
  fitted = np.asarray(dof.aligned(5 * (_TRUTH + noise) - 2, _TRUTH))
  for one, true in zip(fitted, _TRUTH, strict=True):
    np.testing.assert_allclose(np.polyfit(one.ravel(), true.ravel(), 1), [1, 0], atol=1e-3)


@pytest.mark.parametrize('prediction', [1 - _TRUTH, np.full_like(_TRUTH, 7)])
def test_constant_and_inverted_predictions_become_the_mean(prediction):
  mean = np.broadcast_to(_TRUTH.mean(axis=(1, 2, 3), keepdims=True), _TRUTH.shape)
  np.testing.assert_allclose(dof.aligned(prediction, _TRUTH), mean, atol=1e-5)


def test_defocus_is_that_of_the_disparity_of_the_frozen_predictor(monkeypatch):
  config = tiny.lensblur_config(render__disparity='predicted', render__steepness=2.0)
  truth = np.full((2, 4, 8, 1), 0.3, np.float32)
  truth[:, :, 4:] = 0.6
  lens = {'focus': np.float32([0.3, 0.5]), 'aperture': np.float32([1.0, 0.5])}
  rendered = {'image': np.repeat(truth, 3, axis=-1), 'disparity': truth, **lens}

  def disparity(predictor, variables, image):
    assert (predictor, variables, image.shape) == ('network', 'arrays', (2, 4, 8, 3))
    return 10 - 4 * (1 - image[..., :1])

  monkeypatch.setattr(dof.predictors, 'disparity', disparity)
  env = Env(lambda function: lambda records: rendered, frozen={'predictor': 'network'})
  batch = dof.rendering(config, env)({'predictor': 'arrays'}, {})
  # steepness x (disparity - focus) x aperture, left and right.
  expected = np.repeat([[0.0, 0.6], [-0.2, 0.1]], 4, axis=1)
  np.testing.assert_allclose(batch['defocus'][:, 0, :, 0], expected, atol=1e-5)
  np.testing.assert_allclose(batch['defocus_low'][:, 0, 0, 0], [0.0, -0.2], atol=1e-5)
  np.testing.assert_array_equal(batch['disparity'], truth)


@pytest.mark.parametrize(
  'field, value, message',
  [
    ('disparity', 'predicted', "predictor.weights is ''; it must be given with render.disparity"),
    ('disparity', 'guessed', "render.disparity is 'guessed'; it can be corrupted, true"),
    ('radius', 0, 'render.radius is 0; it must be at least 1'),
  ],
)
def test_invalid_fields_of_the_renderer_are_refused(field, value, message):
  config = tiny.lensblur_config(**{f'render__{field}': value})
  with pytest.raises(ValueError, match=message):
    dof.rendering(config, Env(lambda function: function))


def test_glass_and_mirrors_are_refused():
  config = tiny.lensblur_config(data__mirror=0.3)
  with pytest.raises(ValueError, match='data.mirror is 0.3; it must be 0 to render through a lens'):
    dof.rendering(config, Env(lambda function: function))
