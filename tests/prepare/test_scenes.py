"""`depthjax prepare scenes`: complete shards or none, with any number of processes."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from depthjax.data import splits
from depthjax.data.records import scene
from depthjax.data.sources import shards
from depthjax.files.errors import InputError
from depthjax.prepare import scenes
from tests import messages, tiny

# ml_collections loads the config file by a function that Python deprecates.
pytestmark = pytest.mark.filterwarnings('ignore:the load_module:DeprecationWarning')
FIELDS = {**tiny.config().data.to_dict(), 'photo_source': 'builtin'}


def plan(target, **options):
  options = {'seed': 3, 'count': 10, 'count_shards': 4, **options}
  return scenes.plan({**FIELDS, **options.pop('fields', {})}, target, **options)


def write(target, workers=0, **options):
  return scenes.write(plan(target, **options), FIELDS, workers=workers)


def names(folder):
  return sorted(path.name for path in folder.iterdir())


def stored(folder):
  return list(shards.open_scenes(str(folder), scene.config(FIELDS)))


def assert_complete(folder):
  """The folder has all ten scenes in order, and no other files."""
  drawn = splits.batches(FIELDS, 'train', seed=3, batch_size=10)[0]
  found = stored(folder)
  assert len(found) == 10
  for i, record in enumerate(found):
    for name, value in record.items():
      np.testing.assert_array_equal(value, drawn[name][i])
  files = [f'scenes-0000{i}-of-00004.array_record' for i in range(4)]
  assert names(folder) == [*files, 'scenes.json']


def test_shards_hold_the_drawn_scenes_and_are_counted(tmp_path):
  counts = []
  planned = plan(tmp_path / 'out')
  assert planned.scenes == 10 and planned.todo == [0, 1, 2, 3]
  done = scenes.write(planned, FIELDS, workers=0, advance=counts.append)
  assert_complete(tmp_path / 'out')
  sizes = [path.stat().st_size for path in (tmp_path / 'out').glob('*.array_record')]
  assert done == (10, sum(sizes)) and counts == [*range(1, 11)]
  assert [len(planned.manifest.span(i)) for i in range(4)] == [2, 3, 2, 3]


def test_manifest_describes_the_scenes(tmp_path):
  plan(tmp_path)
  text = json.loads((tmp_path / 'scenes.json').read_text())
  assert text['seed'] == 3 and text['count'] == 10 and text['format'] == 2
  assert text['data']['photo_source'] == 'builtin' and 'scene_source' not in text['data']
  assert text['layout']['planes'] == ['<f4', [3, 3]] and text['items']['photo_source'] == 9


def test_second_run_draws_only_missing_shards(tmp_path):
  write(tmp_path)
  shard = tmp_path / 'scenes-00002-of-00004.array_record'
  others = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir() if path != shard}
  shard.unlink()
  (tmp_path / f'.{shard.name}.0123abcd').write_bytes(b'left by a killed process')
  assert write(tmp_path).scenes == 2
  assert_complete(tmp_path)
  assert {path: path.stat().st_mtime_ns for path in others} == others
  assert write(tmp_path) == (0, 0)


def test_full_disk_leaves_no_part_of_a_shard(tmp_path, monkeypatch):
  planned = plan(tmp_path)
  encode, calls = shards.encode, []

  def fail(*args):
    calls.append(args)
    if len(calls) == 4:
      raise OSError(28, os.strerror(28))
    return encode(*args)

  monkeypatch.setattr(shards, 'encode', fail)
  with pytest.raises(InputError, match='00001-of-00004.array_record: cannot be written .No space'):
    scenes.write(planned, FIELDS, workers=0)
  assert names(tmp_path) == ['scenes-00000-of-00004.array_record', 'scenes.json']


def test_parts_of_several_machines_are_complete_together(tmp_path):
  for part in ((2, 3), (0, 3), (1, 3)):
    assert write(tmp_path, part=part).scenes == {0: 5, 1: 3, 2: 2}[part[0]]
  assert_complete(tmp_path)
  assert plan(tmp_path, part=(0, 3)).own == 2


_OTHER = {
  'seed 3, not 4': {'seed': 4},
  'count 10, not 11': {'count': 11},
  'shards 4, not 5': {'count_shards': 5},
  'data.pad 8, not 9': {'fields': {'pad': 9}},
  "data.photo_source 'builtin', not ''": {'fields': {'photo_source': ''}},
  'data.covers [0.03, 0.7], not [0.1, 0.7]': {'fields': {'covers': (0.1, 0.7)}},
}


@pytest.mark.parametrize('words', _OTHER)
def test_folder_of_other_scenes_is_refused(tmp_path, words):
  plan(tmp_path)
  message = f'{tmp_path}: was prepared with {words}; expected the same settings'
  messages.refused(lambda: plan(tmp_path, **_OTHER[words]), message)


def test_folder_of_other_photographs_is_refused(tmp_path):
  plan(tmp_path)
  path = tmp_path / 'scenes.json'
  text = json.loads(path.read_text())
  path.write_text(json.dumps({**text, 'items': {**text['items'], 'photo_source': 8}}))
  messages.refused(lambda: plan(tmp_path), 'was prepared with files of photo_source 8, not 9')
  path.write_text(json.dumps({**text, 'first': 32 * '0'}))
  messages.refused(lambda: plan(tmp_path), 'was drawn by another version')


def test_unusable_target_folder_is_refused(tmp_path):
  (tmp_path / 'file').write_text('x')
  messages.refused(lambda: plan(tmp_path / 'file'), 'file: is not a folder; expected a new')
  messages.refused(lambda: plan(tmp_path / 'file' / 'x'), 'file/x: cannot be created (Not a dir')
  (tmp_path / 'scenes-00000-of-00004.array_record').write_text('x')
  messages.refused(lambda: plan(tmp_path), 'holds shards without their manifest')


_FLAGS = (f'--config.{name}={x}' for name, x in tiny.FIELDS.items() if name.startswith('data.'))
_CONFIG = ' '.join([f'--config={tiny.ROOT}/configs/lensblur.py:smoke', *_FLAGS])
_LINE = f'prepare scenes {_CONFIG} --target=out --count=3 --shards=2 --workers=0'


def test_command_prints_numbers_of_scenes_and_shards(run, tmp_path):
  code, out, err = run(f'{_LINE} --part=1/2 --config.data.photo_source=builtin --config.seed=3')
  assert code == 0 and out.startswith('out: 2 scenes in 1 shards, 0.') and 'Traceback' not in err
  code, out, _ = run(f'{_LINE} --config.data.photo_source=builtin --config.seed=3')
  assert code == 0 and 'out: 1 scenes in 1 shards' in out
  assert out.strip().endswith('scenes/s, 1 shards existed already')
  fields = {**FIELDS, 'scene_source': str(tmp_path / 'out')}
  assert len(splits.batches(fields, 'train', seed=0, batch_size=3)[0]['seed']) == 3


_BAD = {
  '--part=2/2': '--part is 2/2 I/N',
  '--part=x': '--part is x I/N',
  '--count=0': '--count',
  '--shards=4': '4 shards for 3 scenes; it must be 1 to 3 shards',
  '--config=none.py': 'none.py expected configs/lensblur.py',
  '--config.data.heigth=3': 'heigth Did you mean height',
  '--config.data.height=3': 'config: height is 3; must be',
  '--config.data.photo_source=nowhere': 'nowhere: no such folder',
  '--config.data.photo_source=a,b': "no weight for 'a'",
  '--config.data.scene_source=x': "scene_source is 'x'; '' draws the scenes",
  'more': "unexpected argument 'more'",
}


@pytest.mark.parametrize('argument', _BAD)
def test_bad_input_is_refused_and_changes_nothing(argument, refuse):
  refuse(f'{_LINE} {argument}', _BAD[argument])


@pytest.mark.slow
def test_killed_run_leaves_only_complete_shards_and_continues(tmp_path):
  out = tmp_path / 'out'
  line = f'prepare scenes {_CONFIG} --config.data.photo_source=builtin --config.seed=3'
  line += f' --target={out} --count=400 --shards=40 --workers=2'
  command = [sys.executable, '-m', 'depthjax.cli', *line.split()]
  options = {'stdout': subprocess.PIPE, 'stderr': subprocess.DEVNULL, 'cwd': tiny.ROOT}
  options['env'] = {**os.environ, 'PYTHONPATH': str(tiny.ROOT)}
  with subprocess.Popen(command, **options) as process:
    while not list(out.glob('scenes-*.array_record')):
      assert process.poll() is None
      time.sleep(0.02)
    process.kill()
    process.communicate(timeout=20)  # Until the worker processes, which share stdout, have ended.
  planned = plan(out, count=400, count_shards=40)
  spans = [planned.manifest.span(i) for i in range(40) if i not in planned.todo]
  messages.refused(lambda: stored(out), f'{len(planned.todo)} of 40 shards are missing')
  assert 0 < scenes.write(planned, FIELDS, workers=2).scenes == 400 - sum(map(len, spans)) < 400
  assert len(names(out)) == 41
  found = [record['seed'] for record in stored(out)]
  drawn = splits.batches(FIELDS, 'train', seed=3, batch_size=400)[0]['seed']
  np.testing.assert_array_equal(found, drawn)
