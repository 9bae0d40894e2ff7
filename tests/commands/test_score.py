"""`depthjax score`: means of the pipelines' scores, failed records, and refused input."""

import json
import shutil

import numpy as np
import pytest
import tensorflow_datasets as tfds

from depthjax.commands.work import score as command
from depthjax.data.records import evaluation
from depthjax.files import images
from depthjax.pipelines import depth
from depthjax.pipelines import predictors as predictors_lib
from depthjax.pipelines.refocus import refocus
from depthjax.prepare import writing
from depthjax.scoring import photographs, tom
from tests.commands import made as networks
from tests.prepare import made

_H, _W = 40, 60


@pytest.fixture(scope='module', name='root')
def fixture_root(tmp_path_factory):
  """Prepared datasets in data/, disparity in maps/, and weights of both networks."""
  root = tmp_path_factory.mktemp('score')
  (root / 'maps').mkdir()
  for i in range(3):
    photo, disparity = made.picture(i, _H, _W), np.zeros((_H, _W, 1), np.float32)
    # Planes at 0, 0.5 and 1; their borders differ between pictures.
    disparity[:, _W // 4 + 5 * i :], disparity[:, _W // 2 + 5 * i :] = 0.5, 1
    blurred = refocus.refocus(photo / np.float32(255), disparity, focus=0.5, radius=3)
    for path in (f'ebb/original/{i}.png', f'blb/{i}/image.png', f'nyuv2/rgb/{i}.png'):
      made.write(root / path, photo)
    for path in (f'ebb/bokeh/{i}.png', f'blb/{i}/bokeh_00_00.png'):
      made.write(root / path, images.quantise(blurred))
    millimetres = 1000 / (0.2 + disparity[..., 0])
    made.write(root / f'nyuv2/depth/{i}.png', millimetres.astype(np.uint16))
    np.save(root / f'blb/{i}/disparity.npy', 4 * disparity)
    np.save(root / f'maps/{i}.npy', disparity)
  lens = {'blur_parameters': [0.75], 'focus_distances': [0.5]}
  (root / 'blb/info.json').write_text(json.dumps(lens))
  for name in ('ebb', 'blb', 'nyuv2'):
    writing.prepare(name, root / name, root / 'data')
  made.booster(root / 'booster', _H, _W)
  writing.prepare('booster', root / 'booster', root / 'data')
  writing.prepare('booster', root / 'booster', root / 'reduced', long_side=48)
  networks.save_lensblur(root / 'blur.safetensors')
  networks.save_depth(root / 'depth.safetensors')
  return root


@pytest.fixture(name='score')
def fixture_score(run, root, tmp_path, monkeypatch):
  """Runs `score` in the data folder; returns exit code, stdout, stderr and the JSON."""
  monkeypatch.chdir(root)
  file = tmp_path / 'scores.json'

  def score(line):
    file.unlink(missing_ok=True)
    result = run(f'score {line} --json={file}')
    return *result, json.loads(file.read_text()) if file.exists() else None

  return score


def _rows(out):
  """Cells of the printed table by the name of the row."""
  lines = [line.strip('│ ').split('│') for line in out.splitlines() if line.startswith('│')]
  return {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in lines}


def test_renderers_are_scored_with_the_lens_of_the_records(score, root):
  code, out, err, found = score('data/blb --split=all --method=classical')
  assert (code, err.strip()) == (0, '')
  pairs = evaluation.open_records(f'tfds:{root}/data/blb', 'all')
  expected = {pair['name']: photographs.score_pair(pair, photographs.renderers()) for pair in pairs}
  assert found['records'] == expected and found['failed'] == []
  assert found['dataset'] == f'tfds:{root}/data/blb'
  mean = np.mean([row['untouched']['ssim'] for row in expected.values()])
  assert found['means']['untouched']['ssim'] == pytest.approx(mean)
  assert list(_rows(out)) == ['untouched', 'classical']
  assert _rows(out)['untouched'][1] == f'{mean:.3f}'
  assert _rows(out)['untouched'][-1] == '-' and _rows(out)['classical'][-1] == '3.0'
  assert '3 of 3 records' in out and 'Lens: as in the records.' in out


def test_all_renderers_are_scored_with_the_built_in_or_given_weights(score, root, monkeypatch):
  ours = refocus.load(root / 'blur.safetensors')
  monkeypatch.setattr(refocus, 'builtin', lambda: ours)
  code, out, _, found = score('data/blb --examples=1')
  assert code == 0 and list(_rows(out)) == ['untouched', 'classical', 'learned', 'hybrid']
  code, _, _, other = score('data/blb --examples=1 --method=learned --weights=blur.safetensors')
  assert code == 0 and list(other['means']) == ['untouched', 'learned']
  assert other['means']['learned'] == found['means']['learned']
  assert [*other['options'].values()] == [
    *(['learned'], 'blur.safetensors', [], None, None, 'plain')
  ]


def test_pairs_without_disparity_are_rendered_with_maps_or_a_network(score):
  line = 'data/ebb --split=all --method=classical --radius=2.9 --radius=1.5'
  code, out, _, found = score(f'{line} --depths=maps')
  assert code == 0 and 'Lens: the best one for each renderer' in out
  for row in found['records'].values():
    assert (row['classical']['focus'], row['classical']['radius']) == (0.5, 2.9)
  code, _, _, other = score(f'{line} --predictor=depth.safetensors --examples=2')
  assert code == 0 and len(other['records']) == 2 and other['in_split'] == 3
  for name, row in other['records'].items():
    assert row['untouched'] == found['records'][name]['untouched']
    assert row['classical'] != found['records'][name]['classical']


def test_predicted_disparity_is_scored_on_rgbd(score, root, monkeypatch):
  code, out, err, found = score('data/nyuv2 --split=all --predictor=depth.safetensors')
  assert (code, err.strip()) == (0, '')
  network = predictors_lib.load('depth.safetensors')
  for record in evaluation.open_records(f'tfds:{root}/data/nyuv2', 'all'):
    expected = photographs.score_depth(record, depth.predict(record['image'], network))
    assert found['records'][record['name']] == expected
  constant = found['means']['constant']['mae_spline']
  assert list(_rows(out)) == ['predicted', 'constant']
  assert _rows(out)['constant'] == [f'{constant:.4f}']
  # A dataset may be a folder, a URL of this program or a name of TFDS.
  monkeypatch.setattr(tfds.core.constants, 'DATA_DIR', str(root / 'data'))  # TFDS_DATA_DIR
  monkeypatch.chdir(root / 'data')
  records = [
    score(f'{dataset} --examples=1 --depths={root}/maps')[3]['records']
    for dataset in ('nyuv2/1.0.0', f'tfds:{root}/data/nyuv2', 'nyuv2')
  ]
  assert records[0] == records[1] == records[2]


@pytest.mark.parametrize('protocol', ['plain', 'published'])
def test_classes_of_surfaces_are_scored_on_booster(protocol, score, root):
  records = list(evaluation.open_records(f'tfds:{root}/data/booster', 'all'))
  line = f'data/booster --split=all --protocol={protocol}'
  code, out, err, found = score(f'{line} --predictor=depth.safetensors')
  assert (code, err.strip()) == (0, '') and found['options']['protocol'] == protocol
  network = predictors_lib.load('depth.safetensors')
  for record in records:
    # At the network's size and in its range.
    raw = depth.network_output(record['image'], network)
    expected = tom.score(record, raw, published=protocol == 'published')
    assert found['records'][record['name']] == expected
    # Maps of another aspect ratio than the photo, as labels have it.
    path = root / 'raw' / f'{record["name"]}.npy'
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, 5 - 3 * raw[..., 0])
  # The scene without ToM does not count in their mean.
  some = [row['tom']['mae'] for row in found['records'].values() if row['tom']]
  assert len(some) == 6 and found['means']['tom']['mae'] == pytest.approx(np.mean(some))
  assert list(_rows(out)) == ['all', 'tom', 'other'] and len(_rows(out)['tom']) == 8
  assert _rows(out)['tom'][5] == f'{np.mean(some):.2f}'
  assert ('every fourth pixel' in ' '.join(out.split())) == (protocol == 'published')
  code, _, _, other = score(f'{line} --depths=raw')
  assert code == 0 and other['means'].keys() == found['means'].keys()
  for kind, row in other['means'].items():
    assert row == pytest.approx(found['means'][kind], rel=1e-3)


def test_failed_records_are_named_and_the_others_are_scored(score, root):
  shutil.copytree(root / 'maps', root / 'some')
  (root / 'some/1.npy').unlink()
  code, out, err, found = score('data/nyuv2 --split=all --depths=some')
  lines = [line for line in err.splitlines() if 'depthjax' in line]
  assert code == 2 and lines[1] == 'depthjax: 1 of 3 records failed'
  assert lines[0].startswith('depthjax: 1: some/1: has no disparity maps; expected one')
  assert '2 of 3 records' in out and found['records'].keys() == {'0', '2'}
  assert found['failed'] == [lines[0].removeprefix('depthjax: ')]
  code, out, err, found = score('data/nyuv2 --split=all --depths=data')
  assert (code, out, found) == (2, '', None) and '3 of 3 records failed' in err


def test_absent_scores_are_left_out_and_nan_stays_and_fails(score, monkeypatch):
  rows = ({'psnr': 20.0}, {'psnr': 20.0, 'psnr_edge': 30.0}, {'psnr': np.nan, 'psnr_edge': 40.0})
  scores = ({'photo': row, 'blank': {'psnr': 1.0}} for row in rows)
  monkeypatch.setattr(photographs, 'score_pair', lambda *_, **__: next(scores))
  code, out, err, found = score('data/blb --split=all --method=classical')
  assert code == 1 and '1 of 3 records have NaN scores' in err
  assert found['means']['photo'] == {'psnr': None, 'psnr_edge': 35}
  assert found['records'].popitem()[1]['photo'] == {'psnr': None, 'psnr_edge': 40}
  assert _rows(out) == {'photo': ['nan', '35.00'], 'blank': ['1.00', '-']}


_BAD = {
  'maps': '/maps: not prepared on this machine (no dataset_info.json',
  'data/ebb': 'data/ebb: the records have no disparity; give --predictor or --depths',
  'data/nyuv2': 'data/nyuv2: no wide-aperture targets, depth; give --predictor or --depths',
  'data/nyuv2 --depths=maps --radius=3': 'data/nyuv2: no wide-aperture targets; omit --radius',
  'data/blb --weights=depth.safetensors': 'depth.safetensors: expected task',
  'data/ebb --depths=no': 'no: does not exist; expected a folder of disparity maps',
  'data/ebb --depths=maps --predictor=no': '--predictor and --depths; give one of them',
  'data/blb --method=classical --weights=no': '--weights --method=classical; omit one of them',
  'data/blb --radius=3 --radius=0': '--radius is 0; it must be a positive number',
  'data/nyuv2 --depths=maps --protocol=published': (
    'data/nyuv2: the records are not those of booster at full size; omit --protocol=published'
  ),
  'reduced/booster --depths=maps --protocol=published': 'reduced/booster: booster at full size',
  'data/booster': 'data/booster: no wide-aperture targets, depth; give --predictor or --depths',
  'data/booster --depths=maps --method=learned': 'data/booster: no targets; omit --method',
  'data/blb --json=maps': 'maps: is a folder; expected .json',
}


@pytest.mark.parametrize('line', _BAD)
def test_invalid_input_is_refused(line, root, refuse, monkeypatch):
  monkeypatch.chdir(root)
  monkeypatch.setattr(command, '_score_all', None)
  refuse(f'score {line}', _BAD[line])
