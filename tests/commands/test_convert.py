"""`depthjax convert`: from a published file to a run that starts from it, and back."""

import functools
import re

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest
import safetensors.numpy

from configs import deeplens_depth as depth_config
from depthjax.convert import checkpoints, mit, naming, resnet50, sddr
from depthjax.files import weights
from depthjax.models.deeplens.depthnet import DepthNet
from depthjax.models.refinement.fusenet import FuseNet
from depthjax.models.refinement.refiners import from_config
from depthjax.train import initialise
from depthjax.train.step import TrainState
from tests import refiners


def _resnet50():
  """A state dict in the names of torchvision, every tensor of a value of its own."""
  shapes = {'layer4.0.bn1.weight': (512,), 'fc.weight': (10, 2048)}
  for conv, norm, _, shape in resnet50.layers():
    shapes[f'{conv}.weight'] = shape
    shapes |= {f'{norm}.{key}': shape[:1] for key in resnet50._NORM}
  tensors = {name: np.full(shapes[name], i, np.float32) for i, name in enumerate(shapes)}
  return tensors | {'bn1.num_batches_tracked': np.array(3)}


def _mit():
  """The same of timm's smallest backbone."""
  tensors = {'head.bias': np.zeros(3)}
  for value, (path, x) in enumerate(naming.leaves(mit._shapes('b0'))):
    name = naming.theirs(path, mit.RULES)
    tensors[name] = naming.to_theirs(np.full(x.shape, value, np.float32))
  return tensors


@functools.cache
def _released():
  """A state dict of the released refinement network."""
  variables = {}
  for value, (path, x) in enumerate(naming.leaves(from_config(sddr.CONFIG)[1])):
    naming.put(variables, path, np.full(x.shape, value, np.float32))
  return sddr.to_state_dict(variables)


def _depth_net():
  init = functools.partial(DepthNet(preset='paper').init, train=False)
  return jax.eval_shape(init, jax.random.key(0), jnp.zeros((1, 8, 8, 3)))


@pytest.mark.parametrize(
  'published, said, metadata, started, rules, told',
  [
    (
      *(_resnet50, 'the encoder; left out: fc, layer4', {'task': 'resnet50'}, _depth_net),
      *((('/encoder/', 'load'), ('.*', 'fresh')), depth_config),
    ),
    (
      *(_mit, 'the backbone, MiT-B0; left out: head', {'task': 'mit', 'size': 'b0'}),
      lambda: from_config(sddr.CONFIG)[1],
      *((('/patch_embed1/proj/', 'fresh'), ('/backbone/', 'load'), ('.*', 'fresh')), mit),
    ),
  ],
  ids=['resnet50', 'mit'],
)
def test_a_run_starts_from_an_encoder_and_the_rest_stays_fresh(
  run, tmp_path, published, said, metadata, started, rules, told
):
  """By the rules that the text of the config or of the converter tells."""
  assert str(rules) in told.__doc__.replace('\n', ' ')
  safetensors.numpy.save_file(published(), tmp_path / 'published.safetensors')
  (tmp_path / 'folder').mkdir()
  line = f'convert {metadata["task"]} published.safetensors -o folder'
  assert run(line) == (0, f'folder/weights.safetensors: {said}\n', '')
  assert weights.load_weights('folder')[1] == metadata
  ema = jax.tree.map(lambda x: jnp.full(x.shape, -1.0), dict(started()))
  rest = jax.tree.map(jnp.copy, ema)
  state = TrainState(
    step=jnp.int32(0),
    params=rest.pop('params'),
    model_state=rest,
    ema=ema,
    opt=(),
    key=jnp.zeros(2, jnp.uint32),
    finite=jnp.bool_(True),
  )
  config = ml_collections.ConfigDict({'weights': 'folder', 'rules': rules})
  state = initialise.from_weights(state, config)
  for tree in (state.params, state.ema, state.model_state):
    for path, x in naming.leaves(tree):
      rule = next(rule for rule in rules if re.search(rule[0], f'/{"/".join(path)}/'))
      assert (np.unique(x).item() == -1) == (rule[1] == 'fresh'), path


def test_released_weights_are_read_here_and_written_back_the_same(run, tmp_path):
  safetensors.numpy.save_file(_released(), tmp_path / 'model.safetensors')
  (tmp_path / 'run').mkdir()
  code, out, _ = run('convert sddr model.safetensors -o run')
  assert (code, out) == (0, 'run/weights.safetensors: the refinement network\n')
  (model, *trained), variables = weights.load_network('run', {'sddr': from_config})
  assert model == FuseNet() and trained == [2048, 1]
  assert len(list(naming.leaves(variables))) == 383
  assert run('convert sddr run -o back.safetensors')[0] == 0
  _assert_released(checkpoints.read('back.safetensors'))


def test_a_run_is_written_for_pytorch(run, tmp_path):
  torch = pytest.importorskip('torch', reason="torch is in the extra 'parity'")
  metadata = {'task': 'sddr', 'config': sddr.CONFIG}
  weights.save_weights(tmp_path, sddr.convert(_released(), ''), metadata)
  assert run('convert sddr . -o back.pt')[0] == 0
  _assert_released(torch.load('back.pt', weights_only=True)['net'])
  # What has two names is stored once: 10.3 M numbers, not 16.8 M.
  assert (tmp_path / 'back.pt').stat().st_size < 4.2 * 10_302_483


def _assert_released(found):
  assert found.keys() == _released().keys()
  for name, x in _released().items():
    np.testing.assert_array_equal(found[name], x)


def test_bad_input_is_one_line_and_no_output(refuse, tmp_path, monkeypatch):
  safetensors.numpy.save_file({'x': np.ones(2)}, tmp_path / 'x.safetensors')
  size = {'height': refiners.SIDE, 'width': refiners.SIDE}
  gbdf = {'model': {**refiners.FIELDS, 'network': 'gbdf', 'levels': 3}, 'data': size}
  variables = jax.tree.map(lambda x: np.zeros(x.shape, np.float32), dict(from_config(gbdf)[1]))
  weights.save_weights(tmp_path / 'gbdf.safetensors', variables, {'task': 'sddr', 'config': gbdf})
  refuse('convert resnet50 x.safetensors -o a.safetensors', 'x.safetensors: has no tensor')
  refuse('convert sddr gbdf.safetensors -o a.safetensors', 'gbdf.safetensors: network of GBDF')
  monkeypatch.setattr(checkpoints, 'read', None)
  refuse('convert resnet50 x.safetensors -o a.pth', "a.pth: ends in '.pth'; expected .safetensors")
  refuse('convert sddr gbdf.safetensors -o .', '.: is a folder; expected .pt')
