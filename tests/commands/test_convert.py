"""`depthjax convert`: from published files to weights of depthjax, and back."""

import functools
import re

import jax
import numpy as np
import pytest
import safetensors.numpy

from configs import deeplens_depth as depth_config
from depthjax.convert import checkpoints, mit, naming, published, resnet50, sddr
from depthjax.files import weights
from depthjax.models.deeplens import depthnet
from depthjax.models.predictors import catalogue
from depthjax.models.predictors import published as networks
from depthjax.models.refinement.fusenet import FuseNet
from depthjax.models.refinement.refiners import from_config
from depthjax.pipelines import predictors
from tests import refiners


def _resnet50():
  """Tensors with the names of torchvision."""
  tensors = {'layer4.0.bn1.weight': np.zeros(512), 'fc.weight': np.zeros((10, 2048))}
  for conv, norm, _, shape in resnet50.layers():
    tensors[f'{conv}.weight'] = np.zeros(shape)
    tensors |= {f'{norm}.{key}': np.zeros(shape[0]) for key in resnet50._NORM}
  return tensors | {'bn1.num_batches_tracked': np.array(3)}


def _mit():
  """Likewise for timm's smallest backbone."""
  leaves = naming.leaves(mit._shapes('mit_b0'))
  tensors = {naming.torch_name(path, mit.RULES): np.zeros(x.shape) for path, x in leaves}
  return {name: naming.to_torch(x) for name, x in tensors.items()} | {'head.bias': np.zeros(3)}


@functools.cache
def _released():
  """A state dict of the released refinement network."""
  variables = {}
  for value, (path, x) in enumerate(naming.leaves(_fusenet())):
    naming.put(variables, path, np.full(x.shape, value, np.float32))
  return sddr.to_state_dict(variables)


def _depth_net():
  return networks.shapes(depthnet.DepthNet('paper'), depthnet.STRIDE)


def _fusenet():
  return from_config(sddr.CONFIG)[1]


# Rules of `initialise`, and the module that documents them.
_RESNET_RULES = (('/encoder/', 'load'), ('.*', 'fresh')), depth_config
_MIT_RULES = (('/patch_embed1/proj/', 'fresh'), ('/backbone/', 'load'), ('.*', 'fresh')), mit


def _shapes(variables):
  return {'/'.join(path): x.shape for path, x in naming.leaves(dict(variables))}


@pytest.mark.parametrize(
  'published, metadata, summary, network, rules, documented',
  [
    (_resnet50, {'task': 'resnet50'}, 'encoder; omitted: fc, layer4', _depth_net, *_RESNET_RULES),
    (
      _mit,
      {'task': 'mit', 'size': 'mit_b0'},
      'backbone, mit_b0; omitted: head',
      _fusenet,
      *_MIT_RULES,
    ),
  ],
)
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
  shapes, used = _shapes(variables), _shapes(network())
  for name in list(used):
    if next(action for rule, action in rules if re.search(rule, f'/{name}/')) != 'load':
      del used[name]
  assert used and used.items() <= shapes.items()
  unused = ('patch_embed1', '/second/')
  assert all(any(x in name for x in unused) for name in shapes.keys() - used.keys())


@pytest.mark.parametrize('ending', ['safetensors', 'pt'])
def test_released_weights_are_converted_and_converted_back(run, tmp_path, ending):
  safetensors.numpy.save_file(_released(), tmp_path / 'model.safetensors')
  line = 'convert sddr model.safetensors -o a.safetensors'
  assert run(line) == (0, 'a.safetensors: the refinement network\n', '')
  (model, *trained), variables = weights.load_network('a.safetensors', {'sddr': from_config})
  assert model == FuseNet() and trained == [2048, 1]
  assert len(list(naming.leaves(variables))) == 383
  if ending == 'pt':
    pytest.importorskip('torch', reason="torch is in the extra 'parity'")
  assert run(f'convert sddr a.safetensors -o back.{ending}')[0] == 0
  found = checkpoints.read(f'back.{ending}')
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


def test_depth_predictors_are_converted_for_prediction_and_training(run, refuse, monkeypatch):
  name = catalogue.DEFAULT
  model = {'network': 'depth_anything', 'size': 'tiny', 'version': 1, 'max_depth': 20.0}
  entry = catalogue.CATALOGUE[name]._replace(model=model)
  monkeypatch.setitem(catalogue.CATALOGUE, name, entry)
  found = published.expected(model, transformers=False)
  tensors = {x.name: np.full(x.layout, i, np.float32) for i, x in enumerate(found)}
  safetensors.numpy.save_file(tensors, 'theirs.safetensors')
  code, out, _ = run(f'convert {name} theirs.safetensors -o ours.safetensors')
  assert (code, out) == (0, f'ours.safetensors: {name}, for --predictor\n')
  predictor = predictors.load('ours.safetensors')
  assert (predictor.network.version, predictor.network.max_depth) == (1, 20)
  expected = published.convert(tensors, model, 'theirs')
  jax.tree.map(np.testing.assert_array_equal, predictor.variables, expected)
  assert weights.load_weights('ours.safetensors')[1]['task'] == 'monocular'  # As runs of that task.
  refuse('convert midas-v21 theirs.safetensors -o b.safetensors', 'theirs.safetensors: no tensor')
  refuse('convert midas-v22 theirs.safetensors -o b.safetensors', "'midas-v22' is not one of")
