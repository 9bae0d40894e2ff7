"""Coloured previews of disparity."""

import cv2
import numpy as np

_MAPS = {'inferno': cv2.COLORMAP_INFERNO, 'turbo': cv2.COLORMAP_TURBO}


def colour(disparity: np.ndarray, name: str = 'inferno') -> np.ndarray:
  """Colours disparity [h w] or [h w 1] in [0, 1]: float32 [h w 3], sRGB in [0, 1].

  Args:
    disparity: values beyond [0, 1] are clipped.
    name: 'inferno' (brightness grows with nearness, also in print) or 'turbo' (finer steps).

  Between the 256 entries of the map colours are interpolated, so 16-bit input shows no bands.

  Raises:
    ValueError: unknown name, another shape, NaN.
  """
  if name not in _MAPS:
    raise ValueError(f'unknown colour map {name!r}; expected {" or ".join(_MAPS)}')
  disparity = np.asarray(disparity, np.float32)
  if disparity.ndim == 3 and disparity.shape[-1] == 1:
    disparity = disparity[..., 0]
  if disparity.ndim != 2:
    raise ValueError(f'disparity has shape {list(disparity.shape)}; expected [h w] or [h w 1]')
  if np.isnan(disparity).any():
    raise ValueError('disparity holds NaN; expected values in [0, 1]')
  entries = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], _MAPS[name])
  entries = entries[:, 0, ::-1].astype(np.float32) / 255
  position = np.clip(disparity, 0, 1) * 255
  low = np.minimum(position.astype(np.int32), 254)
  share = (position - low).astype(np.float32)[..., None]
  return entries[low] * (1 - share) + entries[low + 1] * share
