"""Errors of depth on transparent and mirror surfaces (ToM): [b h w 1] in, `Weighted` [b] out.

Those of the Booster benchmark, by class of surface: all, transparent or mirror, other. Weight 0: an
image without a valid pixel of the class. NaN in a valid pixel of the prediction makes the value
NaN. The mean over images is the caller's.

Source: Costanzino et al., "Learning depth estimation for transparent and mirror surfaces" (ICCV
2023).
"""

import jax.numpy as jnp

from depthjax.metrics import depth as metrics
from depthjax.metrics import image
from depthjax.ops import alignment

CLASSES = ('all', 'tom', 'other')
_RATIOS = (1.25, 1.20, 1.15, 1.10, 1.05)
METRICS = (*(f'delta_{ratio:.2f}' for ratio in _RATIOS), 'mae', 'absrel', 'rmse')


def scores(prediction, disparity, valid, tom, *, focal_baseline=1.0, least=1.0, most=10_000.0):
  """Errors [b] of a predicted disparity, as `by_class` names them.

  One scale and shift of least squares in disparity, over all valid pixels, ToM included, align the
  prediction; they are not fitted again for a class. The protocol normalises the prediction to
  [0, 1] first, which does not change the result. Aligned disparity of 0 and depth beyond `most`
  become `most`; depth below `least` and negative depth become `least`.

  Args:
    prediction: disparity of any scale and shift [b h w 1].
    disparity: truth of any unit. Where it is not above 0, or its depth is outside `least` to
      `most`, it is not valid.
    valid: mask of valid pixels; others may hold any value.
    tom: mask, 1 on transparent and mirror surfaces.
    focal_baseline: depth x disparity, a number or [b 1 1 1]: focal length times baseline in px mm
      for disparity in px, 1000 for 1/m. It sets the unit of depth, that of the next two too: mm.
    least, most: bounds of depth.
  """
  kept = valid > 0
  truth = focal_baseline / jnp.where(kept, disparity, 1)
  kept &= (truth >= least) & (truth <= most)
  fitted = alignment.align(prediction, disparity, kept * 1.0)
  depth = jnp.clip(focal_baseline / jnp.where(fitted == 0, 1, fitted), least, most)
  return by_class(jnp.where(fitted == 0, most, depth), truth, kept, tom)


def by_class(depth, truth, valid, tom):
  """`errors` of the valid pixels of each class as '{error}_{class}', such as 'mae_tom'.

  All are [b h w 1]; the classes are 'all', 'tom' (1 in the mask `tom`) and 'other'.
  """
  masks = valid > 0, (valid > 0) & (tom > 0), (valid > 0) & ~(tom > 0)
  return {
    f'{name}_{kind}': error
    for kind, mask in zip(CLASSES, masks, strict=True)
    for name, error in errors(depth, truth, mask).items()
  }


def errors(depth, truth, valid):
  """Errors [b] of depth [b h w 1] over valid pixels, where both are above 0.

  'delta_1.25', ..., 'delta_1.05': percent of pixels whose ratio to the truth, or its inverse, is
  below this; 'absrel': mean of |error| / truth; 'mae' and 'rmse' in the unit of the truth.
  """
  kept = valid > 0
  d, g = (jnp.where(kept, x, 1) for x in (depth, truth))
  weight, error, ratio = kept * 1.0, jnp.abs(d - g), jnp.maximum(d / g, g / d)
  nan = jnp.where(jnp.isnan(d), jnp.nan, 0)  # Comparisons hide NaN.
  found = [image.mean((ratio < limit) * 100.0 + nan, weight) for limit in _RATIOS]
  found += [image.mean(error, weight), image.mean(error / g, weight), metrics.rmse(d, g, kept)]
  return dict(zip(METRICS, found, strict=True))
