"""Two complete layers of disparity and the matte between them: of a scene, or of two photos."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from depthjax.data.errors import noise, silhouettes
from depthjax.data.scenes import surfaces, truths


class TwoLayers(NamedTuple):
  """The visible disparity is that of the front where the matte is 1, else that behind."""

  image: np.ndarray  # uint8 sRGB [h w 3].
  matte: np.ndarray  # Visible fraction of the front, float32 [h w] in [0, 1].
  front: np.ndarray  # Disparity, float32 [h w].
  behind: np.ndarray
  valid: Sequence[np.ndarray]  # Where that of the front, and that behind, is known: bool [h w].


def of_scene(
  rng: np.random.Generator, record: Mapping[str, np.ndarray], pad: int, *, all_foregrounds: bool
) -> TwoLayers:
  """A random foreground of a record of draw.draw_scene, padded by `pad`, and the scene without it.

  With `all_foregrounds` the front is that of all of them, and behind is the background. Between the
  foregrounds the front is the surface of the one that is nearest in the image.
  """
  i = rng.integers(len(record['planes']) - 1)
  h, w = (size - 2 * pad for size in record['layers'].shape[1:3])
  layers = record['layers'][:, pad : pad + h, pad : pad + w]
  alpha, disparity = layers[..., 3].astype(np.float32) / 255, complete(record, pad)
  # The visible fraction of each layer.
  weights = alpha * np.cumprod(np.concatenate([np.ones_like(alpha[:1]), 1 - alpha[:-1]]), axis=0)
  covered = alpha[:-1] > 0.5
  if all_foregrounds:
    matte, front, behind = 1 - weights[-1], _nearest(disparity[:-1], covered), disparity[-1]
  else:
    others = np.delete(disparity, i, 0), np.delete(covered, i, 0)
    # `compose` needs two layers.
    behind = truths.compose(*others) if len(others[1]) else disparity[-1]
    matte, front = weights[i], disparity[i]
  known = np.ones((h, w), bool)
  return TwoLayers(blended(layers[..., :3], weights), matte, front, behind, (known, known))


def of_photos(
  photos: Sequence[Mapping[str, np.ndarray]], alpha: np.ndarray, *, gap: float | None, span: float
) -> TwoLayers:
  """Two photos of sources.rgbd, with one size, composited by an unpaired matte.

  The disparity of the first is multiplied by `span`; then it is moved before that of the second, by
  at least `gap` along the outline of `alpha`, uint8 [h w], unless `gap` is None.
  """
  front, behind = photos[0]['disparity'] * np.float32(span), photos[1]['disparity']
  mask = np.where(alpha > 127, np.uint8(255), np.uint8(0))
  outline = silhouettes.dilate(mask, 2) != silhouettes.erode(mask, 2)
  if gap is not None and outline.any():
    front = front + ((behind - front)[outline].max() + np.float32(gap))
  matte = alpha.astype(np.float32) / 255
  image = blended(np.stack([x['image'] for x in photos]), np.stack([matte, 1 - matte]))
  return TwoLayers(image, matte, front, behind, [x['valid'] for x in photos])


def complete(record: Mapping[str, np.ndarray], pad: int) -> np.ndarray:
  """Disparity of each layer of a scene, complete behind nearer ones: float32 [l h w]."""
  h, w = (size - 2 * pad for size in record['layers'].shape[1:3])
  out = np.stack([surfaces.plane_disparity(plane, h, w) for plane in record['planes']])
  padded = h + 2 * pad, w + 2 * pad
  relief = np.stack([noise.resized(x, padded, cubic=True) for x in record['relief']])
  return out + relief[:, pad : pad + h, pad : pad + w]


def blended(colours: np.ndarray, weights: np.ndarray) -> np.ndarray:
  """The image uint8 [h w 3] of colours uint8 [l h w 3] with weights [l h w], in linear light."""
  image = np.take_along_axis(colours, weights.argmax(0)[None, ..., None], 0)[0]
  soft = weights.max(0) < 1  # Few pixels: powers are slow.
  x = colours[:, soft] / np.float32(255)
  linear = np.where(x > 0.04045, ((x + 0.055) / 1.055) ** 2.4, x / 12.92)  # As ops.colour.
  linear = np.einsum('lnc,ln->nc', linear, weights[:, soft])
  curved = 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055
  image[soft] = np.rint(255 * np.where(linear > 0.0031308, curved, 12.92 * linear)).clip(0, 255)
  return image


def _nearest(disparity, covered):
  """The visible surface of layers [l h w]; elsewhere that of the layer whose pixel is nearest."""
  some = covered.any(0)
  hole, kind = (~some).astype(np.uint8), cv2.DIST_LABEL_PIXEL
  labels = cv2.distanceTransformWithLabels(hole, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=kind)[1]
  layer = np.zeros(labels.max() + 1, np.intp)
  layer[labels[some]] = covered.argmax(0)[some]
  return np.take_along_axis(disparity, layer[labels][None], 0)[0]
