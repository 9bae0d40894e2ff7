"""A photograph and its depth, and command lines on them, for tests of `depthjax refocus`."""

import functools
import pathlib
import sys

import jax
import numpy as np
import pytest

from depthjax import cli
from depthjax.files import depth as depth_files
from depthjax.files import images, weights
from depthjax.models.deeplens.lensblur import LensBlur
from depthjax.pipelines.refocus import learned as learned_lib
from tests import tiny

H, W = 36, 52


def write():
  """Into the working folder: photo.png, depth.png, and others with what is wrong with them."""
  images.write_image('photo.png', photo(), bits=16)
  depth_files.write_depth('depth.png', depth())
  pathlib.Path('cut.png').write_bytes(pathlib.Path('photo.png').read_bytes()[:-900])
  depth_files.write_depth('square.png', depth()[:, :H])
  depth_files.write_depth('flat.png', np.full((H, W), 0.5))
  np.save('nan.npy', np.full((H, W), np.nan))


def photo():
  """Noise, float32 [h w 3]."""
  return np.random.default_rng(0).random((H, W, 3), np.float32)


def depth():
  """Disparity: the left half far, the right half near, the farthest and nearest in corners."""
  result = np.full((H, W), 0.2, np.float32)
  result[:, W // 2 :] = 0.7
  result[0, 0], result[-1, -1] = 0, 1
  return result


@functools.cache
def _variables():
  widths = (6, 6, 3, 3)
  model = LensBlur(width=4, upsampler_width=4, features=widths, upsampler_features=widths)
  return jax.device_get(jax.jit(functools.partial(learned_lib.initial, model))())


def save_weights(folder, task='lensblur'):
  """Untrained weights of a tiny network, as a run writes them."""
  metadata = {'task': task, 'step': 0, 'config': tiny.lensblur_config().to_dict()}
  return weights.save_weights(folder, _variables(), metadata)


def run(monkeypatch, line, method='classical'):
  """Exit code of a command line; words have no spaces here.

  The classical renderer, which compiles at once, where the line does not name another.
  """
  if method and line.startswith('refocus ') and '--method' not in line and '--weights' not in line:
    line += f' --method={method}'
  monkeypatch.setattr(sys, 'argv', ['depthjax', *line.split()])
  with pytest.raises(SystemExit) as caught:
    cli.main()
  return caught.value.code or 0
