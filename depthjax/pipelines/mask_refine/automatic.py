"""Masks of the object in a photograph, by the package rembg."""

from typing import Any

import numpy as np

from depthjax.files import errors, images, masks
from depthjax.files.errors import InputError

# Its masks have 1024 x 1024 pixels. The default model of rembg may not be used commercially without
# an agreement with its authors.
_MODEL = 'isnet-general-use'


def session(name: str) -> Any:
  """Loads the model of `mask`, which rembg downloads if it is missing; `name` is for messages.

  Raises InputError: rembg is not installed; it cannot load or download its model.
  """
  with errors.optional(name, 'rembg', 'mask'):
    import onnxruntime  # noqa: F401  Without it, rembg ends the process.
    import rembg
  try:
    return rembg.new_session(_MODEL)
  except Exception as error:  # Of several HTTP packages.
    wrong = f'rembg cannot load its model {_MODEL} ({error})'
    raise InputError(
      name, wrong, 'a network connection for the first use, or the file of a mask'
    ) from error


def mask(photo: np.ndarray, loaded: Any) -> np.ndarray:
  """The mask [h w 1] of a photograph [h w 3] in [0, 1]; `loaded` is from `session`."""
  import rembg

  found = rembg.remove(images.quantise(photo), session=loaded, only_mask=True)
  return masks.fraction(found)[..., None]
