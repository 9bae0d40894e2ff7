"""Masks of the object in a photograph, by the package rembg."""

from collections.abc import Callable

import numpy as np

from depthjax.files import errors, images, masks
from depthjax.files.errors import InputError

# Its masks have 1024 x 1024 pixels. The default model of rembg may not be used commercially without
# an agreement with its authors.
_MODEL = 'isnet-general-use'


def load(name: str) -> Callable[[np.ndarray], np.ndarray]:
  """Returns a function from a photograph [h w 3] in [0, 1] to the mask [h w 1] of its object.

  rembg downloads its model if it is missing; `name` is for messages.

  Raises InputError: rembg is not installed; it cannot load or download its model.
  """
  with errors.optional(name, 'rembg', 'mask'):
    import onnxruntime  # noqa: F401  Without it, rembg ends the process.
    import rembg
  try:
    session = rembg.new_session(_MODEL)
  except Exception as error:  # Of several HTTP packages.
    right = 'a network connection for the first use, or the file of a mask'
    raise InputError(name, f'rembg cannot load its model {_MODEL} ({error})', right) from error
  fields = {'session': session, 'only_mask': True}
  return lambda photo: masks.fraction(rembg.remove(images.quantise(photo), **fields))[..., None]
