"""What a run is built of: the predictor that it looks through, checked before anything else."""

import jax
import numpy as np
import pytest

from depthjax.files import weights
from depthjax.files.errors import InputError
from depthjax.models.deeplens import depthnet
from depthjax.models.deeplens.depthnet import DepthNet
from depthjax.train import experiment as experiment_lib
from tests import tiny


def _save(folder, change=lambda metadata: None):
  """Weights of a depth net, and the metadata that a run would write with them, changed."""
  config = tiny.depth_config().to_dict()
  _, shapes = depthnet.described(config)
  metadata = {'task': 'deeplens_depth', 'step': 1, 'config': config}
  change(metadata)
  variables = jax.tree.map(lambda x: np.ones(x.shape, x.dtype), shapes)
  return weights.save_weights(folder, variables, metadata)


@pytest.mark.parametrize(
  'change, message',
  [
    (lambda metadata: metadata['config']['model'].update(width=4), 'holds other arrays than'),
    (lambda metadata: metadata['config']['model'].update(depth=3), 'does not describe .*depth'),
    (lambda metadata: metadata.pop('config'), "does not describe its network .*'config'"),
    (lambda metadata: metadata.update(task='lensblur'), "weights of the task 'lensblur'"),
  ],
)
def test_a_predictor_that_is_none_is_refused(tmp_path, change, message):
  _save(tmp_path, change)
  config = tiny.config(render__disparity='predicted', predictor__weights=str(tmp_path))
  with pytest.raises(InputError, match=message) as caught:
    experiment_lib.build(config)
  assert '\n' not in str(caught.value)


def test_a_predictor_sees_frames_of_any_size_at_the_one_it_was_trained_at(tmp_path, monkeypatch):
  _save(tmp_path, lambda metadata: metadata['config']['data'].update(width=48))
  seen, apply = [], DepthNet.apply

  def spy(model, variables, image, *rest, **fields):
    seen.append((model.width, image.shape[1:]))
    return apply(model, variables, image, *rest, **fields)

  monkeypatch.setattr(DepthNet, 'apply', spy)
  fields = {'render__disparity': 'predicted', 'predictor__weights': str(tmp_path)}
  experiment_lib.build(tiny.config(data__height=64, data__width=96, **fields))
  assert set(seen) == {(2, (32, 48, 3))}
