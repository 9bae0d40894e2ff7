"""Resolution at which a depth predictor processes each window of a picture.

A higher resolution gives sharper depth edges but less consistent depth, so windows with many edges
get a higher one.
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from depthjax.files import depth
from depthjax.windows import Window

# Resolutions are multiples of _STEP and at most LARGEST, which fits the memory of most machines.
_STEP = 32
LARGEST = 2048
# Percentile of the gradient above which pixels count as edges.
_EDGES = 94
_FACTORS = (0.8, 1.0, 1.2)

# A depth predictor N_d: (sRGB in [0, 1] [h w 3], input size of its long side in px) -> disparity of
# any range and size [h' w' 1].
Predict = Callable[[np.ndarray, int], np.ndarray]


def predict(predictor: Predict, picture: np.ndarray, resolution: int) -> np.ndarray:
  """Calls a predictor and normalises its result to [0, 1], zeros if constant: float32 [h' w' 1].

  Raises:
    ValueError: the result is not a map [h' w' 1] of finite values.
  """
  result = np.asarray(predictor(picture, resolution))
  if result.ndim != 3 or result.shape[-1] != 1 or not result.size:
    raise ValueError(f'the predictor returned shape {list(result.shape)}; it must be [h w 1]')
  if not np.isfinite(result).all():
    raise ValueError('the predictor returned NaN or infinite values; all must be finite')
  return depth.to_unit_range(result)


def slope(disparity: np.ndarray) -> np.ndarray:
  """Gradient magnitude |dx| + |dy| of Sobel filters: [h w 1] -> float32 [h w].

  As ops.gradients.magnitude, but in OpenCV, which does not compile for each size.
  """
  fields = {'scale': 1 / 8, 'borderType': cv2.BORDER_REPLICATE}
  dx, dy = (cv2.Sobel(disparity[..., 0], cv2.CV_32F, *d, **fields) for d in ((1, 0), (0, 1)))
  return np.abs(dx) + np.abs(dy)


def edge_factors(disparity: np.ndarray, found: Sequence[Window]) -> list[float]:
  """Factor for each window by its fraction of edge pixels: 0.8, 1 or 1.2.

  0.8 up to the fraction of the whole picture, 1.2 above the (upper) median of the windows that
  exceed it, else 1. The 6 % of pixels with the largest gradient are edges. `disparity` [h w 1] is
  that of the picture, `found` are the windows of a level.
  """
  steep = slope(disparity)
  edges = steep > np.percentile(steep, _EDGES)
  mean = edges.mean()
  fractions = [edges[window.slices].mean() for window in found]
  above = sorted(x for x in fractions if x > mean)
  many = above[len(above) // 2] if above else np.inf
  return [_FACTORS[int(x > mean) + int(x > many)] for x in fractions]


def by_edges(disparity: np.ndarray, found: Sequence[Window], predictor_size: int) -> list[int]:
  """Resolutions of windows by their edges, as in the authors' program.

  About the mean of the window's size times its edge factor and `predictor_size`, the size in pixels
  that the predictor was trained at. Other arguments as in `edge_factors`.
  """
  factors = edge_factors(disparity, found)
  sizes = [max(window.height, window.width) for window in found]
  wanted = [(n * factor + predictor_size) / 2 for n, factor in zip(sizes, factors, strict=True)]
  return [min(int(size / _STEP + 1) * _STEP, LARGEST) for size in wanted]
