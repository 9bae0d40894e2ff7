"""A disparity map and a photo for the tests of readers and writers."""

import cv2
import numpy as np
import pytest


def _smooth_noise(*shape):
  noise = cv2.GaussianBlur(np.random.default_rng(0).random(shape), (0, 0), 3)
  low, high = noise.min(axis=(0, 1)), noise.max(axis=(0, 1))
  return ((noise - low) / (high - low)).astype(np.float32)


@pytest.fixture
def disparity():
  """Smooth float32 [24 36] with the range [0, 1]."""
  return _smooth_noise(24, 36)


@pytest.fixture
def photo():
  """Smooth float32 [24 36 3] with the range [0, 1], saturated: partly outside sRGB if it is P3."""
  return _smooth_noise(24, 36, 3)
