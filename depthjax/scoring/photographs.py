"""Scores of renderers on pairs of small and wide aperture, and of predicted disparity on RGB-D.

A record is a dict as read by data.records.evaluation. `photo` and `target` are sRGB in [0, 1],
[h w 3]; `disparity` [h w 1] is normalised, 1 the nearest.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from depthjax.files import depth
from depthjax.metrics import depth as depth_metrics
from depthjax.metrics import image as image_metrics
from depthjax.ops import colour, resize
from depthjax.pipelines.refocus import refocus

# Long side, about, of pictures for the lens search and for the detection of disparity steps.
_LONG_SIDE = 320
_FOCUSES = tuple(i / 8 for i in range(9))
_APERTURES = (0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
# Distance to a disparity step over the long side, up to which pixels are near an edge: half the
# blur radius of the widest aperture.
EDGE_BAND = 1 / 40

Scores = dict[str, float]
# (photo, disparity, *, focus, radius) -> picture, as refocus.refocus.
Render = Callable[..., np.ndarray]


class Lens(NamedTuple):
  """Focus and radius as in refocus.refocus, for a normalised disparity."""

  focus: float
  radius: float


def renderers(learned: refocus.Learned | None = None) -> dict[str, Render]:
  """The renderers by name: 'classical', and with a network also 'learned' and 'hybrid'."""
  result = {'classical': refocus.refocus}
  if learned is not None:
    result['learned'] = functools.partial(refocus.refocus, learned=learned)
    result['hybrid'] = functools.partial(refocus.refocus, learned=learned, hybrid=True)
  return result


def score_pair(
  record: Mapping[str, Any],
  renderers: Mapping[str, Render],
  *,
  disparity: np.ndarray | None = None,
  radii: Sequence[float] = (),
) -> dict[str, Scores]:
  """Compares rendered pictures with the picture taken at a wide aperture; exposure is not matched.

  A record with `blur` and `focus` (BLB) defines the lens. Otherwise, or if `disparity` or `radii`
  are given, `find_lens` searches the lens for each renderer, as usual for photographs (EBB!).

  Args:
    record: `image`, `target`; optional `disparity` with `valid`, `blur` and `focus`.
    renderers: by name.
    disparity: a prediction to render with, instead of the record's disparity.
    radii: blur radii in pixels to search.

  Returns:
    By name, 'untouched' (the photograph itself) first: 'psnr' (dB) and 'ssim'; if the record has a
    disparity with edges, 'psnr_edge' and 'ssim_edge' within its `near_edges`; for renderers also
    'focus' and 'radius' of the lens. NaN means that a renderer returned NaN.

  Raises:
    ValueError: no or constant disparity, sizes that differ, fewer than 11 pixels on a side, or a
      blur too large for the photograph.
  """
  photo, target = record['image'], record['target']
  if photo.shape != target.shape:
    raise ValueError(f'photo {photo.shape} and target {target.shape} differ in size')
  raw = _measured(record) if 'disparity' in record else None
  own = None if raw is None else _exact(raw)
  used = own if disparity is None else disparity
  if used is None:
    raise ValueError(f'the record has no disparity; it has {", ".join(record)}')
  band = None if own is None else near_edges(own)
  known = None
  if 'blur' in record and disparity is None and not radii:
    known = lens_of(raw, record['blur'], record['focus'])
  scores = {'untouched': compare(photo, target, band)}
  for name, render in renderers.items():
    lens = known or find_lens(photo, target, used, render, radii=radii)
    picture = render(photo, used, **lens._asdict())
    scores[name] = compare(picture, target, band) | lens._asdict()
  return scores


def score_depth(record: Mapping[str, Any], prediction: np.ndarray) -> dict[str, Scores]:
  """'mae_spline' of a predicted disparity, as 'predicted', and of a 'constant' for comparison.

  The truth, the record's `disparity`, is normalised over its `valid` pixels, and only these count.
  The spline of metrics.depth maps any constant to the mean of the truth. The prediction [h w 1] is
  finite, of any range.

  Raises:
    ValueError: no valid pixel, constant disparity, or sizes that differ.
  """
  truth = _exact(_measured(record))
  if prediction.shape != truth.shape:
    raise ValueError(f'prediction {prediction.shape} and truth {truth.shape} differ in size')
  rest = truth[None], record['valid'][None]
  return {
    name: {'mae_spline': float(_mae_spline(values[None], *rest).value[0])}
    for name, values in (('predicted', prediction), ('constant', np.zeros_like(truth)))
  }


def compare(picture: np.ndarray, target: np.ndarray, band: np.ndarray | None = None) -> Scores:
  """'psnr' (dB) and 'ssim' of sRGB values; with a band [h w 1] also 'psnr_edge', 'ssim_edge'.

  The latter two are of the pixels within the band, and absent if it contains none of them.

  Raises:
    ValueError: fewer than 11 pixels on a side.
  """
  scores = {'': _similarity(picture[None], target[None])}
  if band is not None:
    scores['_edge'] = _similarity(picture[None], target[None], band[None])
  return {
    f'{name}{where}': float(x.value[0])
    for where, found in scores.items()
    for name, x in found.items()
    if x.weight[0]
  }


def near_edges(disparity: np.ndarray) -> np.ndarray:
  """Mask of pixels within EDGE_BAND of the long side from a step of disparity: float32 [h w 1].

  A step is a difference above 0.05 between neighbours of the map subsampled to about 320 pixels, so
  that the mask does not depend on the resolution. Averaging instead would split steps in two.
  """
  (h, w), factor = disparity.shape[:2], _factor(disparity.shape)
  padded = np.pad(disparity, ((0, -h % factor), (0, -w % factor), (0, 0)), 'edge')
  low = padded[factor // 2 :: factor, factor // 2 :: factor]
  radius = max(1, round(EDGE_BAND * max(low.shape)))
  band = np.asarray(_edge_band(low[None], radius=radius)[0])
  return band.repeat(factor, axis=0).repeat(factor, axis=1)[:h, :w]


def lens_of(disparity: np.ndarray, blur: float, focus: float) -> Lens:
  """The lens whose signed blur radius is blur * (disparity - focus) pixels.

  Args:
    disparity: in the units of the scene, NaN where unknown, not constant, [h w].
    blur: pixels per unit of disparity.
    focus: disparity in focus.

  Raises:
    ValueError: the focus is outside the scene.
  """
  low, high = float(np.nanmin(disparity)), float(np.nanmax(disparity))
  at = (focus - low) / (high - low)
  if not -0.05 <= at <= 1.05:
    raise ValueError(f'the focus {focus:g} is outside the scene; it must be in {low:g} to {high:g}')
  return Lens(at, float(blur) * (high - low))


def find_lens(
  photo: np.ndarray,
  target: np.ndarray,
  disparity: np.ndarray,
  render: Render = refocus.refocus,
  *,
  focuses: Sequence[float] = _FOCUSES,
  radii: Sequence[float] = (),
) -> Lens:
  """The lens whose rendered picture has the largest SSIM with the target.

  The search uses pictures reduced by an integer factor to a long side of about 320 pixels.

  Args:
    photo, target, disparity: of the same size.
    focuses: disparities to try.
    radii: blur radii to try, in pixels of the photograph; default: those of six apertures up to 1.

  Raises:
    ValueError: the renderer refuses all of them.
  """
  radii = radii or [refocus.radius_of(aperture, photo.shape[:2]) for aperture in _APERTURES]
  factor = _factor(photo.shape)
  small, goal = (_reduced(picture, factor) for picture in (photo, target))
  near = np.asarray(resize.downsample(_cropped(disparity, factor), factor))
  found, refused = {}, None
  for lens in (Lens(focus, radius) for radius in radii for focus in focuses):
    try:
      picture = render(small, near, focus=lens.focus, radius=lens.radius / factor)
    except ValueError as error:  # For example a blur too large for a narrow picture.
      refused = error
    else:
      found[lens] = compare(picture, goal)['ssim']
  if not found:
    raise refused
  return max(found, key=found.get)


def _measured(record: Mapping[str, Any]) -> np.ndarray:
  """The record's disparity [h w] in its units, NaN where not valid."""
  return np.where(record['valid'] > 0, record['disparity'], np.nan)[..., 0]


def _exact(raw: np.ndarray) -> np.ndarray:
  """Disparity normalised by its exact range, as `lens_of` assumes."""
  return depth.normalise(raw, percentiles=(0, 100), name='disparity').disparity


@jax.jit
def _similarity(*arrays):
  return {'psnr': image_metrics.psnr(*arrays), 'ssim': image_metrics.ssim(*arrays)}


_mae_spline = jax.jit(depth_metrics.mae_spline)
_edge_band = jax.jit(image_metrics.edge_band, static_argnames='radius')


def _factor(shape: tuple[int, ...]) -> int:
  """Integer factor between the picture and about 320 pixels."""
  return max(1, round(max(shape[:2]) / _LONG_SIDE))


def _cropped(values, factor: int):
  h, w = values.shape[:2]
  return jnp.asarray(values[: h // factor * factor, : w // factor * factor])


def _reduced(picture, factor: int) -> np.ndarray:
  """Mean over factor x factor pixels, in linear light."""
  light = colour.srgb_to_linear(_cropped(picture, factor))
  return np.asarray(colour.linear_to_srgb(resize.downsample(light, factor)))
