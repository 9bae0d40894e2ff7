"""Images with mattes (AIM-500, P3M-10k) or masks of salient objects (DUTS, MSRA10K)."""

import functools
from pathlib import Path

from depthjax.prepare import pictures
from depthjax.prepare.entries import Found, Record, folder, found, listed, paired


def matting(source: Path) -> Found:
  """Matting datasets with the layout of AIM-500 and P3M-10k: fields image and matte.

  Layout: `original/`, `original_image/`, `blurred_image/` or `image/` with photos, `mask/` or
  `alpha/` with mattes of the same names (AIM-500: original, mask; P3M-10k: the folder `train` or
  one of `validation`, whose photos have blurred or original faces). Foregrounds, backgrounds and
  trimaps are not read.

  Licence: AIM-500 and P3M-10k by agreement (MIT terms), for research; photos of people.

  Conversion: photos as stored; mattes in 8 bits. A matte without an opaque pixel (glass, smoke) is
  bad: it gives no foreground.
  """
  photos = folder(source, 'original', 'original_image', 'blurred_image', 'image')
  mattes = folder(source, 'mask', 'alpha')
  entries = paired(listed(photos), listed(mattes), functools.partial(_load, 'matte'))
  expected = f'photos in {photos.name}/, mattes in {mattes.name}/'
  return found(source, ('image', 'matte'), entries, expected)


def duts(source: Path) -> Found:
  """DUTS (Wang et al., CVPR 2017), salient objects: fields image and mask.

  Layout: `DUTS-TR-Image/*.jpg` and `DUTS-TR-Mask/*.png` (10,553 pairs), or else the published test
  set, the same with TE (5,019).

  Licence: none stated; photographs of ImageNet and SUN, research only.

  Conversion: masks are 255 where they were 128 or more, else 0.
  """
  photos = folder(source, 'DUTS-TR-Image', 'DUTS-TE-Image')
  masks = folder(source, photos.name.replace('Image', 'Mask'))
  entries = paired(listed(photos), listed(masks), functools.partial(_load, 'mask'))
  expected = f'photos in {photos.name}/, masks in {masks.name}/'
  return found(source, ('image', 'mask'), entries, expected)


def msra10k(source: Path) -> Found:
  """MSRA10K (Cheng et al., TPAMI 2015), salient objects: fields image and mask.

  Layout: `NAME.jpg` beside `NAME.png`, its mask, in the folder or its `Imgs/` (10,000 pairs).

  Licence: research only.

  Conversion: masks are 255 where they were 128 or more, else 0.
  """
  path = folder(source, 'Imgs', '.')
  photos, masks = listed(path, ('.jpg', '.jpeg')), listed(path, ('.png',))
  entries = paired(photos, masks, functools.partial(_load, 'mask'))
  return found(source, ('image', 'mask'), entries, 'photos NAME.jpg beside masks NAME.png')


def _load(field: str, photo: Path, file: Path) -> Record:
  read = {'matte': pictures.read_matte, 'mask': pictures.read_mask}[field]
  record = {'image': pictures.read_picture(photo), field: read(file)}
  pictures.check_sizes(photo, record['image'], file, record[field])
  return record
