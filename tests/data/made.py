"""Pictures that tests of sources and of reading write."""

import numpy as np
from PIL import Image


def write(path, image):
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.fromarray(np.asarray(image, np.uint8)).save(path)
  return path


def flat(value, h=12, w=16, c=3):
  return np.full((h, w, c) if c else (h, w), value, np.uint8)
