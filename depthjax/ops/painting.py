"""Flat colours painted over glass and mirrors, so that a depth predictor sees opaque objects.

Shapes: b batch, n passes (colours of an example), h w rows and columns, m any number of images.
Source: Costanzino et al., Learning Depth Estimation for Transparent and Mirror Surfaces, ICCV 2023.
"""

import jax.numpy as jnp


def paint(image, tom, colours):
  """Fills the masked pixels of images with each of their colours: sRGB [b n h w 3].

  Args:
    image: sRGB in [0, 1], [b h w 3].
    tom: mask [b h w 1]; pixels above 0 are painted, without blending.
    colours: sRGB in [0, 1], [b n 3].
  """
  return jnp.where(tom[:, None] > 0, colours[:, :, None, None], image[:, None])


def median(outputs):
  """Medians over passes, [b n h w 1] -> [b h w 1]; of an even n the mean of the middle two."""
  # An odd-even transposition sort of few maps; XLA's sort along this axis is slow on CPUs.
  maps = [outputs[:, i] for i in range(outputs.shape[1])]
  for start in range(len(maps)):
    for i in range(start % 2, len(maps) - 1, 2):
      low, high = jnp.minimum(*maps[i : i + 2]), jnp.maximum(*maps[i : i + 2])
      maps[i : i + 2] = low, high
  return 0.5 * maps[(len(maps) - 1) // 2] + 0.5 * maps[len(maps) // 2]


def virtual(predict, image, tom, colours):
  """Virtual labels: the median of predictions of painted images, in one batch: [b h w 1].

  `predict` maps sRGB at the network's input size to disparity, [m h w 3] -> [m h w 1]; the other
  arguments are those of `paint`. The label of an empty mask is the prediction of the image.
  """
  painted = paint(image, tom, colours)
  outputs = predict(painted.reshape(-1, *painted.shape[2:]))
  return median(outputs.reshape(*painted.shape[:2], *outputs.shape[1:]))
