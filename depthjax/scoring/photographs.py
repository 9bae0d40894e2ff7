"""Records of prepared datasets scored, arrays in, numbers out: refocused pairs, and depth.

A record is a dict as data.records.evaluation gives it. `photo` and `target` are sRGB in [0, 1],
[h w 3]; `disparity` [h w 1] is in [0, 1], 1 the nearest.
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

# Where the lens of a picture is not known it is searched for, at about this long side; steps of
# disparity are looked for at that size too.
_LONG_SIDE = 320
_FOCUSES = tuple(i / 8 for i in range(9))
_APERTURES = (0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
# Near an edge is within this part of the long side: half the blur radius of the widest aperture.
EDGE_BAND = 1 / 40

Scores = dict[str, float]
# The photograph, its disparity, and `focus` and `radius` to the picture, as refocus.refocus.
Render = Callable[..., np.ndarray]


class Lens(NamedTuple):
  """Focus and radius as refocus.refocus takes them, for a normalised disparity."""

  focus: float
  radius: float


def renderers(learned: refocus.Learned | None = None) -> dict[str, Render]:
  """The renderers by name: 'classical', and with the learned one 'learned' and 'hybrid'."""
  ways = {'classical': refocus.refocus}
  if learned is not None:
    ways['learned'] = functools.partial(refocus.refocus, learned=learned)
    ways['hybrid'] = functools.partial(refocus.refocus, learned=learned, hybrid=True)
  return ways


def score_pair(
  record: Mapping[str, Any],
  ways: Mapping[str, Render],
  *,
  disparity: np.ndarray | None = None,
  radii: Sequence[float] = (),
) -> dict[str, Scores]:
  """How near renderers come to the picture of a wide aperture; exposures are taken as they are.

  A record with `blur` and `focus` (BLB) says which lens took it. Where it does not, or `disparity`
  or `radii` are given, each renderer gets the lens of its own that suits it best, `find_lens`, as
  is usual for photographs (EBB!).

  Args:
    record: `image`, `target`, and perhaps `disparity` with `valid`, `blur` and `focus`.
    ways: the renderers by name.
    disparity: of a predictor; they blur by it instead of the record's own.
    radii: in pixels; the lens is searched for among these.

  Returns:
    By name, 'untouched' (the photograph as it is) before the renderers: 'psnr' (dB) and 'ssim'; if
    the record has a disparity, 'psnr_edge' and 'ssim_edge' over `near_edges` of that (NaN where
    there are none); and of renderers the 'focus' and the 'radius' of the lens.

  Raises:
    ValueError: no disparity at all, constant disparity, sizes that differ, less than 11 pixels on
      a side, or a blur too large for the photograph.
  """
  photo, target = record['image'], record['target']
  if photo.shape != target.shape:
    raise ValueError(f'photo {photo.shape} and target {target.shape} differ in size')
  raw = _measured(record) if 'disparity' in record else None
  own = None if raw is None else depth.normalise(raw, name='disparity').disparity
  seen = own if disparity is None else disparity
  if seen is None:
    raise ValueError(f'the record has no disparity; it has {", ".join(record)}')
  band = None if own is None else near_edges(own)
  known = None
  if 'blur' in record and disparity is None and not radii:
    known = lens_of(raw, record['blur'], record['focus'])
  scores = {'untouched': compare(photo, target, band)}
  for name, render in ways.items():
    lens = known or find_lens(photo, target, seen, render, radii=radii)
    picture = render(photo, seen, **lens._asdict())
    scores[name] = compare(picture, target, band) | lens._asdict()
  return scores


def score_depth(record: Mapping[str, Any], prediction: np.ndarray) -> dict[str, Scores]:
  """'mae_spline' of a predicted disparity, under 'predicted', and of a 'constant' beside it.

  The truth is the record's disparity, its farthest valid pixel 0 and its nearest 1; pixels that are
  not valid do not count. The spline is that of metrics.depth, which makes of any constant the mean
  of the truth.

  Args:
    record: `disparity` and `valid`.
    prediction: disparity of any range [h w 1], finite.

  Raises:
    ValueError: no valid pixel, constant disparity, or sizes that differ.
  """
  truth = depth.normalise(_measured(record), name='disparity').disparity
  if prediction.shape != truth.shape:
    raise ValueError(f'prediction {prediction.shape} and truth {truth.shape} differ in size')
  maps = {'predicted': prediction, 'constant': np.zeros_like(truth)}
  rest = truth[None], record['valid'][None]
  return {
    name: {'mae_spline': float(_mae_spline(values[None], *rest)[0])}
    for name, values in maps.items()
  }


def compare(picture: np.ndarray, target: np.ndarray, band: np.ndarray | None = None) -> Scores:
  """'psnr' (dB) and 'ssim' of sRGB values; with a band [h w 1], 'psnr_edge' and 'ssim_edge' in it.

  Raises:
    ValueError: less than 11 pixels on a side.
  """
  scores = {name: float(x[0]) for name, x in _likeness(picture[None], target[None]).items()}
  if band is not None:
    inside = _likeness(picture[None], target[None], band[None])
    scores |= {f'{name}_edge': float(x[0]) for name, x in inside.items()}
  return scores


def near_edges(disparity: np.ndarray) -> np.ndarray:
  """Pixels within EDGE_BAND of the long side from a step of disparity: {0, 1} float32 [h w 1].

  A step is 0.05 of the range between neighbours of every so many pixels, about 320 on the long
  side: whatever the resolution, what is a step is the same. They are sampled, not averaged, since
  the mean of two disparities would make two steps of one.
  """
  (h, w), factor = disparity.shape[:2], _factor(disparity.shape)
  whole = np.pad(disparity, ((0, -h % factor), (0, -w % factor), (0, 0)), 'edge')
  low = whole[factor // 2 :: factor, factor // 2 :: factor]
  radius = max(1, round(EDGE_BAND * max(low.shape)))
  band = np.asarray(_edge_band(low[None], radius=radius)[0])
  return band.repeat(factor, axis=0).repeat(factor, axis=1)[:h, :w]


def lens_of(disparity: np.ndarray, blur: float, focus: float) -> Lens:
  """The lens whose signed blur radius is blur * (disparity - focus) pixels.

  Args:
    disparity: not normalised, NaN where unknown, [h w].
    blur: pixels for a unit of this disparity.
    focus: in the same unit, within the range of the disparities.

  Raises:
    ValueError: the focus is outside of the scene.
  """
  low, high = float(np.nanmin(disparity)), float(np.nanmax(disparity))
  if not low < high:
    raise ValueError(f'the disparity is constant ({low:g}); it must vary')
  at = (focus - low) / (high - low)
  if not -0.05 <= at <= 1.05:
    raise ValueError(f'the focus {focus:g} is outside of the scene, {low:g} to {high:g}')
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
  """The lens of those offered that makes the photograph most like the target, by SSIM.

  All pictures are first reduced by a whole factor to a long side of about 320 pixels.

  Args:
    photo, target, disparity: of one size.
    render: the renderer that the lens must suit.
    focuses: disparities to try.
    radii: in pixels of the photograph; without, those of six apertures up to the widest.

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
    except ValueError as error:  # Such as a blur too large for so narrow a picture.
      refused = error
    else:
      found[lens] = compare(picture, goal)['ssim']
  if not found:
    raise refused
  return max(found, key=found.get)


def _measured(record: Mapping[str, Any]) -> np.ndarray:
  """The record's disparity as it is stored [h w], NaN where not valid."""
  return np.where(record['valid'] > 0, record['disparity'], np.nan)[..., 0]


@jax.jit
def _likeness(picture, target, weight=None):
  return {
    'psnr': image_metrics.psnr(picture, target, weight),
    'ssim': image_metrics.ssim(picture, target, weight),
  }


_mae_spline = jax.jit(depth_metrics.mae_spline)
_edge_band = jax.jit(image_metrics.edge_band, static_argnames='radius')


def _factor(shape: tuple[int, ...]) -> int:
  """The whole factor that reduces a picture to about 320 pixels."""
  return max(1, round(max(shape[:2]) / _LONG_SIDE))


def _cropped(values, factor: int):
  h, w = values.shape[:2]
  return jnp.asarray(values[: h // factor * factor, : w // factor * factor])


def _reduced(picture, factor: int) -> np.ndarray:
  """The mean over factor x factor pixels, of light."""
  light = colour.srgb_to_linear(_cropped(picture, factor))
  return np.asarray(colour.linear_to_srgb(resize.downsample(light, factor)))
