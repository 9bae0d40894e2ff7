"""What the regression baseline is told: a spot where the focus is, the aperture, and no depth."""

import jax.numpy as jnp
import numpy as np
import pytest

from configs import regression as regression_config
from depthjax import tasks
from depthjax.tasks import regression
from depthjax.tasks.task import Env


def _inputs(focus, aperture):
  disparity = np.full((2, 20, 40, 1), 0.2, np.float32)
  disparity[:, 4:9, 30:35] = 0.8
  image = np.random.default_rng(0).random((2, 20, 40, 3), np.float32)
  return {
    'image': image,
    'disparity': jnp.asarray(disparity),
    'focus': jnp.float32(focus),
    'aperture': jnp.float32(aperture),
  }


def test_the_spot_is_on_what_is_in_focus():
  inputs = _inputs((0.75, 0.0), (1.0, 0.3))
  seen = np.asarray(regression.arguments(inputs))
  assert seen.shape == (2, 20, 40, 5)
  np.testing.assert_allclose(seen[..., :3], inputs['image'] - 0.5)
  spots = seen[..., 3]
  np.testing.assert_allclose(spots.max(axis=(1, 2)), 1)
  middles = [np.unravel_index(spot.argmax(), spot.shape) for spot in spots]
  # Amid the plane, and not on the frame's border either.
  assert 4 < middles[0][0] < 8 and 30 < middles[0][1] < 34
  assert inputs['disparity'][1, *middles[1], 0] == np.float32(0.2)
  assert 3 < middles[1][0] < 16 and 3 < middles[1][1] < 36
  row, column = middles[0]
  assert spots[0, 19, 0] < 1e-6 and 0.5 < spots[0, row, column + 1] < 1
  np.testing.assert_allclose(seen[..., 4], np.broadcast_to([[[1]], [[0.3]]], (2, 20, 40)))


def test_no_disparity_is_given_away():
  """Only where the focus is: two depths with the same nearest pixel look the same."""
  inputs = _inputs((0.8, 0.8), (1.0, 1.0))
  other = {**inputs, 'disparity': inputs['disparity'] ** 2 + 0.16 * (inputs['disparity'] > 0.5)}
  np.testing.assert_array_equal(regression.arguments(inputs), regression.arguments(other))


def test_the_loss_is_the_mean_difference(monkeypatch):
  config = _config()
  task = tasks.make(config, Env(lambda f: f))
  target = np.zeros((2, 4, 4, 3), np.float32)
  image = target + np.float32([0.1, 0.3])[:, None, None, None]
  monkeypatch.setattr(regression, 'forward', lambda *_: (image, {}))
  inputs = {**_inputs((0.5, 0.5), (1.0, 1.0)), 'target': target}
  terms, _ = task.loss({}, {}, inputs, None, 0)
  np.testing.assert_allclose(terms['l1'], [0.1, 0.3], rtol=1e-6)
  assert list(terms) == ['l1']


@pytest.mark.parametrize('field, value', [('model.depths', 3), ('render.disparity', 'guessed')])
def test_a_field_that_cannot_be_is_refused(field, value):
  config = _config().unlock()
  name, leaf = field.split('.')
  config[name][leaf] = value
  with pytest.raises((TypeError, ValueError), match=leaf if name == 'model' else 'disparity'):
    tasks.make(config, Env(lambda f: f))


def _config():
  return regression_config.get_config('smoke').lock()
