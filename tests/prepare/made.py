"""Writes small datasets of images and pairs in their published layouts."""

import json

import cv2
import numpy as np

from depthjax.files import depth, depth_formats
from depthjax.files.errors import InputError

H, W = 12, 16


def picture(seed, h=H, w=W):
  """Noise, uint8 [h w 3]."""
  return np.random.default_rng(seed).integers(0, 256, (h, w, 3), dtype=np.uint8)


def matte(seed, h=H, w=W):
  """Opaque in the centre, random below 250 elsewhere, uint8 [h w]."""
  values = np.random.default_rng(seed).integers(0, 249, (h, w), dtype=np.uint8)
  values[3:9, 4:12] = 255
  return values


def write(path, values):
  """Writes uint8 or uint16, RGB or grey, in the format of the extension; returns the path."""
  path.parent.mkdir(parents=True, exist_ok=True)
  values = values[..., ::-1] if values.ndim == 3 else values
  assert cv2.imwrite(str(path), np.ascontiguousarray(values))
  return path


def truncate(path):
  path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def ebb(root, count=8):
  for i in range(count):
    write(root / 'original' / f'{i}.png', picture(i))
    write(root / 'bokeh' / f'{i}.png', picture(100 + i))
  return root


def blb(root, scenes=3, *, kind='.png', lens=True):
  """Two blur levels, two focus distances 1 and 4; depth from 1 to 4."""
  for i in range(scenes):
    scene = root / f'{270 + i}'
    scene.mkdir(parents=True)
    _write_image(scene / f'image{kind}', picture(i))
    for number, name in enumerate(('00_00', '00_01', '01_00', '01_01')):
      _write_image(scene / f'bokeh_{name}{kind}', picture(10 + 4 * i + number))
    depth.write_depth(scene / 'depth.pfm', blb_depth(i))
  if lens:
    fields = {'blur_parameters': [4, 8], 'focus_distances': [1, 4]}
    (root / 'info.json').write_text(json.dumps(fields))
  return root


def blb_depth(i):
  values = np.random.default_rng(i).uniform(1, 4, (H, W)).astype(np.float32)
  values[0, 0], values[0, 1] = 1, 4
  return values


def _write_image(path, values):
  if path.suffix != '.exr':
    return write(path, values)
  import OpenEXR  # An optional package.

  light = (values / 255) ** 2.2
  header = {'compression': OpenEXR.ZIP_COMPRESSION, 'type': OpenEXR.scanlineimage}
  channels = {name: light[..., i].astype(np.float32) for i, name in enumerate('RGB')}
  with OpenEXR.File(header, channels) as file:
    file.write(str(path))


def nyuv2(root, count=8):
  """Depth in millimetres, with unknown pixels."""
  for i in range(count):
    write(root / 'rgb' / f'{i}.png', picture(i))
    write(root / 'depth' / f'{i}.png', millimetres(i))
  return root


def millimetres(i):
  values = np.random.default_rng(i).integers(500, 9000, (H, W), dtype=np.uint16)
  values[2:4, 5] = 0
  return values


def middlebury(root):
  """One scene each of 2014 (with a calibration), 2005, 2003 and 2001."""
  new = root / '2014' / 'Bike-perfect'
  write(new / 'im0.png', picture(0))
  (new / 'disp0.pfm').write_bytes(depth_formats.encode_pfm(pixels()))
  calibration = 'cam0=[500.5 0 8; 0 500.5 6; 0 0 1]\ndoffs=2.5\nbaseline=200\nwidth=16\n'
  (new / 'calib.txt').write_text(calibration)
  for name, view, disparity, h in (
    ('2005/Art', 'view1.png', 'disp1.png', 370),
    ('2003/cones', 'im2.png', 'disp2.png', 375),
    ('2001/venus', 'im2.ppm', 'disp2.pgm', 383),
  ):
    write(root / name / view, picture(1, h, W))
    write(root / name / disparity, levels(h))
  write(root / '2005' / 'Art' / 'Illum1' / 'Exp0' / 'view1.png', picture(2))
  return root


def pixels():
  values = np.random.default_rng(0).uniform(5, 60, (H, W)).astype(np.float32)
  values[0, :3] = np.inf
  return values


def levels(h):
  values = np.random.default_rng(h).integers(1, 256, (h, W), dtype=np.uint8)
  values[:, 0] = 0
  return values


def matting(root, photos='original', mattes='mask', count=8):
  for i in range(count):
    write(root / photos / f'o_{i}.png', picture(i))
    write(root / mattes / f'o_{i}.png', matte(i))
  return root


def duts(root, count=8):
  return matting(root, 'DUTS-TR-Image', 'DUTS-TR-Mask', count)


def msra10k(root, count=8):
  for i in range(count):
    write(root / 'Imgs' / f'{i}.jpg', picture(i))
    write(root / 'Imgs' / f'{i}.png', matte(i))
  return root


def trans10k(root, folders=('images', 'masks'), ending='_mask'):
  """Masks of every coding, in grey and in colour."""
  for i, code in enumerate((255, 254, 127, 1, (255, 0, 0), (0, 0, 200))):
    path = root / ('train', 'test/easy')[i % 2]
    write(path / folders[0] / f'{i}.jpg', picture(i))
    covered = (matte(i) == 255).astype(np.uint8)
    write(path / folders[1] / f'{i}{ending}.png', np.multiply.outer(covered, np.uint8(code)))
  return root


def msd(root):
  return trans10k(root, ('image', 'mask'), '')


def booster(root, h=H, w=W):
  """Scenes under two lights; disparity from 20 to 60 px, 0 unknown; the last without ToM."""
  for i in range(4):
    scene = root / 'train' / 'balanced' / f'S{i}'
    for light in range(2):
      write(scene / 'camera_00' / f'im{light}.png', picture(2 * i + light, h, w))
    for other in ('camera_02/im0.png', 'camera_00/mask.png'):
      write(scene / other, picture(9, h, w))
    rng = np.random.default_rng(i)
    disparity = rng.uniform(20, 60, (h, w)).astype(np.float32)
    disparity[:2, :3] = 0
    np.save(scene / 'disp_00.npy', disparity)
    write(scene / 'mask_cat.png', rng.integers(0, 2 if i == 3 else 4, (h, w), dtype=np.uint8))
    (scene / 'calib_00-02.xml').write_text(BOOSTER)
  return root


BOOSTER = """<?xml version="1.0"?>
<opencv_storage>
<proj_matL type_id="opencv-matrix"><rows>3</rows><cols>4</cols><dt>d</dt>
<data>500. 0. 8. 0. 0. 500. 6. 0. 0. 0. 1. 0.</data></proj_matL>
<baselineLR>60.</baselineLR>
</opencv_storage>
"""

MAKERS = {f.__name__: f for f in (ebb, blb, nyuv2, middlebury, duts, msra10k)}
MAKERS |= {f.__name__: f for f in (trans10k, msd, booster)}
MAKERS |= {'aim500': matting, 'p3m10k': lambda root: matting(root, 'blurred_image')}


def bad(entries):
  """The error messages of the bad entries, by name."""
  found = {}
  for entry in entries:
    try:
      entry.load()
    except InputError as error:
      found[entry.name] = str(error)
  return found
