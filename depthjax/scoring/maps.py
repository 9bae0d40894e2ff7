"""All scores of a refined map against ground truth: the row of a table."""

import numpy as np

from depthjax.metrics import aligned, boundary, ordinal

# Better where it is larger; all others where they are smaller.
RISING = ('delta1', 'delta2', 'delta3', 'recall', 'f1')


class Truth:
  """The true disparity of a picture, and what scores need of it whatever is predicted.

  Attributes:
    disparity: above 0 where valid [h w], of any unit.
    valid: bool [h w].
    guide: sRGB [h w 3] in [0, 1] whose edges ORD looks at; None takes those of the truth.
    seed: of the pairs that ORD draws.
  """

  def __init__(
    self,
    disparity: np.ndarray,
    valid: np.ndarray,
    guide: np.ndarray | None = None,
    *,
    seed: int = 0,
  ):
    self.disparity, self.valid, self.guide, self.seed = disparity, valid, guide, seed
    self.depth = 1 / np.where(valid, disparity, 1.0).astype(np.float64)
    self.points = ordinal.superpixels(disparity, valid)

  def scores(self, prediction: np.ndarray) -> dict[str, float]:
    """Of a disparity [h w] of any range and offset.

    Returns:
      What aligned.errors gives of depth in the unit of 1 / disparity; 'rmse_disparity', of
      disparity, aligned; 'clipped', the share without a depth; 'ord', the ranking of SDDR, and
      'ord_superpixel', of Boost; 'd3r'; 'recall' and 'f1', of boundaries.

    Raises:
      ValueError: as the metrics raise it.
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
