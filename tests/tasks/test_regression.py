"""The regression baseline: its inputs, which have no depth, and its loss."""

import jax.numpy as jnp
import numpy as np

from depthjax import tasks
from depthjax.tasks import regression
from depthjax.tasks.task import Env
from tests import tiny


def _inputs(focus, aperture):
  """A near rectangle on a far plane."""
  disparity = np.full((2, 20, 40, 1), 0.2, np.float32)
  disparity[:, 4:9, 30:35] = 0.8
  image = np.random.default_rng(0).random((2, 20, 40, 3), np.float32)
  lens = {'focus': jnp.float32(focus), 'aperture': jnp.float32(aperture)}
  return {'image': image, 'disparity': jnp.asarray(disparity), **lens}


def test_the_spot_is_inside_a_region_in_focus():
  inputs = _inputs((0.75, 0.0), (1.0, 0.3))
  arguments = np.asarray(regression.arguments(inputs))
  assert arguments.shape == (2, 20, 40, 5)
  np.testing.assert_allclose(arguments[..., :3], inputs['image'] - 0.5)
  spots = arguments[..., 3]
  np.testing.assert_allclose(spots.max(axis=(1, 2)), 1)
  near, far = (np.unravel_index(spot.argmax(), spot.shape) for spot in spots)
  # Away from the edges of the rectangle and of the frame.
  assert 4 < near[0] < 8 and 30 < near[1] < 34 and 3 < far[0] < 16 and 3 < far[1] < 36
  assert inputs['disparity'][1, *far, 0] == np.float32(0.2)
  assert spots[0, 19, 0] < 1e-6 and 0.5 < spots[0, near[0], near[1] + 1] < 1
  np.testing.assert_allclose(arguments[..., 4], np.broadcast_to([[[1]], [[0.3]]], (2, 20, 40)))


def test_inputs_depend_on_the_disparity_by_the_focal_point_only():
  inputs = _inputs((0.8, 0.8), (1.0, 1.0))
  other = {**inputs, 'disparity': inputs['disparity'] ** 2 + 0.16 * (inputs['disparity'] > 0.5)}
  np.testing.assert_array_equal(regression.arguments(inputs), regression.arguments(other))


def test_the_loss_is_the_mean_absolute_difference(monkeypatch):
  task = tasks.make(tiny.config(), Env())
  target = np.zeros((2, 4, 4, 3), np.float32)
  image = target + np.float32([0.1, 0.3])[:, None, None, None]
  monkeypatch.setattr(regression, 'forward', lambda *_: (image, {}))
  inputs = {**_inputs((0.5, 0.5), (1.0, 1.0)), 'target': target}
  ((name, loss),) = task.loss({}, {}, inputs, None, 0)[0].items()
  assert name == 'l1'
  np.testing.assert_allclose(loss, [0.1, 0.3], rtol=1e-6)
