"""The runs of a sweep: every combination once, as fields and as commands."""

import pathlib
import shlex

import pytest
from absl import flags

from depthjax import configuring, main
from depthjax.study import grid
from tests import tiny

_CHANGES = (
  'optimizer.peak=1e-3,3e-3',
  'model.features=(6,6,3,3),(12,12,6,6)',
  'loss.kind=l1,normalised',
  'data.photo_source=',
  "data.foreground_source='a b=0.5,/c=1','$HOME'",
  'steps=7',
)


def test_every_combination_is_a_run_and_the_seed_varies_fastest():
  runs = grid.runs(_CHANGES, 3)
  fields = list(runs.values())
  assert len(runs) == 2 * 2 * 2 * 2 * 3
  assert [x['seed'] for x in fields] == [0, 1, 2] * 16
  assert fields[0]['model.features'] == (6, 6, 3, 3)
  assert [fields[i]['data.foreground_source'] for i in (0, 3)] == ['a b=0.5,/c=1', '$HOME']
  assert all(x['steps'] == 7 and x['data.photo_source'] == '' for x in fields)
  assert list(grid.runs(['steps=7'], 1)) == ['seed=0']
  (mixed,) = grid.runs(['data.photo_source=builtin=0.3,/p=0.7'], 1).values()
  assert mixed['data.photo_source'] == 'builtin=0.3,/p=0.7'
  assert list(grid.runs(_CHANGES[:2], 1))[-1] == (
    'optimizer.peak=0.003,model.features=12_12_6_6,seed=0'
  )


def test_commands_give_the_same_configs():
  """Through a shell and the parser of the flags."""
  where = tiny.ROOT / 'configs' / 'lensblur.py'
  for fields in list(grid.runs(_CHANGES, 2).values())[::5]:
    words = shlex.split(grid.command(f'{where}:smoke', fields, pathlib.Path('runs/my sweep')))
    values = main.define(flags.FlagValues(), 'train')
    assert words[:2] == ['depthjax', 'train']
    main.parse(words[1:], values)
    expected = configuring.with_fields(configuring.load(where, 'smoke'), fields)
    assert values.config.to_dict() == expected.to_dict()
    assert values.workdir == 'runs/my sweep'


@pytest.mark.parametrize(
  'changes, message',
  [
    (['steps'], "--set is 'steps'; it must be FIELD=VALUE,VALUE,... such as optimizer.peak=1e-3"),
    (['=3'], "--set is '=3'; it must be FIELD=VALUE"),
    (["loss.kind='l1,l2',l1"], 'must be Python literals, or strings without quotes and brackets'),
    (['steps=1,2', 'steps=3'], '--set has a field twice (steps=1,2 steps=3)'),
    (['seed=3'], 'each must be once, and --seeds sets the field seed'),
    (['optimizer.peak=1e-3,0.001'], 'two runs have the name optimizer.peak=0.001,seed=0'),
  ],
)
def test_what_is_no_sweep_is_refused(changes, message):
  with pytest.raises(configuring.ConfigError) as caught:
    grid.runs(changes, 1)
  assert message in str(caught.value)
