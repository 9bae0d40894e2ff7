"""How finely a depth predictor is asked to look at each window of a picture.

Where there are many edges of depth a finer prediction pays; where there are few, it errs.
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from depthjax.ops import resize
from depthjax.pipelines import maps
from depthjax.windows import Window

# Resolutions are multiples of it, and no finer than what fits the memory of most machines.
_STEP = 32
FINEST = 2048
# Pixels with a stronger slope than this share of all pixels are edges.
_EDGES = 94
_FACTORS = (0.8, 1.0, 1.2)


# A depth predictor N_d: (sRGB in [0, 1] [h w 3], resolution) -> disparity of any range and size
# [h' w' 1]. The resolution is that of the long side, in pixels, at which it sees the picture.
Predict = Callable[[np.ndarray, int], np.ndarray]


def predict(predictor: Predict, picture: np.ndarray, resolution: int) -> np.ndarray:
  """What a predictor says, in [0, 1], zeros if it sees no relief: float32 [h' w' 1].

  Raises:
    ValueError: it is no map [h' w' 1] of finite values.
  """
  result = np.asarray(predictor(picture, resolution))
  if result.ndim != 3 or result.shape[-1] != 1 or not result.size:
    raise ValueError(f'the predictor gave the shape {list(result.shape)}; it must give [h w 1]')
  if not np.isfinite(result).all():
    raise ValueError('the predictor gave NaN or infinite values')
  return maps.relief(result)


def slope(disparity: np.ndarray) -> np.ndarray:
  """ops.gradients.magnitude on the host, of any size uncompiled: [h w 1] -> float32 [h w]."""
  fields = {'scale': 1 / 8, 'borderType': cv2.BORDER_REPLICATE}
  dx, dy = (cv2.Sobel(disparity[..., 0], cv2.CV_32F, *d, **fields) for d in ((1, 0), (0, 1)))
  return np.abs(dx) + np.abs(dy)


def edge_factors(disparity: np.ndarray, found: Sequence[Window]) -> list[float]:
  """1.2 for windows with many edges, 1 with more than the picture's share of them, else 0.8.

  Many are more than the (upper) median of the windows that have more than the picture's share. The
  6 % steepest pixels are edges.

  Args:
    disparity: of the whole picture [h w 1].
    found: the windows of a level.
  """
  steep = slope(disparity)
  edges = steep > np.percentile(steep, _EDGES)
  mean = edges.mean()
  shares = [edges[window.slices].mean() for window in found]
  above = sorted(share for share in shares if share > mean)
  many = above[len(above) // 2] if above else np.inf
  return [_FACTORS[int(share > mean) + int(share > many)] for share in shares]


def by_edges(
  disparity: np.ndarray, found: Sequence[Window], side: int, finest: int = FINEST
) -> list[int]:
  """Resolutions of windows by their edges, as in the authors' program.

  About the mean of the predictor's own and of the window's, times its factor.

  Args:
    disparity, found: as in `edge_factors`.
    side: resolution that the predictor was trained at.
    finest: no resolution is larger.
  """
  factors = edge_factors(disparity, found)
  sizes = [max(window.height, window.width) for window in found]
  wanted = [(size * factor + side) / 2 for size, factor in zip(sizes, factors, strict=True)]
  return [min(int(size / _STEP + 1) * _STEP, finest) for size in wanted]


def by_gradients(
  photo: np.ndarray,
  predictor: Predict,
  disparity: np.ndarray,
  found: Sequence[Window],
  side: int,
  alpha: float,
  finest: int = FINEST,
  done: Callable[[], None] = lambda: None,
) -> list[int]:
  """Resolutions of windows by how steep depth is in them: Eq. 11 of the paper.

  The mean of the predictor's resolution and the window's, times the steepness of what the predictor
  says of the window over `alpha`, times the share that the window has in the steepness of the
  disparity so far. Never below what the predictor was trained at.

  Args:
    photo: sRGB [h w 3].
    predictor: it is asked once more for each window, at the resolution `side`.
    disparity: of the whole picture [h w 1].
    found: the windows of a level.
    side: resolution that the predictor was trained at.
    alpha: mean `steepness` of the truths that the predictor was trained on, or what stands for it.
    finest: no resolution is larger.
    done: called after each prediction.
  """
  steep = slope(disparity)
  whole = float(steep.mean()) or 1.0
  result = []
  for window in found:
    seen = steepness(predict(predictor, photo[window.slices], side), side)
    done()
    mean = (side + max(window.height, window.width)) / 2
    share = float(steep[window.slices].mean()) / whole
    wanted = round(mean * seen / alpha * share / _STEP) * _STEP
    result.append(int(min(max(wanted, side), finest)))
  return result


def steepness(disparity: np.ndarray, side: int) -> float:
  """Mean slope of a map [h w 1] brought to [0, 1] and to a long side; 0 for a constant one."""
  small = maps.resized(disparity, resize.frame(disparity.shape[:2], side, 1))
  return float(slope(maps.relief(small)).mean())
