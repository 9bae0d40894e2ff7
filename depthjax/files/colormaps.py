"""Coloured previews of disparity."""

import cv2
import numpy as np


def colour(disparity: np.ndarray) -> np.ndarray:
  """Colours disparity by the map inferno, which is brighter where disparity is larger.

  Colours between the 256 entries of the map are interpolated, so that 16-bit input shows no bands.

  Disparity is [h w] or [h w 1], clipped to [0, 1]. Returns float32 [h w 3], sRGB in [0, 1].

  Raises ValueError: another shape, NaN.
  """
  disparity = np.asarray(disparity, np.float32)
  if disparity.ndim == 3 and disparity.shape[-1] == 1:
    disparity = disparity[..., 0]
  if disparity.ndim != 2:
    raise ValueError(f'disparity has shape {list(disparity.shape)}; expected [h w] or [h w 1]')
  if np.isnan(disparity).any():
    raise ValueError('disparity holds NaN; expected values in [0, 1]')
  entries = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_INFERNO)
  entries = entries[:, 0, ::-1].astype(np.float32) / 255
  position = np.clip(disparity, 0, 1) * 255
  low = np.minimum(position.astype(np.int32), 254)
  fraction = (position - low).astype(np.float32)[..., None]
  return entries[low] * (1 - fraction) + entries[low + 1] * fraction
