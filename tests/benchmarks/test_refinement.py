"""The benchmark of refinement: it reads its scenes, and its table ranks what is better first."""

import importlib
import json
import pathlib

import cv2
import numpy as np
import pytest

from depthjax.pipelines.refine import refine
from tests import refiners

ROOT = pathlib.Path(__file__).parents[2]
_REAL = ROOT.parent / 'shared' / 'data'
_H, _W = 96, 128


@pytest.fixture(scope='module', name='modules')
def fixture_modules():
  """The scripts by name, imported as they import each other."""
  with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(str(ROOT / 'benchmarks'))
    yield {name: importlib.import_module(name) for name in ('refinement', 'refinement_scenes')}


def _boxes():
  """Levels of disparity 60 to 180, uint8."""
  levels = np.full((_H, _W), 60, np.uint8)
  levels[20:70, 15:70] = 120
  levels[40:90, 50:110] = 180
  return levels


def _write(folder, **pictures):
  folder.mkdir(parents=True)
  for name, pixels in pictures.items():
    assert cv2.imwrite(str(folder / f'{name}.png'), pixels)


@pytest.fixture
def root(tmp_path):
  """A stereo scene with a hole, and one at full resolution; photographs have the same edges."""
  levels = _boxes()
  photo = np.repeat(levels[..., None], 3, axis=-1)
  holed = levels.copy()
  holed[30:34, 30:34] = 0
  _write(tmp_path / 'stereo_gt' / 'mb2005_art', disp1=holed, view1=photo)
  rim = ((11, 11), (7, 7), (0, 0))
  _write(tmp_path / 'depth_sr' / 'msgnet_A', art_disp=levels, art_rgb=np.pad(photo, rim))
  target = cv2.GaussianBlur(levels.astype(np.uint16) * 257, (0, 0), 6)
  _write(tmp_path / 'depth_sr' / 'bilateral_solver_art', target=target)
  return tmp_path


def test_scenes_are_read_in_pixels_and_what_is_missing_is_named(modules, root):
  scenes, absent = modules['refinement_scenes'].found(root)
  assert list(scenes) == ['art', 'art x8', 'art x16', 'art noisy']
  assert root / 'stereo_gt/mb2003_cones/disp2.png' in absent and len(absent) == 6 * 2 + 2
  stereo = scenes['art']()
  assert not stereo.valid[32, 32] and stereo.valid.mean() > 0.99
  np.testing.assert_array_equal(stereo.disparity[stereo.valid], (_boxes() / 3)[stereo.valid])
  full = scenes['art x8']()
  np.testing.assert_array_equal(full.disparity, _boxes())
  np.testing.assert_allclose(full.photo[..., 0], _boxes() / 255, atol=1e-6)
  assert full.photo.shape == (_H, _W, 3) and full.valid.all()


def test_low_maps_are_of_the_size_and_noise_that_their_names_tell(modules, root):
  lib = modules['refinement_scenes']
  for name, size, deviation in (('art x8', (12, 16), 5), ('art x16', (6, 8), 5)):
    scene = lib.SCENES[name](root)
    cases = [lib.case(scene, seed) for seed in range(20)]
    assert {(case.small.shape, case.low.shape) for case in cases} == {((*size, 1), (_H, _W, 1))}
    spread = np.std([case.small for case in cases], axis=0)
    assert np.mean(spread) == pytest.approx(deviation, rel=0.15)
    clean = cv2.resize(_boxes(), size[::-1], interpolation=cv2.INTER_AREA)
    assert abs(np.mean([case.small[..., 0] for case in cases], axis=0) - clean).mean() < 2
  given = lib.case(lib.SCENES['art noisy'](root), 0)
  blurred = cv2.GaussianBlur(_boxes().astype(float), (0, 0), 6)
  np.testing.assert_allclose(given.low[..., 0], blurred, atol=0.01)
  assert given.small.shape == (6, 8, 1)
  predicted = lib.case(lib.SCENES['art'](root), 0)
  assert predicted.small.shape == (21, 28, 1)
  again = lib.case(lib.SCENES['art'](root), 0)
  np.testing.assert_array_equal(predicted.high, again.high)
  assert (predicted.high != lib.case(lib.SCENES['art'](root), 1).high).any()


def test_the_table_tells_sharp_from_blurred(modules, root, tmp_path, capsys, monkeypatch):
  monkeypatch.setattr(refine, 'load', lambda path: refiners.mixing(float(path)))
  arguments = [str(root), '--scenes', 'art', 'art noisy', 'cones', '--seeds', '2']
  arguments += ['--pictures', str(tmp_path / 'out'), '--json', str(tmp_path / 'scores.json')]
  arguments += ['--weights', 'half=0.5', 'whole=1']
  report = modules['refinement'].main(arguments)
  mean, each = report.tables.values()
  found = {row['method']: row for row in mean}
  assert list(found) == [
    'initial', 'high alone', 'bicubic', 'guided by the photo', 'guided by high',
    'guided by high, fast', 'Poisson', 'half, aligned as a whole', 'half',
    'whole, aligned as a whole', 'whole',
  ]  # fmt: skip
  value = lambda method, column: float(found[method][column].split()[0])  # noqa: E731
  for better, worse in (('Poisson', 'initial'), ('guided by high', 'bicubic')):
    assert value(better, 'RMSE, px') < value(worse, 'RMSE, px')
    assert value(better, 'recall') > value(worse, 'recall')
    assert value(better, 'REL') < value(worse, 'REL')
  assert value('initial', 'recall') < value('half', 'recall') < value('whole', 'recall')
  assert value('half', 'REL') != value('whole', 'REL')
  assert value('whole', 'REL') != value('whole, aligned as a whole', 'REL')
  assert found['initial']['REL'].endswith('(1.00)')
  ratio = value('Poisson', 'RMSE, px') / value('initial', 'RMSE, px')
  assert float(found['Poisson']['RMSE, px'].rpartition('(')[2][:-1]) == pytest.approx(
    ratio, abs=0.02
  )
  assert len(each) == 22 and {row['scene'] for row in each} == {'art', 'art noisy'}
  picture = cv2.imread(str(tmp_path / 'out/art_noisy.png'))
  assert picture.shape == (2 * _H, 13 * _W, 3)
  assert picture[:_H, -_W:].std() > 10 > picture[_H:, -_W:].std()
  holed = cv2.imread(str(tmp_path / 'out/art.png'))[_H:, _W : 2 * _W]
  assert holed[30:34, 30:34].max() == 0 < holed.max()
  assert json.loads((tmp_path / 'scores.json').read_text(encoding='utf-8'))['tables']
  out = capsys.readouterr().out
  assert 'left out: there is no' in out and 'mb2003_cones/disp2.png' in out


def test_a_folder_without_scenes_is_one_line(modules, tmp_path, capsys):
  assert modules['refinement'].main([str(tmp_path / 'none'), '--scenes', 'art']) is None
  last = capsys.readouterr().out.splitlines()[-1]
  assert last == f'nothing to measure: {tmp_path / "none"} has none of the scenes'


def test_weights_that_cannot_be_read_are_one_line(modules, tmp_path, capsys):
  with pytest.raises(SystemExit):
    modules['refinement'].main([str(tmp_path), '--weights', f'ours={tmp_path / "none"}'])
  error = capsys.readouterr().err
  assert f'error: argument --weights: {tmp_path / "none"}: does not exist; expected' in error


@pytest.mark.parametrize('kind', ['stereo_gt', 'depth_sr'])
def test_real_scenes_have_plausible_disparity_and_photographs_that_fit(modules, kind):
  if not (_REAL / kind).is_dir():
    pytest.skip(f'no real data: there is no folder {_REAL / kind}')
  scenes, absent = modules['refinement_scenes'].found(_REAL)
  assert not absent and len(scenes) == 12
  for name, load in scenes.items():
    if (kind == 'stereo_gt') == name.isalpha():
      scene = load()
      assert scene.photo.shape == (*scene.disparity.shape, 3)
      assert scene.valid.mean() > 0.75
      low, high = np.quantile(scene.disparity[scene.valid], (0.01, 0.99))
      assert 3 < low < high < 256 and high / low > 1.3
