"""Reading one photo or matte: checks at the edge, and colour made complete beneath soft edges."""

import pathlib

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

PIXEL_LIMIT = 80_000_000  # a photo of more pixels is refused before it is decoded
SUFFIXES = ('.jpg', '.jpeg', '.png', '.webp', '.bmp', '.tif', '.tiff')
OPAQUE = 250  # alpha (of 255) from which a pixel's colour belongs to the foreground alone


def read_photo(path: pathlib.Path, *, side: int) -> np.ndarray:
  """A photo, uint8 sRGB [h w 3], upright, reduced by area to a long side of at most `side` px.

  Raises:
    ValueError: the file is missing, cannot be decoded, or has more than PIXEL_LIMIT pixels.
  """
  return reduce(_decode(path, 'RGB', side=side), side)


def read_foreground(photo: pathlib.Path, matte: pathlib.Path, *, side: int) -> np.ndarray:
  """A photo with its matte, uint8 [h w 4]: straight alpha, colour complete beneath it.

  Raises:
    ValueError: either file cannot be read, the sizes differ, or no pixel is opaque.
  """
  colour, alpha = _decode(photo, 'RGB'), _decode(matte, 'L')
  if colour.shape[:2] != alpha.shape:
    raise ValueError(
      f'{matte}: the matte is {_size(alpha)} but its photo {photo.name} is {_size(colour)};'
      ' both must have one size'
    )
  return complete(colour, alpha, matte, side)


def read_cutout(path: pathlib.Path, *, side: int) -> np.ndarray:
  """An RGBA PNG, uint8 [h w 4]: straight alpha, colour complete beneath it.

  Raises:
    ValueError: the file cannot be read, has no alpha channel, or no pixel is opaque.
  """
  image = _decode(path, 'RGBA')
  return complete(np.ascontiguousarray(image[..., :3]), image[..., 3], path, side)


def reduce(image: np.ndarray, side: int) -> np.ndarray:
  """Area-reduces an image [h w c] to a long side of at most `side` px."""
  h, w = image.shape[:2]
  factor = side / max(h, w)
  if factor >= 1:
    return image
  size = max(1, round(w * factor)), max(1, round(h * factor))
  return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def extend_colour(colour: np.ndarray, known: np.ndarray) -> np.ndarray:
  """Continues the known colours smoothly over the unknown pixels (push-pull pyramid).

  Known colours are averaged into ever coarser levels, then each level fills what the finer one
  does not know. Source: Gortler et al., "The Lumigraph", SIGGRAPH 1996, section 4.

  Args:
    colour: uint8 [h w 3].
    known: bool [h w], at least one True.

  Returns:
    uint8 [h w 3], equal to colour where known.
  """
  weight = known.astype(np.float32)
  levels = [(colour * weight[..., None], weight)]
  while max(levels[-1][1].shape) > 1:
    size = tuple((n + 1) // 2 for n in levels[-1][1].shape[::-1])
    levels.append(tuple(cv2.resize(x, size, interpolation=cv2.INTER_AREA) for x in levels[-1]))
  filled = levels[-1][0] / np.maximum(levels[-1][1], 1e-12)[..., None]
  for total, weight in levels[-2::-1]:
    coarse = cv2.resize(filled, weight.shape[::-1], interpolation=cv2.INTER_LINEAR)
    coarse = coarse.reshape(*weight.shape, 3)
    mean = total / np.maximum(weight, 1e-12)[..., None]
    trust = np.minimum(1, 2 * weight)[..., None]  # half a cell known is enough
    filled = trust * mean + (1 - trust) * coarse
  return np.where(known[..., None], colour, np.rint(filled).clip(0, 255).astype(np.uint8))


def complete(colour: np.ndarray, alpha: np.ndarray, name: str, side: int) -> np.ndarray:
  """A cut-out of colours [h w 3] and alpha [h w], reduced to `side`: uint8 [h w 4].

  Raises:
    ValueError: no pixel is opaque; `name` is what the message calls it.
  """
  colour, alpha = reduce(colour, side), reduce(alpha, side)
  if not (alpha >= OPAQUE).any():
    raise ValueError(f'{name}: no pixel of the matte is opaque; white (255) must be the foreground')
  return np.dstack([extend_colour(colour, alpha >= OPAQUE), alpha])


def _decode(path, mode, side=None):
  path = pathlib.Path(path)
  if not path.is_file():
    raise ValueError(f'{path}: no such file')
  try:
    with Image.open(path) as image:  # reads the header only
      w, h = image.size
      if w * h > PIXEL_LIMIT:
        raise ValueError(f'{path}: {w}x{h} is over the limit of {PIXEL_LIMIT} pixels; reduce it')
      if mode == 'RGBA' and 'A' not in image.getbands() and 'transparency' not in image.info:
        raise ValueError(
          f'{path}: no alpha channel; give RGBA PNG files, or the folders photos/ and mattes/'
        )
      if side is not None:
        image.draft('RGB', (side, side))  # a JPEG decodes straight to a half, quarter or eighth
      return _pixels(ImageOps.exif_transpose(image), mode)
  except UnidentifiedImageError as error:
    raise ValueError(f'{path}: not an image; give a JPEG or PNG file') from error
  except Image.DecompressionBombError as error:
    raise ValueError(f'{path}: over the limit of {PIXEL_LIMIT} pixels; reduce it') from error
  except (OSError, SyntaxError) as error:  # what Pillow raises on broken data
    raise ValueError(f'{path}: the file is damaged ({error}); write it anew') from error


def _pixels(image, mode):
  if image.mode.startswith('I'):  # 16-bit gray: Pillow would clip it to 255
    gray = (np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8)
    image = Image.fromarray(gray)
  return np.array(image.convert(mode))


def _size(image):
  return f'{image.shape[1]}x{image.shape[0]}'
