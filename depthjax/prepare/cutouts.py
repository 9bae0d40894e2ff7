"""Pictures with mattes (AIM-500, P3M-10k) or masks of what is salient (DUTS, MSRA10K)."""

from pathlib import Path

from depthjax.prepare import pictures
from depthjax.prepare.entries import Found, Record, check_found, folder, listed, paired


def matting(source: Path) -> Found:
  """Matting sets in the style of AIM-500 and P3M-10k: fields image and matte.

  Layout: `original/`, `original_image/`, `blurred_image/` or `image/` with photos, `mask/` or
  `alpha/` with mattes of the same names (AIM-500: original, mask; P3M-10k: the folder `train` or
  one of `validation`, whose photos have blurred or original faces). Fore- and backgrounds and
  trimaps beside them are not read.

  Licence: AIM-500 and P3M-10k by agreement (MIT terms), for research; photos of people.

  What becomes of it: photos as they are; mattes 8 bit. A matte without an opaque pixel (glass,
  smoke) is bad: nothing can be cut out by it.

  Raises:
    InputError: no such folders, or nothing in them.
  """
  photos = folder(source, 'original', 'original_image', 'blurred_image', 'image')
  mattes = folder(source, 'mask', 'alpha')
  found = paired(listed(photos), listed(mattes), _with_matte)
  check_found(source, found, f'photos in {photos.name}/, mattes in {mattes.name}/')
  return Found(('image', 'matte'), found)


def duts(source: Path) -> Found:
  """DUTS (Wang et al., CVPR 2017), salient objects: fields image and mask.

  Layout: `DUTS-TR-Image/*.jpg` and `DUTS-TR-Mask/*.png` (10,553 pairs), or the same with TE, the
  published test set (5,019), where the folder holds only that.

  Licence: none stated; photographs of ImageNet and SUN, research only.

  What becomes of it: masks are 255 where they were 128 or more, else 0.

  Raises:
    InputError: no such folders, or nothing in them.
  """
  photos = folder(source, 'DUTS-TR-Image', 'DUTS-TE-Image')
  masks = folder(source, photos.name.replace('Image', 'Mask'))
  found = paired(listed(photos), listed(masks), _with_mask)
  check_found(source, found, f'photos in {photos.name}/, masks in {masks.name}/')
  return Found(('image', 'mask'), found)


def msra10k(source: Path) -> Found:
  """MSRA10K (Cheng et al., TPAMI 2015), salient objects: fields image and mask.

  Layout: `NAME.jpg` beside `NAME.png`, its mask, in the folder or its `Imgs/` (10,000 pairs).

  Licence: research only.

  What becomes of it: masks are 255 where they were 128 or more, else 0.

  Raises:
    InputError: no such folder, or nothing in it.
  """
  place = folder(source, 'Imgs', '.')
  found = paired(listed(place, ('.jpg', '.jpeg')), listed(place, ('.png',)), _with_mask)
  check_found(source, found, 'photos NAME.jpg beside masks NAME.png')
  return Found(('image', 'mask'), found)


def _with_matte(photo: Path, matte: Path) -> Record:
  record = {'image': pictures.read_picture(photo), 'matte': pictures.read_matte(matte)}
  pictures.check_sizes(photo, record['image'], matte, record['matte'])
  return record


def _with_mask(photo: Path, mask: Path) -> Record:
  record = {'image': pictures.read_picture(photo), 'mask': pictures.read_mask(mask)}
  pictures.check_sizes(photo, record['image'], mask, record['mask'])
  return record
