"""A map that the readers and writers of depth are tried with."""

import cv2
import numpy as np
import pytest


@pytest.fixture
def disparity():
  """Smooth float32 [24 36], from exactly 0 to exactly 1."""
  noise = cv2.GaussianBlur(np.random.default_rng(0).random((24, 36)), (0, 0), 3)
  return ((noise - noise.min()) / (noise.max() - noise.min())).astype(np.float32)
