"""Systems outside the package: the example of docs/adding_a_system.md, and one of every kind."""

import pathlib
import re
import sys

import numpy as np
import pytest

from depthjax import configuring, plugins, tasks
from depthjax.data import splits
from depthjax.pipelines import depth
from depthjax.pipelines import predictors as predictors_lib
from depthjax.tasks.task import Env
from depthjax.train import log, loop

_PAGE = pathlib.Path(__file__).parents[1] / 'docs' / 'adding_a_system.md'


@pytest.fixture(name='folder')
def fixture_folder(tmp_path, monkeypatch):
  """An empty folder with the files of the page, from which Python imports."""
  files = re.findall(r'`(\w+\.py)`:\n\n```python\n(.*?)```', _PAGE.read_text(), re.DOTALL)
  for name, text in files:
    (tmp_path / name).write_text(text)
  assert sorted(name for name, _ in files) == ['config.py', 'denoise.py']
  assert sum(text.count('\n') for _, text in files) <= 60
  monkeypatch.syspath_prepend(tmp_path)
  yield tmp_path
  sys.modules.pop('denoise', None)


def test_the_example_trains_alike_on_one_and_eight_devices(folder):
  losses = []
  for devices in (1, 8):
    config = configuring.load(folder / 'config.py', '')
    config.update_from_flattened_dict(
      {'steps': 2, 'log_every': 1, 'eval.examples': 8, 'parallel.devices': devices}
    )
    scores = loop.train(config, folder / f'run{devices}')
    losses.append([line['loss'] for line in log.read_metrics(folder / f'run{devices}')])
    assert 10 < scores['psnr'] < 40
  assert len(losses[0]) == 2 and losses[0][1] != losses[0][0]
  np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


@pytest.mark.parametrize('task', ['denoise:make_', 'nothing:make', 'lensblurr', ''])
def test_a_task_that_cannot_be_imported_is_named(folder, task):
  config = configuring.load(folder / 'config.py', '')
  config.task = task
  known = f"^task is '{task}'; it can be aperture, .*tom, or 'module:object' of other code "
  with pytest.raises(ValueError, match=known):
    tasks.make(config, Env())


@pytest.fixture(name='outside')
def fixture_outside(tmp_path, monkeypatch):
  """Python finds tests/outside/shading.py, and an installed package that registers it."""
  info = tmp_path / 'shading-1.0.dist-info'
  info.mkdir()
  (info / 'METADATA').write_text('Metadata-Version: 2.1\nName: shading\nVersion: 1.0\n')
  groups = {'tasks': 'make', 'records': '', 'configs': 'get_config', 'models': 'from_config'}
  lines = [
    f'[depthjax.{group}]\nshade = shading{":" * bool(name)}{name}\nscene = nothing'
    for group, name in groups.items()
  ]
  lines.append('another = shading:from_config')
  (info / 'entry_points.txt').write_text('\n'.join(lines))
  monkeypatch.syspath_prepend(pathlib.Path(__file__).parent / 'outside')
  monkeypatch.syspath_prepend(tmp_path)
  yield
  sys.modules.pop('shading', None)


def test_a_system_is_found_by_module_and_by_entry_point(outside, tmp_path, monkeypatch):
  """Task, records, config and predictor; built-in names win."""
  image, scores = np.random.default_rng(0).random((20, 30, 3)), []
  for task, kind in (('shading:make', 'shading'), ('shade', 'shade')):
    workdir = tmp_path / kind
    scores.append(loop.train(configuring.load(f'shade:task={task},kind={kind}'), workdir))
    assert configuring.load(workdir).model.to_dict() == {'start': 0.1}
    predictor = predictors_lib.load(workdir)
    assert predictor.name == 'shading 0.1'
    assert depth.predict(image, predictor).shape == (20, 30, 1)
  assert tasks.PREDICTORS['another'] is tasks.PREDICTORS['shade']
  entries = tmp_path / 'shading-1.0.dist-info' / 'entry_points.txt'
  entries.write_text(entries.read_text().replace('depthjax.models', 'depthjax.nothing'))
  assert tasks.PREDICTORS['shade'] is tasks.PREDICTORS['shading:make']
  assert scores[0] == scores[1] and scores[0]['squared'] > 0
  assert plugins.names('records', ('scene',)) == ['scene', 'shade']
  assert 'index' in splits.example(configuring.defaults().data.to_dict())
  with pytest.raises(configuring.ConfigError, match=r'a packaged one \(aperture, .*, shade\)'):
    configuring.load('shading')
  with pytest.raises(configuring.ConfigError, match='shade:wrong=1: no field wrong'):
    configuring.load('shade:wrong=1')
  monkeypatch.setattr(sys.modules['shading'], 'get_config', lambda arg: sys.exit(arg))
  with pytest.raises(configuring.ConfigError, match='^shade:a: SystemExit: a; expected a config f'):
    configuring.load('shade:a')
  monkeypatch.setattr(sys.modules['shading'], 'get_config', lambda arg: arg)
  with pytest.raises(configuring.ConfigError, match="shade:a: get_config returned 'a'; expected"):
    configuring.load('shade:a')
  with pytest.raises(
    ValueError, match='data.kind is .*; it can be labelled, masked, predictions, scene, shade, or'
  ):
    splits.example({'kind': 'scenery'})
