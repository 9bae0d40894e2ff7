"""`depthjax convert sddr` and `mit`: into weights that are read here, and back."""

import builtins
import sys

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest
import safetensors.numpy

from depthjax import cli
from depthjax.convert import checkpoints, mit, naming, sddr
from depthjax.files import weights
from depthjax.models.refinement.fusenet import FuseNet
from depthjax.models.refinement.refiners import described
from depthjax.train import initialise
from depthjax.train.step import TrainState
from tests import messages


def _run(monkeypatch, line):
  monkeypatch.setattr(sys, 'argv', ['depthjax', *line.split()])
  with pytest.raises(SystemExit) as caught:
    cli.main()
  return caught.value.code or 0


def _released():
  """A state dict of the released shapes, every array of a value of its own."""
  variables = {}
  for value, (path, x) in enumerate(naming.leaves(described(sddr.CONFIG)[1])):
    naming.put(variables, path, np.full(x.shape, value, np.float32))
  return sddr.to_state_dict(variables)


@pytest.fixture(name='folder')
def fixture_folder(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  tensors = _released()
  safetensors.numpy.save_file(tensors, 'model.safetensors')
  tensors.pop('grad.bias')
  safetensors.numpy.save_file(tensors, 'short.safetensors')
  other = {'params': {'conv': np.ones(2)}}
  weights.save_weights('other.safetensors', other, {'task': 'deeplens_depth'})
  weights.save_weights('strange.safetensors', other, {'task': 'sddr', 'config': sddr.CONFIG})
  return tmp_path


def test_released_weights_are_read_here_and_written_back_the_same(folder, monkeypatch, capsys):
  assert _run(monkeypatch, 'convert sddr model.safetensors -o ours.safetensors') == 0
  assert capsys.readouterr().out == 'ours.safetensors: the refinement network\n'
  (model, *trained), variables = weights.load_network('ours.safetensors', 'sddr', described)
  assert model == FuseNet() and trained == [2048, 1]
  assert len(list(naming.leaves(variables))) == 383
  assert _run(monkeypatch, 'convert sddr ours.safetensors -o back.safetensors') == 0
  back, tensors = checkpoints.read(folder / 'back.safetensors'), _released()
  assert back.keys() == tensors.keys()
  for name, x in tensors.items():
    np.testing.assert_array_equal(back[name], x)


def test_a_folder_of_a_run_is_written_for_pytorch(folder, monkeypatch):
  torch = pytest.importorskip('torch', reason="torch is in the extra 'parity'")
  (folder / 'run').mkdir()
  assert _run(monkeypatch, 'convert sddr model.safetensors -o run') == 0
  assert _run(monkeypatch, 'convert sddr run -o back.pt') == 0
  stored = torch.load('back.pt', weights_only=True)
  assert stored.keys() == {'net'} and len(stored['net']) == 528
  for name, x in _released().items():
    np.testing.assert_array_equal(stored['net'][name], x)
  # What has two names is stored once: 10.3 M numbers, not 16.8 M.
  assert (folder / 'back.pt').stat().st_size < 4.2 * 10_302_483
  assert _run(monkeypatch, 'convert sddr back.pt -o again.safetensors') == 0
  assert (folder / 'again.safetensors').read_bytes() == (
    folder / 'run' / weights.FILE_NAME
  ).read_bytes()


_BAD = {
  'missing tensor': (
    'short.safetensors -o a.safetensors',
    "short.safetensors: has no 'grad.bias'; expected the 528 tensors",
  ),
  'of another task': (
    'other.safetensors -o a.pt',
    "other.safetensors: holds task 'deeplens_depth'",
  ),
  'not what it says': ('strange.safetensors -o a.pt', 'strange.safetensors: other arrays than'),
  'into a kind that is read only': ('model.safetensors -o a.pt', "a.pt: ends in '.pt'; expected"),
  'back into a folder': ('other.safetensors -o .', '.: is a folder; expected .pt'),
  'back into another kind': ('other.safetensors -o a.npz', "a.npz: ends in '.npz'; expected .pt"),
  'no file': ('no.safetensors -o a.safetensors', 'no.safetensors: does not exist'),
}


@pytest.mark.parametrize('case', _BAD)
def test_bad_input_is_one_line_and_no_output(folder, monkeypatch, capsys, case):
  if case not in ('back into a folder', 'into a kind that is read only'):
    monkeypatch.setitem(sys.modules, 'torch', sys)  # There as far as anyone looks.
  line, words = _BAD[case]
  before = sorted(folder.rglob('*'))
  assert _run(monkeypatch, f'convert sddr {line}') == 2
  messages.assert_one_line(capsys.readouterr().err, words)
  assert sorted(folder.rglob('*')) == before


def test_without_torch_the_extra_is_named(folder, monkeypatch, capsys):
  real = builtins.__import__

  def without(name, *arguments, **fields):
    if name == 'torch':
      raise ImportError(name)
    return real(name, *arguments, **fields)

  monkeypatch.setattr(builtins, '__import__', without)
  before = sorted(folder.rglob('*'))
  assert _run(monkeypatch, 'convert sddr strange.safetensors -o a.pt') == 2
  words = "a.pt: torch is not installed; expected .safetensors 'depthjax[parity]'"
  messages.assert_one_line(capsys.readouterr().err, words)
  assert sorted(folder.rglob('*')) == before


def test_a_run_starts_from_an_imagenet_backbone_but_its_first_convolution(
  folder, monkeypatch, capsys
):
  """By the rules that the converter's own text tells."""
  tensors = {}
  for value, (path, x) in enumerate(naming.leaves(mit._shapes('b0'))):
    name = naming.theirs(path, mit.RULES)
    tensors[name] = naming.to_theirs(np.full(x.shape, value, np.float32))
  safetensors.numpy.save_file({**tensors, 'head.bias': np.zeros(3)}, 'b0.safetensors')
  assert _run(monkeypatch, 'convert mit b0.safetensors -o mit.safetensors') == 0
  assert capsys.readouterr().out == 'mit.safetensors: the backbone, MiT-B0; left out: head\n'
  assert weights.load_weights('mit.safetensors')[1] == {'task': 'mit', 'size': 'b0'}
  rules = (('/patch_embed1/proj/', 'fresh'), ('/backbone/', 'load'), ('.*', 'fresh'))
  assert str(rules) in mit.__doc__.replace('\n', ' ')
  shapes = described(sddr.CONFIG)[1]['params']
  params = jax.tree.map(lambda x: jnp.full(x.shape, -1.0), shapes)
  state = TrainState(
    step=jnp.int32(0),
    params=params,
    model_state={},
    ema={'params': jax.tree.map(jnp.copy, params)},
    opt=(),
    key=jnp.zeros(2, jnp.uint32),
    finite=jnp.bool_(True),
  )
  config = ml_collections.ConfigDict({'weights': 'mit.safetensors', 'rules': rules})
  params = initialise.from_weights(state, config).params
  backbone = params.pop('backbone')
  first = backbone['patch_embed1'].pop('proj')
  assert {float(x.min()) for x in jax.tree.leaves((params, first))} == {-1.0}
  loaded = [float(x.min()) for x in jax.tree.leaves(backbone)]
  assert min(loaded) >= 0 and len(set(loaded)) == len(loaded) == 174
