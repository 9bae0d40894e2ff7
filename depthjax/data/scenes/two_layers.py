"""Two complete layers of disparity and the matte between them: of a scene, or of two photos."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import cv2
import numpy as np

from depthjax.data.errors import noise, silhouettes
from depthjax.data.scenes import surfaces, truths

# Linear light of sRGB values, IEC 61966-2-1, as ops.colour.
_ENCODED = np.arange(256) / 255
_LINEAR = np.where(_ENCODED > 0.04045, ((_ENCODED + 0.055) / 1.055) ** 2.4, _ENCODED / 12.92)


class TwoLayers(NamedTuple):
  """The visible disparity is that of the front where the matte is 1, else that behind."""

  image: np.ndarray  # uint8 sRGB [h w 3].
  matte: np.ndarray  # Visible fraction of the front, float32 [h w] in [0, 1].
  front: np.ndarray  # Disparity, float32 [h w].
  behind: np.ndarray
  front_valid: np.ndarray  # Where the disparity is known, bool [h w].
  behind_valid: np.ndarray


def of_scene(
  rng: np.random.Generator, record: Mapping[str, np.ndarray], pad: int, *, all_foregrounds: bool
) -> TwoLayers:
  """A random foreground of a scene, and the scene without it.

  Args:
    record: of draw.draw_scene.
    pad: padding of its layers.
    all_foregrounds: the front is that of all foregrounds instead, and behind is the background.
      Where there is no foreground, the front is the surface of the nearest one in the image.
  """
  i = rng.integers(len(record['planes']) - 1)
  h, w = (size - 2 * pad for size in record['layers'].shape[1:3])
  layers = record['layers'][:, pad : pad + h, pad : pad + w]
  weights, disparity = visibility(layers[..., 3]), complete(record, pad)
  covered = layers[:-1, ..., 3] > 127
  if all_foregrounds:
    matte, behind = 1 - weights[-1], disparity[-1]
    front = _nearest(disparity[:-1], covered)
  else:
    matte, front = weights[i], disparity[i]
    others = np.delete(disparity, i, 0)
    behind = truths.compose(others, np.delete(covered, i, 0)) if len(others) > 1 else others[0]
  known = np.ones((h, w), bool)
  return TwoLayers(blended(layers[..., :3], weights), matte, front, behind, known, known)


def of_photos(
  photos: tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray]],
  alpha: np.ndarray,
  *,
  gap: float | None,
  span: float,
) -> TwoLayers:
  """Two photos with disparity, composited by an unpaired matte.

  Args:
    photos: `image` uint8 [h w 3], `disparity` float32 [h w] in [0, 1], `valid` bool [h w] of each,
      the one in front first.
    alpha: uint8 [h w], the matte of the first.
    gap: least disparity between them along the outline, to which the first is moved; None does not
      move it.
    span: factor of the disparity of the first.
  """
  first, second = photos
  front, behind = first['disparity'] * np.float32(span), second['disparity']
  mask = np.where(alpha > 127, np.uint8(255), np.uint8(0))
  outline = silhouettes.dilate(mask, 2) != silhouettes.erode(mask, 2)
  if gap is not None and outline.any():
    front = front + ((behind - front)[outline].max() + np.float32(gap))
  matte = alpha.astype(np.float32) / 255
  image = blended(np.stack([first['image'], second['image']]), np.stack([matte, 1 - matte]))
  return TwoLayers(image, matte, front, behind, first['valid'], second['valid'])


def cropped(
  rng: np.random.Generator, photo: Mapping[str, Any], shape: tuple[int, int], least: float
) -> dict[str, np.ndarray]:
  """A random part of a photo with disparity, flipped left to right in half of the cases.

  Args:
    photo: of sources.rgbd.
    shape: height and width of the result.
    least: smallest fraction of each side.
  """
  sizes = np.array(photo['valid'].shape)
  extent = np.maximum(1, np.rint(sizes * rng.uniform(least, 1, 2))).astype(int)
  top, left = (rng.random(2) * (sizes - extent + 1)).astype(int)
  step = -1 if rng.random() < 0.5 else 1
  part = np.s_[top : top + extent[0], left : left + extent[1]]
  image, disparity, valid = (
    np.ascontiguousarray(photo[name][part][:, ::step]) for name in ('image', 'disparity', 'valid')
  )
  known = noise.resized(valid.astype(np.float32), shape) > 0.5
  return {
    'image': cv2.resize(image, shape[::-1], interpolation=_method(image.shape, shape)),
    'disparity': noise.resized(disparity, shape),
    'valid': known,
  }


def complete(record: Mapping[str, np.ndarray], pad: int) -> np.ndarray:
  """Disparity of each layer of a scene, complete behind nearer ones: float32 [l h w]."""
  padded = record['layers'].shape[1:3]
  h, w = (size - 2 * pad for size in padded)
  out = np.stack([surfaces.plane_disparity(plane, h, w) for plane in record['planes']])
  if record['relief'].any():
    relief = [noise.resized(x, padded, cubic=True) for x in record['relief']]
    out += np.stack(relief)[:, pad : pad + h, pad : pad + w]
  return out


def visibility(alpha: np.ndarray) -> np.ndarray:
  """Visible fraction of each layer, float32 [l h w], of alphas uint8 [l h w], near first."""
  alpha = alpha.astype(np.float32) / 255
  through = np.cumprod(1 - alpha[:-1], axis=0)
  return alpha * np.concatenate([np.ones_like(alpha[:1]), through])


def blended(colours: np.ndarray, weights: np.ndarray) -> np.ndarray:
  """The image uint8 [h w 3] of colours uint8 [l h w 3] with weights [l h w], in linear light."""
  image = np.take_along_axis(colours, weights.argmax(0)[None, ..., None], 0)[0]
  soft = weights.max(0) < 1  # Few pixels: powers are slow.
  linear = np.einsum('lnc,ln->nc', _LINEAR[colours[:, soft]], weights[:, soft])
  curved = 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055
  encoded = np.where(linear > 0.0031308, curved, 12.92 * linear)
  image[soft] = np.rint(255 * encoded).clip(0, 255)
  return image


def _nearest(disparity, covered):
  """The visible surface of layers [l h w]; elsewhere that of the layer whose pixel is nearest."""
  some = covered.any(0)
  _, labels = cv2.distanceTransformWithLabels(
    (~some).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
  )
  layer = np.zeros(labels.max() + 1, np.intp)
  layer[labels[some]] = covered.argmax(0)[some]
  return np.take_along_axis(disparity, layer[labels][None], 0)[0]


def _method(have, want):
  shrinks = want[0] < have[0] or want[1] < have[1]
  return cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
