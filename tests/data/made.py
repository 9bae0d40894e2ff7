"""Small images, disparities and scenes for the tests of data."""

import itertools

import numpy as np
from PIL import Image

from depthjax.data.scenes import draw
from depthjax.data.scenes.config import SceneConfig
from depthjax.data.sources import holdout


def write(path, image):
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.fromarray(np.asarray(image, np.uint8)).save(path)
  return path


def flat(value, h=12, w=16, c=3):
  return np.full((h, w, c) if c else (h, w), value, np.uint8)


def truth(side=96):
  """True disparity, float32 [side side]: a disc in front of bars in front of a tilted wall."""
  y, x = (np.mgrid[:side, :side] + 0.5) / side
  disparity = 0.2 * x
  disparity[(x * 4 % 1 < 0.35) & (y > 0.5)] = 0.5
  disparity[(x - 0.4) ** 2 + (y - 0.35) ** 2 < 0.06] = 1.0
  return disparity.astype(np.float32)


def stored(folder, count):
  """Writes different predictions: `count` of the split 'test', one of 'val', one of 'train'."""
  left, names = {'test': count, 'val': 1, 'train': 1}, map('scene{}'.format, itertools.count())
  while any(left.values()):
    split = holdout.split_of(name := next(names))
    if left[split]:
      target = truth(32) + 1
      target[left[split] % 32, left[split] // 32 :] += 1
      (folder / name).mkdir(parents=True)
      for kind, scale in {'target': 1, 'low': 0.5, 'high': 2}.items():
        np.save(folder / name / f'{kind}.npy', target**scale)
      left[split] -= 1
  return str(folder)


def assert_same(one, two):
  """The same names, values and dtypes in two records or batches."""
  assert one.keys() == two.keys()
  for name, value in one.items():
    np.testing.assert_array_equal(value, two[name], strict=True)


def scene(seed, images=None, cut_outs=None, **fields):
  """A record of draw.draw_scene; by default 48 x 64 pixels with 6 pixels of padding."""
  config = SceneConfig(**{'height': 48, 'width': 64, 'pad': 6, **fields})
  return draw.draw_scene(np.random.default_rng(seed), config, images, cut_outs)
