"""Writes small datasets of depth and disparity in their published layouts; returns their truth."""

import itertools
from typing import NamedTuple

import numpy as np
from PIL import Image

from depthjax.files import depth_formats, exr
from tests.prepare import hdf5_files, made
from tests.prepare.made import H, W


class Truth(NamedTuple):
  """An expected record, all arrays [h w ...]; `file` is its map, `valid` bool."""

  file: object
  group: str
  image: np.ndarray
  disparity: np.ndarray
  valid: np.ndarray
  unit: str


def _floats(seed, low=1, high=9):
  """Floats [h w] with some unknown values: NaN, infinite, 0 and negative."""
  values = np.random.default_rng(seed).uniform(low, high, (H, W)).astype(np.float32)
  values[0, :4] = np.nan, np.inf, 0, -1
  return values


def _levels(seed):
  return np.random.default_rng(seed).integers(0, 4, (H, W), dtype=np.uint8) * 70


def _known(values):
  return np.isfinite(values) & (values > 0)


def _photo(path, seed):
  """Writes an image; returns the stored values, which differ for JPEG."""
  made.write(path, made.picture(seed))
  return np.asarray(Image.open(path).convert('RGB'))


def _map(path, values):
  """Writes a map unchanged, in the format of the extension; returns the path."""
  path.parent.mkdir(parents=True, exist_ok=True)
  if path.suffix == '.png':
    made.write(path, values)
  elif path.suffix == '.npy':
    np.save(path, values)
  elif path.suffix == '.exr':
    exr.write_exr(path, path, values, 'Y')
  else:
    path.write_bytes(depth_formats.encode_pfm(values))
  return path


def _truth(file, group, image, metres, valid):
  inverse = np.divide(1, metres, out=np.zeros((H, W)), where=valid)
  return Truth(file, group, image, inverse, valid, '1/m')


def _write(root, rule, scenes, views, values=_floats, *, group=None, metre=None, known=_known):
  """Writes a dataset of images, maps and perhaps masks; returns the truth by name.

  `rule` has the paths of the files of a record, with `s` for a scene and `v` for a view. `group` is
  the index of the group in the path of the image, None for a group of one. `values` makes a map of
  a seed: disparity in pixels, or depth in units of 1 / `metre` metres.
  """
  result = {}
  for seed, (scene, view) in enumerate(itertools.product(scenes, views)):
    photo, file, *masks = (path.format(s=scene, v=view) for path in rule)
    name, image, stored = photo.rpartition('.')[0], _photo(root / photo, seed), values(seed)
    path, valid = _map(root / file, stored), known(stored)
    for mask in masks:
      chosen = np.random.default_rng(seed).random((H, W)) < 0.5
      valid = valid & chosen
      _map(root / mask, np.where(chosen, 255, 0).astype(np.uint8 if '.png' in mask else np.float32))
    group_name = name if group is None else photo.split('/')[group]
    if metre:
      result[name] = _truth(path, group_name, image, stored * (1 / metre), valid)
    else:
      result[name] = Truth(path, group_name, image, np.where(valid, stored, 0), valid, 'px')
  return result


def tartanair(root):
  runs = ('abandonedfactory/Easy/P000', 'abandonedfactory/Hard/P001', 'ocean/Easy/P000')
  _photo(root / runs[0] / 'image_right' / '00_right.png', 0)
  _map(root / runs[0] / 'flow' / '00_01_mask.npy', _floats(0))
  rule = '{s}/image_left/0{v}_left.png', '{s}/depth_left/0{v}_left_depth.npy'
  scenes = (*runs, 'office/office/Easy/P004')
  return _write(root, rule, scenes, range(2), group=-5, metre=1)


def mvssynth(root):
  rule = 'GTAV_540/000{s}/images/{v}.png', 'GTAV_540/000{s}/depths/{v}.exr'
  return _write(root, rule, range(3), range(2), group=-3, metre=1)


def irs(root):
  _photo(root / 'Store' / 'r_1.png', 90)
  _map(root / 'Store' / 'n_1.exr', _floats(0))
  scenes = ('Home/Day', 'Home/Night', 'Office/Hall', 'Store')
  return _write(root, ('{s}/l_{v}.png', '{s}/d_{v}.exr'), scenes, (1, 2), group=-2)


def unrealstereo4k(root):
  _map(root / '00000' / 'Disp1' / '00000.npy', _floats(0))
  rule = '0000{s}/Image0/0000{v}.png', '0000{s}/Disp0/0000{v}.npy'
  return _write(root, rule, range(3), range(2), group=-3)


def multiscopic(root):
  rule = 'test_b/{s}/view{v}.png', 'test_b/{s}/disp{v}.png'
  return _write(root, rule, range(3), range(5), _levels, group=-2)


def holopix50k(root):
  _photo(root / 'train' / 'right' / 'a_npy_right.jpg', 0)
  rule = 'train/left/{s}{v}_left.jpg', 'train/disparity/{s}{v}_left.{v}'
  values = lambda seed: _floats(seed, -20, 20)  # noqa: E731
  return _write(root, rule, 'ab', ('npy', 'pfm', 'exr'), values, known=np.isfinite)


def hrwsi(root):
  rule = '{s}/imgs/w{v}.jpg', '{s}/gts/w{v}.png', '{s}/valid_masks/w{v}.png'
  return _write(root, rule, ('train', 'val'), range(2), _levels, known=np.isfinite)


def diml(root):
  _photo(root / 'in' / 'LR' / 'bath' / 'color' / '0_c.png', 0)
  options = {'values': made.millimetres, 'metre': 1000}
  rule = 'in/HR/{s}/color/{v}_c.png', 'in/HR/{s}/depth_filled/{v}_depth_filled.png'
  truth = _write(root, rule, ('bath', 'hall'), range(2), group=-3, **options)
  rule = '{s}/outleft/{v}.png', '{s}/depthmap/{v}.png'
  return truth | _write(root, rule, ('outdoor',), range(2), **options)


def diode(root):
  path = 'val/{s}/scan_0018{v}/00010_0018{v}_000_010'
  rule = f'{path}.png', f'{path}_depth.npy', f'{path}_depth_mask.npy'
  scenes = ('indoors/scene_00019', 'outdoor/scene_00022', 'outdoor/scene_00023')
  truth = _write(root, rule, scenes, range(2), group=-3, metre=1)
  for want in truth.values():  # The files have a dimension for the channel.
    np.save(want.file, np.load(want.file)[..., None])
  return truth


def rays():
  """Distance to Hypersim's camera of the plane at depth 1, [h w]."""
  focal = 886.81 * W / 1024
  x, y = np.meshgrid(np.arange(W) + 0.5 - W / 2, np.arange(H) + 0.5 - H / 2)
  return np.linalg.norm(np.stack([x, y, np.full((H, W), focal)]), axis=0) / focal


def hypersim(root, *, planar=True):
  """Grey light with a 90th percentile of 100."""
  truth = {}
  for seed in range(6):
    scene = f'ai_001_00{seed // 2}'
    camera = f'{scene}/images/scene_cam_0{seed % 2}'
    light = np.random.default_rng(seed).permutation(np.linspace(0, 1, H * W)) ** 3
    light *= 100 / np.percentile(light, 90)
    light = np.repeat(light.reshape(H, W, 1), 3, -1).astype(np.float32)
    photo = root / f'{camera}_final_hdf5' / 'frame.0007.color.hdf5'
    file = root / f'{camera}_geometry_hdf5' / 'frame.0007.depth_meters.hdf5'
    distance = _floats(seed)
    hdf5_files.write(photo, dataset=light)
    hdf5_files.write(file, dataset=distance)
    image, metres = (light / light.max()) ** (0.5 / 2.2), distance
    if planar:
      image, metres = np.clip(0.8 * (light / 100) ** (1 / 2.2), 0, 1), distance / rays()
    image = np.rint(255 * image).astype(np.uint8)
    name = photo.relative_to(root).as_posix().removesuffix('.hdf5')
    truth[name] = _truth(file, scene, image, metres, _known(distance))
  return truth


def middlebury2021(root, scenes=('artroom1', 'artroom2', 'chess1', 'podium1'), offset=0):
  """With a scale of 1 / 255 in the header, as in the real files."""
  truth = {}
  for i, scene in enumerate(scenes):
    path = root / 'data' / scene
    for view in range(2):
      image = _photo(path / f'im{view}.png', 2 * i + view)
      pixels = _floats(2 * i + view, 20, 90)
      file = _map(path / f'disp{view}.pfm', pixels)
      file.write_bytes(file.read_bytes().replace(b'-1.0\n', b'-0.003922\n', 1))
      valid = _known(pixels)
      inverse = np.where(valid, (np.nan_to_num(pixels) + offset) / (1733.74 * 0.53662), 0)
      group = scene.partition('-')[0].rstrip('0123456789')
      truth[f'data/{scene}/im{view}'] = Truth(file, group, image, inverse, valid, '1/m')
    calibration = 'cam0=[1733.74 0 792.27; 0 1733.74 541.89; 0 0 1]\nbaseline=536.62\n'
    (path / 'calib.txt').write_text(f'{calibration}doffs={offset}\nwidth=16\nheight=12\n')
    _photo(path / 'ambient' / 'L0' / 'im0e0.png', 0)
  return truth


def middlebury2014(root):
  names = ('Bike-perfect', 'Bike-imperfect', 'Sword1-perfect', 'Mask-perfect')
  return middlebury2021(root, names, 131.111)


def cleargrasp(root):
  rule = 'real/{s}-transparent-rgb-img.jpg', 'real/{s}-opaque-depth-img.exr'
  truth = _write(root, rule, ('080', '123', '7', '8'), (0,), metre=1)
  for i, name in enumerate(truth):
    mask = np.where(made.matte(i) == 255, 255, 0).astype(np.uint8)
    made.write(root / f'{name.removesuffix("transparent-rgb-img")}mask.png', mask)
  return truth


MAKERS = {
  'cleargrasp': cleargrasp,
  **{f.__name__: f for f in (middlebury2014, middlebury2021, multiscopic, hypersim, diml, diode)},
  **{f.__name__: f for f in (tartanair, irs, unrealstereo4k, mvssynth, holopix50k, hrwsi)},
  'hypersim_published': lambda root: hypersim(root, planar=False),
}


def make(name, root):
  """Writes any dataset of the catalogue into `root`; returns that."""
  (made.MAKERS | MAKERS)[name](root)
  return root
