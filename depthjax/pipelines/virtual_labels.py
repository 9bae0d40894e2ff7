"""Virtual depth labels of photographs with glass and mirrors, which are painted before predicting.

Source: Costanzino et al., Learning Depth Estimation for Transparent and Mirror Surfaces, ICCV 2023.
"""

from collections.abc import Collection

import cv2
import numpy as np

from depthjax.files import depth as files
from depthjax.models.predictors import predictor as predictors
from depthjax.models.predictors.predictor import Predictor
from depthjax.ops import painting
from depthjax.pipelines import depth


def regions(
  mask: np.ndarray, *, ids: Collection[int] = (), instances: bool = False, dilate: int = 0
) -> np.ndarray:
  """Numbers the regions of a mask of ids [h w] that have a colour of their own.

  Args:
    ids: those that are painted; default: all above 0.
    instances: whether each connected part of each id is a region; else all are one.
    dilate: radius in pixels by which regions grow.

  Returns:
    int32 [h w], 0 where nothing is painted, elsewhere 1, 2, ...
  """
  painted = np.isin(mask, list(ids)) if ids else mask > 0
  result, count = painted.astype(np.int32), 0
  for value in np.unique(mask[painted]) if instances else ():
    found, parts = cv2.connectedComponents((painted & (mask == value)).astype(np.uint8))
    result = np.where(parts > 0, parts + count, result)
    count += found - 1
  if dilate:
    outside = (~painted).astype(np.uint8)
    distance = cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    result = np.where(distance <= dilate, files.fill(result, painted), 0)
  return result


def label(
  photo: np.ndarray, regions: np.ndarray, colours: np.ndarray, predictor: Predictor
) -> np.ndarray:
  """The median of the predictions of a painted photograph; all passes are one batch.

  It is painted at its own size, then resized as in pipelines.depth. Without regions it is predicted
  once, as it is.

  Args:
    photo: sRGB in [0, 1], [h w 3].
    regions: int [h w]; the region i > 0 has the colour i - 1.
    colours: sRGB in [0, 1], [n k 3], of n passes and k regions.
    predictor: a predictor with its variables.

  Returns:
    Its output with near large, see predictor.near_large, at its input size: float32 [h' w' 1].

  Raises ValueError: the prediction has NaN or infinite values.
  """
  inside, passes = regions > 0, []
  for colour in colours if inside.any() else colours[:1]:
    painted = np.array(photo)
    painted[inside] = colour[regions[inside] - 1]
    passes.append(depth.resized(painted, predictor))
  found = predictors.near_large(predictor, depth.outputs(np.stack(passes), predictor))
  return np.asarray(painting.median(found[None])[0])
