"""`depthjax convert`: from a published file to a run that starts from it."""

import functools
import pathlib
import sys

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest
import safetensors.numpy

from configs import deeplens_depth as depth_config
from depthjax import cli
from depthjax.commands.work import convert as command
from depthjax.convert import resnet50
from depthjax.files import weights
from depthjax.models.deeplens.depthnet import DepthNet
from depthjax.train import initialise
from depthjax.train.step import TrainState
from tests import messages


def _published():
  """A state dict of torchvision of the right shapes, every tensor of a value of its own."""
  tensors, value = {}, 0.0
  for conv, norm, _, shape in resnet50.layers():
    names = {f'{conv}.weight': shape}
    names |= {f'{norm}.{key}': shape[:1] for key in resnet50._NORM}
    for name, size in names.items():
      value += 1.0
      tensors[name] = np.full(size, value, np.float32)
    tensors[f'{norm}.num_batches_tracked'] = np.array(3)
  rest = {'layer4.0.bn1.weight': np.ones(512), 'fc.weight': np.ones((10, 2048))}
  return {**tensors, **{name: x.astype(np.float32) for name, x in rest.items()}}


@pytest.fixture
def folder(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  tensors = _published()
  safetensors.numpy.save_file(tensors, 'resnet.safetensors')
  short = {name: x for name, x in tensors.items() if name != 'layer3.5.conv3.weight'}
  safetensors.numpy.save_file(short, 'short.safetensors')
  safetensors.numpy.save_file({**tensors, 'bn1.bias': np.ones(32)}, 'shape.safetensors')
  data = pathlib.Path('resnet.safetensors').read_bytes()
  pathlib.Path('cut.safetensors').write_bytes(data[: len(data) // 2])
  pathlib.Path('folder').mkdir()
  return tmp_path


def _run(monkeypatch, line):
  monkeypatch.setattr(sys, 'argv', ['depthjax', *line.split()])
  with pytest.raises(SystemExit) as caught:
    cli.main()
  return caught.value.code or 0


@pytest.mark.parametrize('output', ['encoder.safetensors', 'folder'])
def test_a_run_starts_from_the_encoder_and_the_rest_stays_fresh(
  folder, monkeypatch, capsys, output
):
  """By the rules that the config's own text tells."""
  assert _run(monkeypatch, f'convert resnet50 resnet.safetensors -o {output}') == 0
  assert capsys.readouterr().out.endswith(': the encoder; left out: fc, layer4\n')
  model = DepthNet(preset='paper')
  init = functools.partial(model.init, train=False)
  shapes = jax.eval_shape(init, jax.random.key(0), jnp.zeros((1, 8, 8, 3)))
  fresh = jax.tree.map(lambda x: jnp.full(x.shape, -1.0), dict(shapes))
  average = jax.tree.map(jnp.copy, fresh)
  params = fresh.pop('params')
  state = TrainState(
    step=jnp.int32(0),
    params=params,
    model_state=fresh,
    ema=average,
    opt=(),
    key=jnp.zeros(2, jnp.uint32),
    finite=jnp.bool_(True),
  )
  rules = (('/encoder/', 'load'), ('.*', 'fresh'))
  assert str(rules) in depth_config.__doc__
  config = ml_collections.ConfigDict({'weights': output, 'rules': rules})
  state = initialise.from_weights(state, config)
  for tree in (state.params, state.ema['params'], state.model_state['batch_stats']):
    loaded = {float(np.unique(x).item()) for x in jax.tree.leaves(tree['encoder'])}
    kept = {float(np.unique(x).item()) for x in jax.tree.leaves(tree['decoder'])}
    assert min(loaded) >= 0 and len(loaded) > 80 and kept == {-1.0}
  # By their order in the file: conv1's own, and what its norm has seen.
  encoder, seen = state.params['encoder']['conv1'], state.model_state['batch_stats']['encoder']
  assert np.all(np.asarray(encoder['conv']['kernel']) == 1)
  assert np.all(np.asarray(seen['conv1']['bn']['var']) == 5)
  assert weights.load_weights(output)[1] == {'task': 'resnet50'}


_BAD = {
  'missing': ('resnet50 no.safetensors -o a.safetensors', 'no.safetensors: does not exist'),
  'truncated': ('resnet50 cut.safetensors -o a.safetensors', 'cut.safetensors: is truncated'),
  'missing tensor': (
    'resnet50 short.safetensors -o a.safetensors',
    "short.safetensors: has no tensor 'layer3.5.conv3.weight'; expected ResNet-50",
  ),
  'another shape': (
    'resnet50 shape.safetensors -o a.safetensors',
    "shape.safetensors: has 'bn1.bias' as [32]; expected [64]",
  ),
  'another kind of file': ('resnet50 folder -o a.safetensors', 'folder: is a folder; expected'),
  'output of another kind': ('resnet50 resnet.safetensors -o a.pth', "a.pth: ends in '.pth'"),
  'output nowhere': ('resnet50 resnet.safetensors -o no/a.safetensors', 'no folder no; expected'),
  'another network': ('vgg16 resnet.safetensors -o a.safetensors', "'vgg16' 'resnet50'"),
}


def _not_to_be_called(*args, **kwargs):
  raise AssertionError('read what could not be written')


@pytest.mark.parametrize('case', _BAD)
def test_bad_input_is_one_line_and_no_output(folder, monkeypatch, capsys, case):
  line, words = _BAD[case]
  if case.startswith('output'):
    monkeypatch.setattr(command.checkpoints, 'read', _not_to_be_called)
  before = sorted(folder.rglob('*'))
  assert _run(monkeypatch, f'convert {line}') == 2
  messages.assert_one_line(capsys.readouterr().err, words)
  assert sorted(folder.rglob('*')) == before
