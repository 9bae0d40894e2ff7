"""Refinement of a depth map by masks, in the units of its file: what command and function share."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from depthjax.files import depth
from depthjax.pipelines import units
from depthjax.pipelines.mask_refine import fill, learned, masks
from depthjax.pipelines.mask_refine.masks import Name


class Refined(NamedTuple):
  """A refined depth map."""

  disparity: np.ndarray  # float32 [h w 1] in [0, 1], on the scale of the map's disparity.
  raw: np.ndarray  # float32 [h w], in the units of the map's raw values.
  farther: list[Name]  # Names of masks of the farther side.


def refine(
  photo: np.ndarray,
  read: depth.Depth,
  given: Mapping[Name, np.ndarray],
  network: learned.Network | None,
  *,
  soft: bool = False,
  invert: bool = False,
) -> Refined:
  """Refines a depth map by masks, that of the farthest object first.

  Pixels that do not change keep the raw values bit for bit, unless these are missing. Pixels that
  are infinitely far move with their side. Disparity stays within its range.

  Args:
    photo: sRGB in [0, 1], float32 [h w 3], of any size.
    read: not resized.
    given: masks by name, as `masks.checked` takes them; 1 around the objects if `invert`.
    network: see `learned.load`; None: as `fill.refine`.
    soft: as in `masks.composite`.

  Raises:
    InputError: as `masks.checked`.
    ValueError: as `learned.layers`.
  """
  disparity, far, farther = read.disparity, read.far[..., None], []
  sizes = read.raw.shape, photo.shape[:2]
  checked = {
    name: masks.checked(1 - mask if invert else mask, sizes[0], name, photo=sizes[1])
    for name, mask in given.items()
  }
  for name, mask in masks.farthest_first(disparity, checked):
    if far.any():
      far = fill.refine(far.astype(np.float32), mask) > 0.5
    if network is None:
      layers = fill.layers(disparity, mask)
    else:
      layers = learned.layers(photo, disparity, mask, network)
    if masks.farther(layers, mask):
      farther.append(name)
    disparity = np.clip(masks.composite(layers, mask, soft=soft), 0, 1)
    del layers  # A map of 12 megapixels has 50 MB.
  changed = (disparity != read.disparity)[..., 0] | (far[..., 0] != read.far) | ~read.valid
  raw = read.raw.copy()
  raw[changed] = units.of(read, '').in_units(disparity[changed, 0], far[changed, 0])
  return Refined(np.where(far, 0, disparity), raw, farther)
