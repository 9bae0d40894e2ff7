"""`depthjax convert`: from published files to weights of depthjax, and back."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from configs import deeplens_depth as depth_config
from depthjax.convert import checkpoints, mit, naming, resnet50, sddr
from depthjax.files import weights
from depthjax.models.deeplens.depthnet import DepthNet
from depthjax.models.refinement.fusenet import FuseNet
from depthjax.models.refinement.refiners import from_config
from tests import refiners


def _resnet50():
  """A state dict with the names of torchvision; each tensor has another value."""
  shapes = {'layer4.0.bn1.weight': (512,), 'fc.weight': (10, 2048)}
  for conv, norm, _, shape in resnet50.layers():
    shapes[f'{conv}.weight'] = shape
    shapes |= {f'{norm}.{key}': shape[:1] for key in resnet50._NORM}
  tensors = {name: np.full(shapes[name], i, np.float32) for i, name in enumerate(shapes)}
  return tensors | {'bn1.num_batches_tracked': np.array(3)}


def _mit():
  """Likewise for timm's smallest backbone."""
  tensors = {'head.bias': np.zeros(3)}
  for value, (path, x) in enumerate(naming.leaves(mit._shapes('b0'))):
    name = naming.torch_name(path, mit.RULES)
    tensors[name] = naming.to_torch(np.full(x.shape, value, np.float32))
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


_RESNET_RULES = (('/encoder/', 'load'), ('.*', 'fresh'))
_MIT_RULES = (('/patch_embed1/proj/', 'fresh'), ('/backbone/', 'load'), ('.*', 'fresh'))


@pytest.mark.parametrize(
  'published, metadata, summary, network, rules, documented',
  [
    (_resnet50, {'task': 'resnet50'}, 'encoder; omitted: fc, layer4', _depth_net, _RESNET_RULES,
     depth_config),
    (_mit, {'task': 'mit', 'size': 'b0'}, 'backbone, MiT-B0; omitted: head',
     lambda: from_config(sddr.CONFIG)[1], _MIT_RULES, mit),
  ],
  ids=['resnet50', 'mit'],
)  # fmt: skip
def test_documented_rules_load_the_converted_encoder(
  run, tmp_path, published, metadata, summary, network, rules, documented
):
  """The network has all arrays that the rules for `initialise` load, with the same shapes."""
  assert str(rules) in documented.__doc__.replace('\n', ' ')
  safetensors.numpy.save_file(published(), tmp_path / 'published.safetensors')
  (tmp_path / 'folder').mkdir()
  line = f'convert {metadata["task"]} published.safetensors -o folder'
  assert run(line) == (0, f'folder/weights.safetensors: the {summary}\n', '')
  variables, found = weights.load_weights('folder')
  assert found == metadata
  shapes = {'/'.join(path): x.shape for path, x in naming.leaves(variables)}
  used = {}
  for path, x in naming.leaves(dict(network())):
    name = '/'.join(path)
    if next(action for pattern, action in rules if re.search(pattern, f'/{name}/')) == 'load':
      used[name] = x.shape
  assert used and used.items() <= shapes.items()
  assert all('patch_embed1' in name for name in shapes.keys() - used.keys())


def test_released_weights_are_converted_and_converted_back(run, tmp_path):
  safetensors.numpy.save_file(_released(), tmp_path / 'model.safetensors')
  (tmp_path / 'run').mkdir()
  code, out, _ = run('convert sddr model.safetensors -o run')
  assert (code, out) == (0, 'run/weights.safetensors: the refinement network\n')
  (model, *trained), variables = weights.load_network('run', {'sddr': from_config})
  assert model == FuseNet() and trained == [2048, 1]
  assert len(list(naming.leaves(variables))) == 383
  assert run('convert sddr run -o back.safetensors')[0] == 0
  _assert_released(checkpoints.read('back.safetensors'))


def test_a_run_is_converted_to_pytorch(run, tmp_path):
  torch = pytest.importorskip('torch', reason="torch is in the extra 'parity'")
  metadata = {'task': 'sddr', 'config': sddr.CONFIG}
  weights.save_weights(tmp_path, sddr.convert(_released(), ''), metadata)
  assert run('convert sddr . -o back.pt')[0] == 0
  _assert_released(torch.load('back.pt', weights_only=True)['net'])
  # Tensors with two names are stored once: 10.3 M numbers, not 16.8 M.
  assert (tmp_path / 'back.pt').stat().st_size < 4.2 * 10_302_483


def _assert_released(found):
  assert found.keys() == _released().keys()
  for name, x in _released().items():
    np.testing.assert_array_equal(found[name], x)


def test_invalid_input_is_refused(refuse, tmp_path, monkeypatch):
  safetensors.numpy.save_file({'x': np.ones(2)}, tmp_path / 'x.safetensors')
  size = {'height': refiners.SIZE, 'width': refiners.SIZE}
  gbdf = {'model': {**refiners.FIELDS, 'network': 'gbdf', 'levels': 3}, 'data': size}
  variables = jax.tree.map(lambda x: np.zeros(x.shape, np.float32), dict(from_config(gbdf)[1]))
  weights.save_weights(tmp_path / 'gbdf.safetensors', variables, {'task': 'sddr', 'config': gbdf})
  refuse('convert resnet50 x.safetensors -o a.safetensors', 'x.safetensors: has no tensor')
  refuse('convert sddr gbdf.safetensors -o a.safetensors', 'gbdf.safetensors: network of GBDF')
  monkeypatch.setattr(checkpoints, 'read', None)
  refuse('convert resnet50 x.safetensors -o a.pth', "a.pth: ends in '.pth'; expected .safetensors")
  refuse('convert sddr gbdf.safetensors -o .', '.: is a folder; expected .pt')
