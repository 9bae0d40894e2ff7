"""Writes small datasets of depth and disparity in their published layouts; returns their truth."""

from typing import NamedTuple

import numpy as np
from PIL import Image

from depthjax.files import depth_formats
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
    depth_formats.write_exr(path, path, values)
  else:
    path.write_bytes(depth_formats.encode_pfm(values))
  return path


def _truth(file, group, image, metres, valid):
  inverse = np.divide(1, metres, out=np.zeros((H, W)), where=valid)
  return Truth(file, group, image, inverse, valid, '1/m')


def _write(root, items, values, *, unit='px', scale=1, known=_known):
  """Writes the items (photo, map, group or None, mask or nothing); returns the truth by name.

  `values` makes a map of a seed; times `scale` it is in metres if the unit is '1/m'.
  """
  result = {}
  for seed, (photo, file, group, *masks) in enumerate(items):
    name, image, stored = photo.rpartition('.')[0], _photo(root / photo, seed), values(seed)
    path, valid = _map(root / file, stored), known(stored)
    for mask in masks:
      chosen = np.random.default_rng(seed).random((H, W)) < 0.5
      valid = valid & chosen
      _map(root / mask, np.where(chosen, 255, 0).astype(np.uint8 if '.png' in mask else np.float32))
    if unit == 'px':
      disparity = np.where(valid, stored, 0)
      result[name] = Truth(path, group or name, image, disparity, valid, unit)
    else:
      result[name] = _truth(path, group or name, image, stored * scale, valid)
  return result


def tartanair(root):
  runs = ('abandonedfactory/Easy/P000', 'abandonedfactory/Hard/P001', 'ocean/Easy/P000')
  items = [
    (f'{run}/image_left/0{j}_left.png', f'{run}/depth_left/0{j}_left_depth.npy', run.split('/')[-3])
    for run in (*runs, 'office/office/Easy/P004')
    for j in range(2)
  ]
  _photo(root / runs[0] / 'image_right' / '00_right.png', 0)
  _map(root / runs[0] / 'flow' / '00_01_mask.npy', _floats(0))
  return _write(root, items, _floats, unit='1/m')


def mvssynth(root):
  items = [
    (f'GTAV_540/000{i}/images/{j}.png', f'GTAV_540/000{i}/depths/{j}.exr', f'000{i}')
    for i in range(3)
    for j in range(2)
  ]
  return _write(root, items, _floats, unit='1/m')


def irs(root):
  items = [
    (f'{scene}/l_{j}.png', f'{scene}/d_{j}.exr', scene.rpartition('/')[2])
    for scene in ('Home/Day', 'Home/Night', 'Office/Hall', 'Store')
    for j in range(1, 3)
  ]
  _photo(root / 'Store' / 'r_1.png', 90)
  _map(root / 'Store' / 'n_1.exr', _floats(0))
  return _write(root, items, _floats)


def unrealstereo4k(root):
  items = [
    (f'0000{i}/Image0/0000{j}.png', f'0000{i}/Disp0/0000{j}.npy', f'0000{i}')
    for i in range(3)
    for j in range(2)
  ]
  _map(root / '00000' / 'Disp1' / '00000.npy', _floats(0))
  return _write(root, items, _floats)


def multiscopic(root):
  items = [
    (f'test_b/{i}/view{j}.png', f'test_b/{i}/disp{j}.png', f'{i}')
    for i in range(3)
    for j in range(5)
  ]
  return _write(root, items, _levels)


def holopix50k(root):
  items = [
    (f'train/left/a{i}_left.jpg', f'train/disparity/a{i}_left{extension}', None)
    for i, extension in enumerate(('.npy', '.pfm', '.exr', '.npy'))
  ]
  _photo(root / 'train' / 'right' / 'a0_right.jpg', 0)
  return _write(root, items, lambda seed: _floats(seed, -20, 20), known=np.isfinite)


def hrwsi(root):
  items = [
    (f'{part}/imgs/w{i}.jpg', f'{part}/gts/w{i}.png', None, f'{part}/valid_masks/w{i}.png')
    for i, part in enumerate(('train', 'train', 'val', 'val'))
  ]
  return _write(root, items, _levels, known=np.isfinite)


def diml(root):
  items = [
    (f'in/HR/{scene}/color/{i}_c.png', f'in/HR/{scene}/depth_filled/{i}_depth_filled.png', scene)
    for i, scene in enumerate(('bath', 'hall', 'hall'))
  ]
  items += [(f'outdoor/outleft/{i}.png', f'outdoor/depthmap/{i}.png', None) for i in range(2)]
  _photo(root / 'in' / 'LR' / 'bath' / 'color' / '0_c.png', 0)
  return _write(root, items, made.millimetres, unit='1/m', scale=1 / 1000)


def diode(root):
  paths = [
    f'val/{scene}/scan_0018{j}/0001{i}_0018{j}_000_010'
    for i, scene in enumerate(('indoors/scene_00019', 'outdoor/scene_00022', 'outdoor/scene_00023'))
    for j in range(2)
  ]
  items = [
    (f'{path}.png', f'{path}_depth.npy', path.split('/')[2], f'{path}_depth_mask.npy')
    for path in paths
  ]
  truth = _write(root, items, _floats, unit='1/m')
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
    if planar:
      image = np.clip(0.8 * (light / 100) ** (1 / 2.2), 0, 1)
    else:
      image = (light / light.max()) ** (0.5 / 2.2)
    image = np.rint(255 * image).astype(np.uint8)
    metres = distance / rays() if planar else distance
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


MAKERS = {
  'middlebury2014': middlebury2014,
  'middlebury2021': middlebury2021,
  'multiscopic': multiscopic,
  'hypersim': hypersim,
  'hypersim_published': lambda root: hypersim(root, planar=False),
  'diml': diml,
  'diode': diode,
  'tartanair': tartanair,
  'irs': irs,
  'unrealstereo4k': unrealstereo4k,
  'mvssynth': mvssynth,
  'holopix50k': holopix50k,
  'hrwsi': hrwsi,
}


def make(name, root):
  """Writes any dataset of the catalogue into `root`; returns that."""
  (made.MAKERS | MAKERS)[name](root)
  return root
