"""All metrics of a disparity map against ground truth: one row of a table."""

import numpy as np

from depthjax.metrics import aligned, boundary, ordinal


class Truth:
  """True disparity of a picture, with what the metrics compute from it once."""

  def __init__(
    self,
    disparity: np.ndarray,  # [h w] of any unit, above 0 where valid.
    valid: np.ndarray,  # bool [h w].
    guide: np.ndarray | None = None,  # sRGB [h w 3], whose edges ORD samples; None: the disparity.
    seed: int = 0,  # Of the pairs that ORD draws.
  ):
    self.disparity, self.valid, self.guide, self.seed = disparity, valid, guide, seed
    self.depth = 1 / np.where(valid, disparity, 1.0).astype(np.float64)
    self.points = ordinal.superpixels(disparity, valid)

  def scores(self, prediction: np.ndarray) -> dict[str, float]:
    """Metrics of a predicted disparity [h w] of any scale and offset; ValueErrors as the metrics.

    Returns:
      Those of aligned.errors, for depth in units of 1 / disparity; 'rmse_disparity' of the aligned
      disparity; 'clipped', the fraction of clipped depths; 'ord', the ordinal error of SDDR, and
      'ord_superpixel', that of Boost; 'd3r'; 'recall' and 'f1' of depth boundaries.
    """
    disparity, valid = self.disparity, self.valid
    found = aligned.align(prediction, self.depth, valid)
    scale, shift = aligned.line(prediction[valid], disparity[valid])
    edges = boundary.boundary(found.depth, self.depth, valid)
    residual = (scale * prediction + shift - disparity)[valid]
    return {
      **aligned.errors(found.depth, self.depth, valid),
      'rmse_disparity': float(np.sqrt(np.mean(residual.astype(np.float64) ** 2))),
      'clipped': found.clipped,
      'ord': ordinal.ord_ranking(prediction, disparity, valid, self.guide, seed=self.seed),
      'ord_superpixel': ordinal.ord_superpixel(prediction, disparity, self.points, seed=self.seed),
      'd3r': ordinal.d3r(prediction, disparity, self.points),
      'recall': edges.recall,
      'f1': edges.f1,
    }
