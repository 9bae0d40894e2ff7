"""`depthjax score`: means of what the pipelines say of each record, and one line for bad input."""

import functools
import json
import shutil
import sys

import jax
import numpy as np
import pytest
import tensorflow_datasets as tfds

from depthjax import cli
from depthjax.commands.work import score as command
from depthjax.data.records import evaluation
from depthjax.files import images, weights
from depthjax.models.deeplens import depthnet
from depthjax.models.deeplens.depthnet import DepthNet
from depthjax.models.deeplens.lensblur import LensBlur
from depthjax.pipelines import depth
from depthjax.pipelines.refocus import learned, refocus
from depthjax.prepare import writing
from depthjax.scoring import photographs
from tests import messages, tiny
from tests.prepare import made

_H, _W = 40, 60
_WIDTHS = (6, 6, 3, 3)


@pytest.fixture(scope='module', name='root')
def fixture_root(tmp_path_factory):
  """Prepared datasets in data/, maps/ of their disparity, and weights of both networks."""
  root = tmp_path_factory.mktemp('score')
  for i in range(3):
    photo, disparity = made.picture(i, _H, _W), _disparity(i)
    target = images.quantise(
      refocus.refocus(photo / np.float32(255), disparity, focus=0.5, radius=3)
    )
    for name, (sharp, blurred) in {
      'ebb': (f'original/{i}.png', f'bokeh/{i}.png'),
      'blb': (f'{i}/image.png', f'{i}/bokeh_00_00.png'),
    }.items():
      made.write(root / name / sharp, photo)
      made.write(root / name / blurred, target)
    made.write(root / 'nyuv2/rgb' / f'{i}.png', photo)
    made.write(root / 'nyuv2/depth' / f'{i}.png', _millimetres(i))
    np.save(root / 'blb' / f'{i}/disparity.npy', 4 * disparity)
    (root / 'maps').mkdir(exist_ok=True)
    np.save(root / 'maps' / f'{i}.npy', disparity)
  writing.prepare('blb', root / 'blb', root / 'bare')
  lens = {'blur_parameters': [0.75], 'focus_distances': [0.5]}
  (root / 'blb/info.json').write_text(json.dumps(lens))
  made.matting(root / 'aim500')
  for name in ('ebb', 'blb', 'nyuv2', 'aim500'):
    writing.prepare(name, root / name, root / 'data')
  model = LensBlur(width=4, upsampler_width=4, features=_WIDTHS, upsampler_features=_WIDTHS)
  variables = jax.jit(functools.partial(learned.initial, model))()
  _save(root / 'blur.safetensors', 'lensblur', variables, tiny.lensblur_config())
  variables = jax.jit(functools.partial(depthnet.initial, DepthNet(preset='paper', width=2)))()
  _save(root / 'depth.safetensors', 'depth', variables, tiny.depth_config())
  return root


def _save(path, task, variables, config):
  metadata = {'task': task, 'step': 0, 'config': config.to_dict()}
  weights.save_weights(path, jax.device_get(variables), metadata)


def _disparity(i):
  """Planes at 0, 0.5 and 1, their borders elsewhere in each picture."""
  result = np.zeros((_H, _W, 1), np.float32)
  result[:, _W // 4 + 5 * i :], result[:, _W // 2 + 5 * i :] = 0.5, 1
  return result


def _millimetres(i):
  """Depth of the same planes, noisy, with a hole."""
  noise = np.random.default_rng(i).uniform(0, 0.3, (_H, _W))
  values = 1000 / (0.2 + noise + _disparity(i)[..., 0])
  values[3:5, 7] = 0
  return values.astype(np.uint16)


@pytest.fixture(name='run')
def fixture_run(root, tmp_path, monkeypatch, capsys):
  """Runs a command line in the folder of the data; gives code, stdout, stderr and the JSON."""
  monkeypatch.chdir(root)

  def run(line):
    file = tmp_path / 'scores.json'
    file.unlink(missing_ok=True)
    monkeypatch.setattr('sys.argv', ['depthjax', 'score', *line.split(), f'--json={file}'])
    with pytest.raises(SystemExit) as caught:
      cli.main()
    found = json.loads(file.read_text()) if file.exists() else None
    assert list(tmp_path.iterdir()) == [file] * file.exists()
    return caught.value.code or 0, *capsys.readouterr(), found

  return run


def _rows(out):
  """The cells of the table by the name of the row."""
  lines = [line.strip('│ ').split('│') for line in out.splitlines() if line.startswith('│')]
  return {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in lines}


def test_renderers_are_scored_by_the_lens_of_the_records(run, root):
  code, out, err, found = run('data/blb --split=all --method=classical')
  assert (code, err.strip()) == (0, '')
  pairs = evaluation.open_pairs(f'tfds:{root}/data/blb', 'all')
  expected = {pair['name']: photographs.score_pair(pair, photographs.renderers()) for pair in pairs}
  assert found['records'] == expected and len(expected) == 3
  assert found['dataset'] == f'tfds:{root}/data/blb' and found['failed'] == []
  for row in expected.values():
    assert row['classical']['psnr'] > 40 > row['untouched']['psnr']
    assert (row['classical']['focus'], row['classical']['radius']) == (0.5, 3)
  means = found['means']
  assert list(means) == ['untouched', 'classical'] == list(_rows(out))
  for metric in ('psnr', 'ssim', 'psnr_edge', 'ssim_edge'):
    values = [row['untouched'][metric] for row in expected.values()]
    assert means['untouched'][metric] == pytest.approx(np.mean(values))
    assert np.std(values) > 0
  cells = [f'{means["untouched"][m]:.{n}f}' for m, n in (('psnr', 2), ('ssim', 3))]
  assert _rows(out)['untouched'][:2] == cells and _rows(out)['untouched'][-1] == '-'
  assert _rows(out)['classical'][-1] == '3.0'
  assert '3 of 3 records' in out and 'Lens: as the records say.' in out


def test_the_lens_is_searched_for_where_the_records_say_none(run):
  code, out, _, found = run('bare/blb --method=classical')
  assert code == 0 and 'Lens: for each renderer the one that suits it best.' in ' '.join(
    out.split()
  )
  (row,) = found['records'].values()
  assert row['classical']['psnr'] > 40 and row['classical']['radius'] == pytest.approx(3)


def test_all_renderers_are_scored_with_the_weights_that_ship(run, root, monkeypatch):
  ours = refocus.load(root / 'blur.safetensors')
  monkeypatch.setattr(command.refocus_lib, 'builtin', lambda: ours)
  code, out, _, found = run('data/blb --examples=1')
  assert code == 0 and list(_rows(out)) == ['untouched', 'classical', 'learned', 'hybrid']
  monkeypatch.setattr(command.refocus_lib, 'builtin', None)
  code, _, _, other = run('data/blb --examples=1 --method=learned --weights=blur.safetensors')
  assert code == 0 and list(other['means']) == ['untouched', 'learned']
  assert other['means']['learned'] == found['means']['learned']
  assert other['options']['weights'] == 'blur.safetensors'


def test_pairs_without_disparity_are_blurred_by_maps_or_by_a_network(run):
  line = 'data/ebb --split=all --method=classical --radius=2.9 --radius=1.5'
  code, out, _, found = run(f'{line} --depths=maps')
  assert code == 0 and 'one that suits it best' in ' '.join(out.split())
  for row in found['records'].values():
    assert row['classical'].keys() == {'psnr', 'ssim', 'focus', 'radius'}
    assert row['classical']['psnr'] > row['untouched']['psnr'] + 10
    assert (row['classical']['focus'], row['classical']['radius']) == (0.5, 2.9)
  code, _, _, other = run(f'{line} --depth-weights=depth.safetensors --examples=2')
  assert code == 0 and len(other['records']) == 2 and other['in_split'] == 3
  for name, row in other['records'].items():
    assert row['untouched'] == found['records'][name]['untouched']
    assert row['classical'] != found['records'][name]['classical']


def test_predicted_depth_is_scored_on_rgbd(run, root):
  code, out, err, found = run('data/nyuv2 --split=all --depth-weights=depth.safetensors')
  assert (code, err.strip()) == (0, '')
  network = depth.load('depth.safetensors')
  for record in evaluation.open_rgbd(f'tfds:{root}/data/nyuv2', 'all'):
    expected = photographs.score_depth(record, depth.predict(record['image'], network))
    assert found['records'][record['name']] == expected
  assert list(_rows(out)) == ['predicted', 'constant']
  constant = found['means']['constant']['mae_spline']
  assert _rows(out)['constant'] == [f'{constant:.4f}'] and constant > 0.2
  code, _, _, other = run('data/nyuv2 --split=all --depths=maps')
  # The maps lack the noise alone.
  assert code == 0 and 0.02 < other['means']['predicted']['mae_spline'] < 0.1
  assert other['means']['constant'] == found['means']['constant']


def test_a_dataset_is_named_as_tfds_knows_it_too(run, root, monkeypatch):
  line = f'--depths={root}/maps --examples=1'
  code, _, _, found = run(f'data/nyuv2/1.0.0 {line}')
  assert code == 0
  same = run(f'tfds:{root}/data/nyuv2 {line}')[3]
  monkeypatch.setattr(tfds.core.constants, 'DATA_DIR', str(root / 'data'))  # TFDS_DATA_DIR
  monkeypatch.chdir(root / 'maps')
  assert found['records'] == same['records'] == run(f'nyuv2 {line}')[3]['records']


def test_records_that_cannot_be_scored_are_named_and_the_rest_is_done(run, root):
  (root / 'some').mkdir()
  for i in (0, 2):
    shutil.copy(root / 'maps' / f'{i}.npy', root / 'some')
  code, out, err, found = run('data/nyuv2 --split=all --depths=some')
  lines = [line for line in err.splitlines() if 'depthjax' in line]
  assert code == 2 and len(lines) == 2
  messages.assert_one_line(lines[0] + '\n', '1: some/1: has no disparity maps; expected .npy')
  assert lines[1] == 'depthjax: 1 of 3 records failed'
  assert '2 of 3 records' in out and found['records'].keys() == {'0', '2'}
  assert found['failed'] == [lines[0].removeprefix('depthjax: ')]
  code, out, err, found = run('data/nyuv2 --split=all --depths=data')
  assert (code, out, found) == (2, '', None) and '3 of 3 records failed' in err


def test_a_number_that_was_not_measured_is_null(run, monkeypatch):
  """Records without an edge have no score there, and count for no mean of it."""
  edges = iter([np.nan, 30.0, 40.0])

  def scores(record, work, **_):
    return {'untouched': {'psnr': 20.0, 'psnr_edge': next(edges), 'ssim_edge': np.nan}}

  monkeypatch.setattr(command.photographs, 'score_pair', scores)
  code, out, _, found = run('data/blb --split=all --method=classical')
  assert code == 0
  assert found['means']['untouched'] == {'psnr': 20, 'psnr_edge': 35, 'ssim_edge': None}
  assert [row['untouched']['psnr_edge'] for row in found['records'].values()] == [None, 30, 40]
  assert _rows(out)['untouched'] == ['20.00', '35.00', '-']


_BAD = {
  'data/gone': 'tfds:data/gone: not prepared on this machine',
  'maps': '/maps: not prepared on this machine (no dataset_info.json',
  'data/blb --split=other': "'--split' 'other' 'train', 'val', 'test', 'all'",
  'tfds:{root}/data/blb:other': 'data/blb:other: not prepared on this machine',
  'data/aim500': "data/aim500: no feature 'target' or 'disparity'; it has image, matte",
  'data/ebb': 'data/ebb: the records have no disparity; give --depth-weights or --depths',
  'data/nyuv2': 'data/nyuv2: the records have no targets; give --depth-weights or --depths',
  'data/nyuv2 --depths=maps --radius=3': 'data/nyuv2: no targets; leave out --radius',
  'data/blb --weights=depth.safetensors': "task 'deeplens_depth'; expected task 'lensblur'",
  'data/ebb --depth-weights=blur.safetensors': "task 'lensblur'; expected task 'deeplens_depth'",
  'data/ebb --depth-weights=no': 'no: does not exist',
  'data/ebb --depths=no': 'no: does not exist; expected a folder of disparity maps',
  'data/ebb --depths=maps --depth-weights=no': '--depth-weights and --depths give one of them',
  'data/blb --method=classical --weights=no': '--method=classical uses no weights',
  'data/blb --method=painted': "'--method' 'painted'",
  'data/blb --radius=nan': '--radius is nan; it must be a positive number',
  'data/blb --radius=3 --radius=0': '--radius is 0;',
  'data/blb --examples=0': "'--examples'",
  'data/blb --json=maps': 'maps: is a folder; expected .json',
  'data/blb --json=no/scores.json': 'no/scores.json: there is no folder no;',
}


def _not_to_be_called(*args, **kwargs):
  raise AssertionError('scored what could not be scored')


@pytest.mark.parametrize('line', _BAD)
def test_bad_input_is_one_line_and_no_output(line, root, monkeypatch, capsys):
  monkeypatch.chdir(root)
  monkeypatch.setattr(command, '_score_all', _not_to_be_called)
  monkeypatch.setattr(sys, 'argv', ['depthjax', 'score', *line.format(root=root).split()])
  before = sorted(root.rglob('*'))
  with pytest.raises(SystemExit) as caught:
    cli.main()
  assert caught.value.code == 2
  messages.assert_one_line(capsys.readouterr().err, _BAD[line])
  assert sorted(root.rglob('*')) == before
