"""The benchmark of refinement by masks on tiny scenes: its masks, errors, recalls and ratios."""

import importlib
import json
import pathlib

import cv2
import jax
import numpy as np
import pytest

from depthjax.files import weights
from depthjax.models import layered

ROOT = pathlib.Path(__file__).parents[2]
_MODEL = {'preset': 'small', 'widths': [8, 16, 40, 16], 'depths': [1, 1, 1, 1]}
_MODEL |= {'projection': 8, 'fusion': 8}
_H, _W = 70, 96


@pytest.fixture(scope='module', name='bench')
def fixture_bench():
  with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(str(ROOT / 'benchmarks'))
    yield importlib.import_module('layered')


@pytest.fixture(scope='module', name='folder')
def fixture_folder(tmp_path_factory):
  """A square before a plane in each kind of scene, and weights of a tiny network."""
  folder, square = tmp_path_factory.mktemp('scenes'), np.zeros((_H, _W), np.uint8)
  square[20:52, 30:66] = 1
  truth = np.uint8(40 + 160 * square)
  blurred = cv2.GaussianBlur(truth, (0, 0), 2)
  photo = np.random.default_rng(0).integers(0, 255, (_H, _W, 3)).astype(np.uint8)
  wide = cv2.copyMakeBorder(photo, 11, 11, 7, 7, cv2.BORDER_REPLICATE)
  files = {
    'stereo_gt/mb2003_cones': {'disp2.png': truth, 'im2.png': photo},
    'depth_sr/msgnet_A': {'art_disp.png': truth, 'art_rgb.png': wide},
    'masks/maskdepth/square-1': {
      'rgb.jpg': photo,
      'mask_u8.png': 255 * square,
      'dpt_u8.png': blurred,
      'boosting_u8.png': np.full_like(truth, 90),
      'paper_result_u8.png': truth,
    },
  }
  for name, arrays in files.items():
    (folder / name).mkdir(parents=True)
    for file, values in arrays.items():
      cv2.imwrite(str(folder / name / file), values)
  config = {'model': _MODEL, 'data': {'height': 64, 'width': 64}}
  variables = jax.tree.map(lambda x: np.full(x.shape, 0.01), layered.from_config(config)[1])
  metadata = {'task': 'layered', 'config': config}
  weights.save_weights(folder / 'tiny.safetensors', variables, metadata)
  return folder


@pytest.mark.slow
def test_tables(bench, folder, capsys):
  arguments = [str(folder), '--weights', str(folder / 'tiny.safetensors'), '--seeds', '2']
  report = bench.main([*arguments, '--input-sizes', '32', '64', '--json', str(folder / 'x.json')])
  assert json.loads((folder / 'x.json').read_text())['tables'].keys() == report.tables.keys()
  printed = capsys.readouterr().out
  assert 'skipped' in printed and 'books_disp.png does not exist' in printed
  plain, drawn = (report.tables[x] for x in ('reduced resolution', 'simulated predictor, 2 seeds'))
  for rows, scenes in ((plain, 1), (drawn, 2)):
    title = next(name for name, x in report.tables.items() if x is rows)
    each, (ratio, _) = (report.tables[f'{title}: {x}'] for x in ('RMSE at the border', 'ratios'))
    rows = {row.pop('method'): row for row in rows}
    assert list(rows)[-2:] == ['ours, 32 px', 'ours, 64 px'] and len(each) == scenes
    assert rows['initial']['R3'] == 1 < rows['fill']['R3']
    assert rows['fill']['RMSE at the border'] < rows['initial']['RMSE at the border']
    ours, initial, fill = (rows[name] for name in ('ours, 32 px', 'initial', 'fill'))
    assert ratio['of all, over initial'] == ours['RMSE of all'] / initial['RMSE of all']
    border = [np.mean([x[name] for x in each]) for name in ('ours, 32 px', 'fill')]
    assert ratio['at the border, over fill'] == pytest.approx(border[0] / border[1])
    assert ratio['R3, over fill'] == ours['R3'] / fill['R3']
  assert [x['mask'] for x in each] == pytest.approx([32 * 36 / (_H * _W)] * 2)
  rows = {row.pop('method'): row for row in report.tables['real predictor']}
  assert rows['the paper']['recall'] == rows['fill']['recall'] == 1
  assert rows['Boosting']['recall'] == 0 and rows['Boosting']['behind fill'] == 1
  assert 0 < rows['initial']['recall'] < 1 and rows['initial']['change'] == 0
  assert rows['Boosting']['change'] > 50


def test_halves_have_no_mixtures(bench, folder):
  load = bench.refinement_scenes.found(folder, ['art x8'])[0]['art x8']
  scene = bench.halved(load())
  assert scene.photo.shape == (_H // 2, _W // 2, 3) and scene.valid.all() and scene.factor == 0
  np.testing.assert_array_equal(scene.disparity, load().disparity[::2, ::2])


def test_errors_of_a_map(bench, folder):
  """Against NumPy: a fitted line, and pixels within 5 px of the other side of the mask."""
  found, _ = bench.refinement_scenes.found(folder, ['cones'])
  case, rng = bench.reduced(found['cones']()), np.random.default_rng(1)
  np.testing.assert_array_equal(case.mask, case.truth)
  noise = rng.uniform(-0.1, 0.1, case.truth.shape).astype(np.float32)
  result = bench.measured(7 - 3 * case.initial + noise, case)
  x, y = 7 - 3 * case.initial + noise, case.truth
  error = np.polyval(np.polyfit(x.ravel(), y.ravel(), 1), x) - y
  at = np.argwhere(case.mask[..., 0] > 0), np.argwhere(case.mask[..., 0] == 0)
  far = np.linalg.norm(at[0][:, None] - at[1][None], axis=-1) > 5
  near = [positions[~far.all(1 - i)] for i, positions in enumerate(at)]
  rows, columns = np.concatenate(near).T
  border = np.sqrt(np.square(error[rows, columns]).mean())
  assert result['RMSE at the border'] == pytest.approx(border, rel=1e-3)
  assert result['RMSE of all'] == pytest.approx(np.sqrt(np.square(error).mean()), rel=1e-3)


def test_bad_weights_are_refused(bench, folder, capsys):
  with pytest.raises(SystemExit) as info:
    bench.main([str(folder), '--weights', str(folder / 'none.safetensors')])
  assert info.value.code == 2 and 'none.safetensors: does not exist' in capsys.readouterr().err
