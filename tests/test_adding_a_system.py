"""The example of docs/adding_a_system.md, as its reader runs it."""

import pathlib
import re
import sys

import numpy as np
import pytest

from depthjax import configuring, tasks
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


@pytest.mark.parametrize('task', ['denoise:make_', 'nothing:make', 'denoise:'])
def test_a_task_that_cannot_be_imported_is_named(folder, task):
  config = configuring.load(folder / 'config.py', '')
  config.task = task
  with pytest.raises(ValueError, match=f"^task is '{task}', which cannot be imported: "):
    tasks.make(config, Env())
