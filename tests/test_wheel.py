"""The wheel, built and installed into an empty environment: nothing of a checkout is needed."""

import os
import pathlib
import shutil
import sys

import numpy as np
import pytest

from depthjax.files import depth, images
from tests import processes, tiny


@pytest.fixture(name='run', scope='module')
def fixture_run(tmp_path_factory):
  """Runs commands of an environment with the wheel and, by their path, this one's dependencies."""
  root = tmp_path_factory.mktemp('wheel')
  source, environment = root / 'source', root / 'environment'
  source.mkdir()
  for name in ('pyproject.toml', 'README.md', 'LICENSE'):
    shutil.copy(tiny.ROOT / name, source)
  for name in ('depthjax', 'configs'):
    ignore = shutil.ignore_patterns('__pycache__')
    shutil.copytree(tiny.ROOT / name, source / name, symlinks=True, ignore=ignore)
  pip = [sys.executable, '-m', 'pip', '--quiet', '--disable-pip-version-check']
  offline = ['--no-index', '--no-deps']
  # The path may have metadata of this checkout, which pip would take for an installed package.
  found = ['--ignore-installed', f'--find-links={root}', 'depthjax']
  for command in (
    [*pip, 'wheel', *offline, '--no-build-isolation', f'--wheel-dir={root}', source],
    [sys.executable, '-m', 'venv', '--without-pip', environment],
    [*pip, f'--python={environment}', 'install', *offline, *found],
  ):
    done = processes.run(*command, cwd=root)
    assert done.returncode == 0, done.stderr

  def run(name, *arguments):
    """The output of a command, run in an empty folder."""
    paths = {'PYTHONPATH': str(pathlib.Path(np.__file__).parents[1]), 'PATH': os.defpath}
    done = processes.run(environment / 'bin' / name, *arguments, cwd=folder, timeout=300, **paths)
    assert done.returncode == 0, done.stderr
    return done.stdout

  folder = root / 'empty'
  folder.mkdir()
  assert run('python', '-c', 'print(__import__("depthjax").__file__)').startswith(str(environment))
  return run, folder


@pytest.mark.slow
def test_an_installed_wheel_refocuses_and_trains_a_packaged_config(run):
  run, folder = run
  photo = np.random.default_rng(0).random((32, 48, 3), np.float32)
  images.write_image(folder / 'photo.png', photo)
  depth.write_depth(folder / 'depth.png', photo[..., 0])
  run('depthjax', 'refocus', 'photo.png', 'depth.png', '--output=out.png')
  assert np.abs(images.read_image(folder / 'out.png') - photo).mean() > 0.01
  _, *rest = tiny.arguments('run', steps=2)
  run('depthjax', 'train', '--config=regression:smoke', *rest)
  assert (folder / 'run' / 'weights.safetensors').is_file()
