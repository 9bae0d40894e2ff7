"""`depthjax depth`: the pipeline's disparity in a file, and one line for what cannot work."""

import functools
import pathlib
import sys

import jax
import numpy as np
import pytest

from depthjax import cli
from depthjax.commands.work import depth as command
from depthjax.files import depth as depth_files
from depthjax.files import images, weights
from depthjax.models.deeplens import depthnet
from depthjax.models.deeplens.depthnet import DepthNet
from depthjax.pipelines import depth
from tests import messages, tiny

_H, _W = 37, 61


@functools.cache
def _variables():
  model = DepthNet(preset='paper', width=2)
  return jax.device_get(jax.jit(functools.partial(depthnet.initial, model))())


def _save(path, task='depth'):
  metadata = {'task': task, 'step': 0, 'config': tiny.depth_config().to_dict()}
  return weights.save_weights(path, _variables(), metadata)


@pytest.fixture
def folder(tmp_path, monkeypatch):
  """The working folder: photo.png, a run's weights in run/, and files that are not right."""
  monkeypatch.chdir(tmp_path)
  photo = np.random.default_rng(0).random((_H, _W, 3), np.float32)
  images.write_image('photo.png', photo, bits=16)
  for name in ('run', 'empty'):
    pathlib.Path(name).mkdir()
  _save('run')
  _save('other.safetensors', task='lensblur')
  pathlib.Path('cut.png').write_bytes(pathlib.Path('photo.png').read_bytes()[:-900])
  return tmp_path


def _run(monkeypatch, line):
  monkeypatch.setattr(sys, 'argv', ['depthjax', *line.split()])
  with pytest.raises(SystemExit) as caught:
    cli.main()
  return caught.value.code or 0


@pytest.mark.parametrize('name, tolerance', [('out.png', 1e-5), ('out.npy', 0), ('out.pfm', 0)])
def test_disparity_is_written_at_the_size_of_the_photograph(
  folder, monkeypatch, capsys, name, tolerance
):
  assert _run(monkeypatch, f'depth photo.png -o {name} --weights=run') == 0
  assert capsys.readouterr().out == (
    f'{name}: disparity, near is large; the network saw 32 x 16 pixels\n'
  )
  written = depth_files.read_raw(name)
  expected = depth.predict(images.read_image('photo.png'), depth.load('run'))
  assert written.shape == (_H, _W)
  np.testing.assert_allclose(
    written, expected[..., 0] * _scale(name), atol=tolerance * _scale(name)
  )


def _scale(name):
  return 65535 if name.endswith('.png') else 1


_BAD = {
  'missing photo': ('no.png -o out.png --weights=run', 'no.png: does not exist; expected'),
  'truncated photo': ('cut.png -o out.png --weights=run', 'cut.png: is truncated; complete'),
  'no weights': ('photo.png -o out.png', "Missing option '--weights'"),
  'folder without weights': (
    'photo.png -o out.png --weights=empty',
    'empty: is a folder without; expected a',
  ),
  'weights of another task': (
    'photo.png -o out.png --weights=other.safetensors',
    "other.safetensors: weights of the task 'lensblur'; expected 'depth'",
  ),
  'lossy output': ('photo.png -o out.jpg --weights=run', "out.jpg: ends in '.jpg'; expected .png"),
  'output folder missing': (
    'photo.png -o no/out.png --weights=run',
    'no/out.png: there is no folder no; expected an existing folder',
  ),
}


def _not_to_be_called(*args, **kwargs):
  raise AssertionError('predicted what could not be written')


@pytest.mark.parametrize('case', _BAD)
def test_bad_input_is_one_line_and_no_output(folder, monkeypatch, capsys, case):
  line, words = _BAD[case]
  monkeypatch.setattr(command.depth_lib, 'predict', _not_to_be_called)
  before = sorted(folder.rglob('*'))
  assert _run(monkeypatch, f'depth {line}') == 2
  messages.assert_one_line(capsys.readouterr().err, words)
  assert sorted(folder.rglob('*')) == before
