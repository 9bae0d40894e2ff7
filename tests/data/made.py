"""Test inputs: image files, constant images and a true disparity."""

import numpy as np
from PIL import Image


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
