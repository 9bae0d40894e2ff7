"""Unreadable images: a few are skipped and logged, too many end the run."""

import shutil

import numpy as np
from PIL import Image

from tests.faults import machines


def test_one_image_is_skipped_and_too_many_end_the_run(tmp_path):
  photos, workdir, other = tmp_path / 'photos', tmp_path / 'run', tmp_path / 'other'
  photos.mkdir()
  for i, image in enumerate(np.random.default_rng(0).integers(0, 256, (30, 40, 40, 3), np.uint8)):
    Image.fromarray(image).save(photos / f'{i}.png')
  (photos / '7.png').write_bytes(b'damaged')
  shutil.copytree(photos, tmp_path / 'original')
  fields = {'count': 1, 'data__photo_source': photos, 'data__photos': 1.0, 'data__mattes': 0.0}
  run = machines.trained(workdir, **fields)
  skipped = [line for line in run.err.splitlines() if 'skipped (1 so far)' in line]
  assert len(skipped) >= 1 and all('7.png' in line for line in skipped), run.err[-2000:]
  assert 'skipped (2' not in run.err

  shutil.copytree(workdir, other)
  for step in (10, 12):
    shutil.rmtree(other / 'checkpoints' / str(step))
  saved = {path: path.read_bytes() for path in (other / 'checkpoints').rglob('*') if path.is_file()}
  for i in range(20):
    (photos / f'{i}.png').write_bytes(b'damaged')
  run = machines.train(other, **fields)
  assert run.process.returncode == 2
  assert f'{photos}: ' in run.line() and 'items cannot be read' in run.line()
  assert {path: path.read_bytes() for path in saved} == saved
  assert max(machines.steps(other)) >= 8

  shutil.rmtree(photos)
  shutil.copytree(tmp_path / 'original', photos)
  machines.trained(other, **fields)
  machines.assert_same(other, workdir)
