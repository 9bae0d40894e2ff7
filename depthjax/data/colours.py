"""The colours that glass and mirrors are painted with.

Source: Costanzino et al., Learning Depth Estimation for Transparent and Mirror Surfaces, ICCV 2023.
The authors' colours come from one generator: they depend on the order of images.
"""

import hashlib

import numpy as np


def colours(rng: np.random.Generator, count: int) -> np.ndarray:
  """Colours of the passes of one image: sRGB float32 [count 3], uniform in [0, 1); one is grey."""
  return _grey_if_single(rng.random((count, 3), np.float32))


def of_name(seed: int, name: str, passes: int, regions: int = 1) -> np.ndarray:
  """Colours of each region in each pass, as `colours`: float32 [passes regions 3].

  A colour depends on seed, name of the image, pass and region alone, except for the grey.
  """
  words = np.frombuffer(hashlib.sha256(name.encode()).digest(), '<u4')
  generators = (np.random.default_rng([seed, *words, i]) for i in range(passes))
  return _grey_if_single(np.stack([rng.random((regions, 3), np.float32) for rng in generators]))


def _grey_if_single(drawn):
  return drawn if len(drawn) > 1 else np.full_like(drawn, 0.5)
