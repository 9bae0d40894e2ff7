"""Flags of training, evaluation and tables: invalid values are refused in one line."""

import numpy as np
import pytest
from absl import flags
from PIL import Image

from depthjax import configuring, main
from depthjax.configuring import ConfigError
from depthjax.train import record
from tests import messages, processes, tiny

_TRAIN = 'train --workdir={here}/run --config={config}:smoke'
_TABLE = 'reproduce sddr/table4a --given='
_FIGURE = 'reproduce deeplens/fig5'
# Words of the message that refuses each command line; {here} is a folder, {config} a config file.
_REFUSED = {
  f'{_TRAIN} --config.stepz=3': '--config: \'stepz\' Did you mean "steps"',
  f'{_TRAIN} --config.steps=many': "--config.steps=many 'many'",
  f'{_TRAIN} steps=3': "'steps=3' --config",
  f'{_TRAIN} --config.batch_size=0': 'batch_size is 0; at least 1',
  f'{_TRAIN} --config.data.layers=99': 'layers is 99; [2, 8]',
  f'{_TRAIN} --config.predictor.weights=no': 'no: expected',
  'train --workdir={here}/run --config={aperture}:smoke --config.loss.levels=1': 'levels is 1; 2',
  'train --workdir={here}/run --config={config}:huge': "size is 'huge'; smoke, small, base",
  'train --workdir={here}/run --config={here}/no.py': 'no.py; expected configs/lensblur.py',
  'train --workdir={here}/run --config={here}/text.md': 'text.md: not a Python file; expected',
  'train --config={config}:smoke --workdir=gs://bucket/run': 'gs://bucket/run: is a URL; mounted',
  'plan --topology=v5e:1x1 --workdir={here}/old --config.seed=3': 'seed was 0, is 3; --change',
  'evaluate --workdir={here}': '--config is missing; --workdir the folder of a run',
  'train --workdir={here}/file --config={config}:smoke': 'file: is not a folder; expected',
  'train --config={config}:smoke': '--workdir is missing',
  'evaluate --workdir={here} --config={config}:smoke': '{here}: holds no checkpoint; expected',
  'reproduce deeplens/table9': "'deeplens/table9'; deeplens/table1",
  'reproduce deeplens/table2 --given=deeplens=here': '--given is for only sddr',
  f'{_TABLE}sddr-first': "'sddr-first'; EXPERIMENT=WEIGHTS, such as sddr-first=runs/first",
  f'{_TABLE}first={{here}}/run': "no experiment 'first'; one of sddr-first",
  f'{_TABLE}sddr-first={{here}}/absent': 'absent: does not exist; expected the name of an existing',
  f'{_FIGURE} --set=stepz=1 --root={{here}}/run': "no field 'stepz'",
  f'{_FIGURE} --set=seed=1 --seeds=2': '--set seed --seeds',
  f'{_FIGURE} --set=steps': "--set 'steps'; steps=400",
  f'{_FIGURE} --document={{here}}/text.md --root={{here}}/run': 'text.md: is no document of',
  f'{_FIGURE} --root={{here}}/file': 'file: not a folder; expected',
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


def _parsed(*arguments):
  values = main.define(flags.FlagValues(), 'train')
  return values, main.parse(['depthjax train', *arguments], values)


def test_overrides_are_parsed_and_the_config_without_them_is_returned(tmp_path):
  for arguments in (['--config=sddr:smoke'], ['--config', f'{tiny.ROOT}/configs/sddr.py:smoke']):
    fields = ['--config.steps', '7', '--config.model.stem=(1, 2)', '--noconfig.model.remat']
    values, plain = _parsed(*fields, *arguments, '--workdir=x')
    assert plain.to_dict() == configuring.load('sddr:smoke').to_dict()
    changes = {'steps': 7, 'model.stem': (1, 2), 'model.remat': False}
    assert values.config.to_dict() == configuring.with_fields(plain, changes).to_dict()
    assert values.workdir == 'x' and values.config.is_locked
  record.write(tmp_path, values.config, 0, {})
  again, plain = _parsed(f'--workdir={tmp_path}', '--config.steps=8')
  assert (again.config.steps, plain.to_dict()) == (8, values.config.to_dict())


@pytest.mark.parametrize(
  'arguments, words',
  [
    (['--workdir=nowhere'], '--config is missing; it must be a file or a name'),
    (['--config=sddr', '--workdirr=x'], "flag 'workdirr'. Did you mean: workdir"),
    (['--config=sddr', '--workdir=x', '--raw'], "Unknown command line flag 'raw'"),
    ([f'--config={300 * "a"}', '--workdir=x'], 'aaa: does not exist; expected a config such as'),
    (['--config=~nobodyhere/x.py'], '~nobodyhere/x.py: does not exist; expected a config such as'),
    ([f'--workdir={300 * "a"}'], '--config is missing; it must be a file or a name'),
    (['--workdir=~nobodyhere/x'], '--config is missing; it must be a file or a name'),
    (['--config=sddr', '--config.stepz=1'], "unknown name: 'stepz'"),
    (['--config=sddr', '--config.steps=many'], '--config.steps=many: invalid literal for int'),
    (['--config=sddr', 'steps=3'], "unexpected argument 'steps=3'; set config fields by"),
    (
      ['--config=sdr'],
      'sdr: does not exist; expected a config such as configs/lensblur.py, a packaged one (ape',
    ),
  ],
)
def test_invalid_arguments_are_refused(arguments, words):
  with pytest.raises(ConfigError) as caught:
    _parsed(*arguments)
  assert words in str(caught.value)


@pytest.mark.slow
def test_bad_input_is_refused_in_one_line(tmp_path):
  configs = tiny.ROOT / 'configs'
  names = {'configs': configs, 'config': configs / 'lensblur.py', 'here': tmp_path}
  names['aperture'] = configs / 'aperture.py'
  (tmp_path / 'lines').write_text('\n'.join(_REFUSED).format(**names))
  (tmp_path / 'file').write_text('')
  (tmp_path / 'old').mkdir()
  record.write(tmp_path / 'old', tiny.config(), 0, {})
  (tmp_path / 'text.md').write_text('Some = text =\n')
  done = processes.python(_FORKS, cwd=tmp_path, timeout=600)
  assert done.stdout.split() == ['2'] * len(_REFUSED), (done.stdout, done.stderr)
  for number, words in enumerate(_REFUSED.values()):
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
  arguments = tiny.arguments(tmp_path / 'run', **fields)
  done = processes.run('depthjax', 'train', *arguments, timeout=300)
  lines = done.stderr.splitlines()
  last = next(line for line in lines if line.startswith('depthjax:'))
  words = f'depthjax: {photos}: items cannot be read .png; 5% of a source may be unreadable'
  others = [line for line in lines if line != last]
  messages.assert_one_line(f'{last}\n', words)
  assert done.returncode == 2 and all('skipped (' in line for line in others), done.stderr
