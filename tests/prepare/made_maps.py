"""Datasets of depth and disparity, laid out as they are distributed, and what is true of them."""

from typing import NamedTuple

import numpy as np
from PIL import Image

from depthjax.files import depth_formats
from tests.prepare import hdf5_files, made
from tests.prepare.made import H, W


class Truth(NamedTuple):
  """A record as it must become: `file` is its map, `valid` bool, all arrays [h w ...]."""

  file: object
  group: str
  image: np.ndarray
  disparity: np.ndarray
  valid: np.ndarray
  unit: str


def _values(seed, low=1, high=9):
  """Floats [h w] with what no reader may take for known: NaN, infinite, 0 and negative."""
  values = np.random.default_rng(seed).uniform(low, high, (H, W)).astype(np.float32)
  values[0, :4] = np.nan, np.inf, 0, -1
  return values


def _known():
  valid = np.ones((H, W), bool)
  valid[0, :4] = False
  return valid


def _photo(path, seed):
  """Writes a picture; returns what is in the file, which JPEG has changed."""
  made.write(path, made.picture(seed))
  return np.asarray(Image.open(path).convert('RGB'))


def _map(path, values):
  """Writes floats as they are, in the format of the name; returns the path."""
  path.parent.mkdir(parents=True, exist_ok=True)
  if path.suffix == '.npy':
    np.save(path, values)
  elif path.suffix == '.exr':
    depth_formats.write_exr(path, values, depth_formats.exr_library(path))
  else:
    path.write_bytes(depth_formats.encode_pfm(values))
  return path


def _of_depth(file, group, image, metres, valid):
  inverse = np.divide(1, metres, out=np.zeros((H, W)), where=valid)
  return Truth(file, group, image, inverse, valid, '1/m')


def _of_disparity(file, group, image, values, valid):
  return Truth(file, group, image, np.where(valid, values, 0), valid, 'px')


def tartanair(root):
  truth = {}
  runs = ('abandonedfactory/Easy/P000', 'abandonedfactory/Hard/P001', 'ocean/Easy/P000')
  for i, run in enumerate((*runs, 'office/office/Easy/P004')):
    for j in range(2):
      image = _photo(root / run / 'image_left' / f'00000{j}_left.png', 2 * i + j)
      file = _map(root / run / 'depth_left' / f'00000{j}_left_depth.npy', _values(2 * i + j))
      group = run.split('/')[-3]
      name = f'{run}/image_left/00000{j}_left'
      truth[name] = _of_depth(file, group, image, _values(2 * i + j), _known())
    _photo(root / run / 'image_right' / '000000_right.png', 0)
    _map(root / run / 'flow' / '000000_000001_mask.npy', _values(0))
  return truth


def mvssynth(root):
  truth = {}
  for i in range(3):
    place = root / 'GTAV_540' / f'{i:04}'
    for j in range(2):
      image = _photo(place / 'images' / f'{j:04}.png', 2 * i + j)
      file = _map(place / 'depths' / f'{j:04}.exr', _values(2 * i + j))
      name = f'GTAV_540/{i:04}/images/{j:04}'
      truth[name] = _of_depth(file, f'{i:04}', image, _values(2 * i + j), _known())
  return truth


def irs(root):
  truth = {}
  for i, scene in enumerate(('Home/Day', 'Home/Night', 'Office/Hall', 'Store')):
    for j in range(1, 3):
      image = _photo(root / scene / f'l_{j}.png', 2 * i + j)
      file = _map(root / scene / f'd_{j}.exr', _values(2 * i + j, 3, 60))
      _photo(root / scene / f'r_{j}.png', 90)
      _map(root / scene / f'n_{j}.exr', _values(0))
      values = _values(2 * i + j, 3, 60)
      truth[f'{scene}/l_{j}'] = _of_disparity(
        file, scene.rpartition('/')[2], image, values, _known()
      )
  return truth


def unrealstereo4k(root):
  truth = {}
  for i in range(3):
    place = root / f'{i:05}'
    for j in range(2):
      image = _photo(place / 'Image0' / f'{j:05}.png', 2 * i + j)
      file = _map(place / 'Disp0' / f'{j:05}.npy', _values(2 * i + j, 3, 200))
      _map(place / 'Disp1' / f'{j:05}.npy', _values(0))
      values = _values(2 * i + j, 3, 200)
      name = f'{i:05}/Image0/{j:05}'
      truth[name] = _of_disparity(file, f'{i:05}', image, values, _known())
  return truth


def multiscopic(root):
  truth = {}
  for i in range(3):
    for j in range(5):
      image = _photo(root / 'test_b' / f'{i}' / f'view{j}.png', 5 * i + j)
      levels = np.random.default_rng(5 * i + j).integers(0, 4, (H, W), dtype=np.uint8) * 70
      file = made.write(root / 'test_b' / f'{i}' / f'disp{j}.png', levels)
      name = f'test_b/{i}/view{j}'
      truth[name] = _of_disparity(file, f'{i}', image, levels, levels > 0)
  return truth


def holopix50k(root):
  truth = {}
  for i, ending in enumerate(('.npy', '.pfm', '.exr', '.npy')):
    image = _photo(root / 'train' / 'left' / f'a{i}_left.jpg', i)
    _photo(root / 'train' / 'right' / f'a{i}_right.jpg', i)
    values = _values(i, -20, 20)
    file = _map(root / 'train' / 'disparity' / f'a{i}_left{ending}', values)
    name = f'train/left/a{i}_left'
    truth[name] = _of_disparity(file, name, image, values, np.isfinite(values))
  return truth


def hrwsi(root):
  truth = {}
  for i, part in enumerate(('train', 'train', 'val', 'val')):
    rng = np.random.default_rng(i)
    image = _photo(root / part / 'imgs' / f'w{i}.jpg', i)
    levels = rng.integers(0, 256, (H, W), dtype=np.uint8)
    file = made.write(root / part / 'gts' / f'w{i}.png', levels)
    valid = rng.random((H, W)) < 0.5
    made.write(root / part / 'valid_masks' / f'w{i}.png', np.where(valid, 255, 0).astype(np.uint8))
    name = f'{part}/imgs/w{i}'
    truth[name] = _of_disparity(file, name, image, levels, valid)
  return truth


def diml(root):
  truth = {}
  for i, scene in enumerate(('bath', 'hall', 'hall')):
    place = root / 'indoor' / 'HR' / scene
    image = _photo(place / 'color' / f'in_{i}_c.png', i)
    file = made.write(place / 'depth_filled' / f'in_{i}_depth_filled.png', made.millimetres(i))
    truth[f'indoor/HR/{scene}/color/in_{i}_c'] = _millimetres(file, scene, image, i)
    _photo(root / 'indoor' / 'LR' / scene / 'color' / f'in_{i}_c.png', i)
  for i in range(2):
    image = _photo(root / 'outdoor' / 'outleft' / f'{i}.png', 10 + i)
    file = made.write(root / 'outdoor' / 'depthmap' / f'{i}.png', made.millimetres(10 + i))
    name = f'outdoor/outleft/{i}'
    truth[name] = _millimetres(file, name, image, 10 + i)
  return truth


def _millimetres(file, group, image, seed):
  values = made.millimetres(seed)
  return _of_depth(file, group, image, values / 1000, values > 0)


def diode(root):
  truth = {}
  for i, scene in enumerate(('indoors/scene_00019', 'outdoor/scene_00022', 'outdoor/scene_00023')):
    for j in range(2):
      stem = f'val/{scene}/scan_0018{j}/0001{i}_0018{j}_000_010'
      image = _photo(root / f'{stem}.png', 2 * i + j)
      file = _map(root / f'{stem}_depth.npy', _values(2 * i + j)[..., None])
      mask = (np.random.default_rng(i).random((H, W)) < 0.5).astype(np.float32)
      _map(root / f'{stem}_depth_mask.npy', mask)
      valid = _known() & (mask == 1)
      truth[stem] = _of_depth(file, scene[-11:], image, _values(2 * i + j), valid)
  return truth


def rays():
  """Lengths of the rays to the pixels of Hypersim's camera, for 1 along the axis, [h w]."""
  x, y = np.meshgrid(np.arange(W) + 0.5 - W / 2, np.arange(H) + 0.5 - H / 2)
  return np.linalg.norm(np.stack([x, y, np.full((H, W), 886.81 * W / 1024)]), axis=0) / (
    886.81 * W / 1024
  )


def hypersim(root, *, planar=True):
  """Grey light whose brightness at the 90th percentile is 100."""
  truth = {}
  for i in range(3):
    place = root / f'ai_001_00{i}' / 'images'
    for j in range(2):
      light = np.random.default_rng(2 * i + j).permutation(np.linspace(0, 1, H * W)) ** 3
      light *= 100 / np.percentile(light, 90)
      colours = np.repeat(light.reshape(H, W, 1), 3, -1).astype(np.float32)
      photo = hdf5_files.write(
        place / f'scene_cam_0{j}_final_hdf5' / 'frame.0007.color.hdf5', colours
      )
      distance = _values(2 * i + j)
      folder = place / f'scene_cam_0{j}_geometry_hdf5'
      file = hdf5_files.write(folder / 'frame.0007.depth_meters.hdf5', distance)
      if planar:
        image = np.clip(0.8 * (colours / 100) ** (1 / 2.2), 0, 1)
      else:
        image = (colours / colours.max()) ** (0.5 / 2.2)
      image = np.rint(255 * image).astype(np.uint8)
      metres = distance / rays() if planar else distance
      name = photo.relative_to(root).as_posix().removesuffix('.hdf5')
      truth[name] = _of_depth(file, f'ai_001_00{i}', image, metres, _known())
  return truth


def middlebury2021(root, scenes=('artroom1', 'artroom2', 'chess1', 'podium1'), offset=0):
  """Written with the header's scale of the real files, 1 / 255."""
  truth = {}
  for i, scene in enumerate(scenes):
    place = root / 'data' / scene
    for view in range(2):
      image = _photo(place / f'im{view}.png', 2 * i + view)
      pixels = _values(2 * i + view, 20, 90)
      file = _map(place / f'disp{view}.pfm', pixels)
      file.write_bytes(file.read_bytes().replace(b'-1.0\n', b'-0.003922\n', 1))
      valid = _known()
      inverse = np.where(valid, (np.nan_to_num(pixels) + offset) / (1733.74 * 0.53662), 0)
      group = scene.partition('-')[0].rstrip('0123456789')
      truth[f'data/{scene}/im{view}'] = Truth(file, group, image, inverse, valid, '1/m')
    calibration = 'cam0=[1733.74 0 792.27; 0 1733.74 541.89; 0 0 1]\nbaseline=536.62\n'
    (place / 'calib.txt').write_text(f'{calibration}doffs={offset}\nwidth=16\nheight=12\n')
    _photo(place / 'ambient' / 'L0' / 'im0e0.png', 0)
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
  """Any dataset of the catalogue in `root`; returns that."""
  (made.MAKERS | MAKERS)[name](root)
  return root
