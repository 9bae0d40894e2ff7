"""Flags of training, evaluation and tables: invalid values are refused in one line."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests import messages, tiny

# Command lines and words of the expected message; {here} is a folder, {config} the config file.
_RUNS = {
  'misspelt field': (
    'train --config={config}:smoke --workdir={here}/run --config.stepz=3',
    '--config: \'stepz\' Did you mean "steps"',
  ),
  'value of another type': (
    'train --config={config}:smoke --workdir={here}/run --config.steps=many',
    "--config.steps=many 'many'",
  ),
  'unknown size': (
    'train --config={config}:huge --workdir={here}/run',
    "size is 'huge'; smoke, small, base",
  ),
  'missing config': (
    'train --config={here}/no.py --workdir={here}/run',
    'no.py; expected configs/lensblur.py',
  ),
  'no workdir': ('train --config={config}:smoke', '--workdir is missing'),
  'stray word': (
    'train --config={config}:smoke --workdir={here}/run steps=3',
    "'steps=3' --config",
  ),
  'workdir without checkpoint': (
    'evaluate --config={config}:smoke --workdir={here}',
    '{here}: holds no checkpoint; expected --workdir',
  ),
  'workdir that is a file': (
    'train --config={config}:smoke --workdir={here}/file',
    'file: is not a folder; expected',
  ),
  'field out of range': (
    'train --config={config}:smoke --workdir={here}/run --config.batch_size=0',
    'batch_size is 0; at least 1',
  ),
  'scene out of range': (
    'train --config={config}:smoke --workdir={here}/run --config.data.layers=99',
    'layers is 99; [2, 8]',
  ),
  'no Python': (
    'train --config={here}/text.md --workdir={here}/run',
    '--config: not a config file line 1; configs/lensblur.py',
  ),
  'one layer': (
    'train --config={aperture}:smoke --workdir={here}/run --config.loss.levels=1',
    'loss.levels is 1; 2',
  ),
  'a predictor that is missing': (
    'train --config={config}:smoke --workdir={here}/run --config.predictor.weights=no',
    'no: expected',
  ),
  'unknown table': ('reproduce deeplens/table9', "'deeplens/table9'; deeplens/table1"),
  'field of no experiment': (
    'reproduce deeplens/fig5 --set=stepz=1 --configs={configs} --root={here}/run',
    "no field 'stepz'",
  ),
  'given without weights': (
    'reproduce sddr/table4a --given=sddr-first',
    "--given 'sddr-first'; an experiment and weights, as sddr-first=runs/first",
  ),
  'given an unknown experiment': (
    'reproduce sddr/table4a --given=first={here}/run',
    "--given no experiment 'first'; there are sddr-first",
  ),
  'given weights that are not there': (
    'reproduce sddr/table4a --given=sddr-first={here}/absent',
    'absent: does not exist; expected the name of an existing file',
  ),
  'given for another paper': (
    'reproduce deeplens/table2 --given=deeplens=here',
    '--given is for tables of sddr',
  ),
  'no field at all': ('reproduce deeplens/fig5 --set=steps', "--set 'steps'; steps=400"),
  'document of something else': (
    'reproduce deeplens/fig5 --document={here}/text.md --root={here}/run',
    'text.md: is no document of tables; expected a new name',
  ),
  'runs in a file': ('reproduce deeplens/fig5 --root={here}/file', 'file: not a folder; expected'),
}

# Each command line in a fork of a process that has imported everything and started no device.
_FORKS = """
import os, signal, sys
from depthjax import cli
from depthjax.commands.work import experiments, reproduce
for number, line in enumerate(open('lines').read().splitlines()):
  child = os.fork()
  if not child:
    os.dup2(os.open(f'{number}.err', os.O_CREAT | os.O_WRONLY), 2)
    sys.argv = ['depthjax', *line.split()]
    signal.alarm(100)  # For a command that is not refused.
    cli.main()
    sys.exit('not refused')
  print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.slow
def test_bad_input_is_refused_in_one_line(tmp_path):
  configs = tiny.ROOT / 'configs'
  names = {'configs': configs, 'config': configs / 'lensblur.py', 'here': tmp_path}
  names['aperture'] = configs / 'aperture.py'
  lines = [line.format(**names) for line, _ in _RUNS.values()]
  (tmp_path / 'lines').write_text('\n'.join(lines))
  (tmp_path / 'file').write_text('')
  (tmp_path / 'text.md').write_text('Some = text =\n')
  done = subprocess.run(
    [sys.executable, '-c', _FORKS],
    cwd=tmp_path,
    env={**os.environ, 'PYTHONPATH': str(tiny.ROOT)},
    capture_output=True,
    text=True,
  )
  assert done.stdout.split() == ['2'] * len(_RUNS), (done.stdout, done.stderr)
  for number, (_, words) in enumerate(_RUNS.values()):
    messages.assert_one_line((tmp_path / f'{number}.err').read_text(), words.format(**names))
  assert not (tmp_path / 'run').exists()


@pytest.mark.slow
def test_too_many_damaged_images_end_a_run_in_one_line(tmp_path):
  """A worker process finds them and logs each."""
  photos = tmp_path / 'photos'
  photos.mkdir()
  for i in range(24):
    (photos / f'{i}.png').write_bytes(b'damaged')
  for i in range(6):
    Image.fromarray(np.full((40, 40, 3), 40 * i, np.uint8)).save(photos / f'good{i}.png')
  fields = {'data__photo_source': photos, 'input__workers': 1}
  done = subprocess.run(
    [sys.executable, '-m', 'depthjax.cli', 'train', *tiny.arguments(tmp_path / 'run', **fields)],
    cwd=tiny.ROOT,
    capture_output=True,
    text=True,
    timeout=300,
  )
  lines = done.stderr.splitlines()
  last = next(line for line in lines if line.startswith('depthjax:'))
  words = f'depthjax: {photos}: items cannot be read .png; a fraction of 0.05 is skipped'
  others = [line for line in lines if line != last]
  messages.assert_one_line(f'{last}\n', words)
  assert done.returncode == 2 and all('skipped (' in line for line in others), done.stderr
