"""Every config in configs/ can be traced and trains two steps at its smoke size."""

import pathlib

import jax
import numpy as np
import pytest

from depthjax import configuring
from depthjax.train import experiment as experiment_lib
from depthjax.train import log as log_lib
from depthjax.train import loop

_CONFIGS = sorted(pathlib.Path(__file__).parents[1].glob('configs/*.py'))
each_config = pytest.mark.parametrize('path', _CONFIGS, ids=lambda path: path.stem)


@each_config
def test_the_smoke_size_can_be_traced(path):
  """Checks shapes, types and fields without compiling."""
  config = configuring.load(path, 'smoke')
  experiment = experiment_lib.build(config, jax.devices()[:1])
  runner = experiment.runner
  batch = experiment_lib.placeholder_batch(config)
  new, scalars = jax.eval_shape(
    runner.step, runner.abstract, runner.frozen, experiment.hyper, batch
  )
  assert scalars['loss'].shape == () and new.step.dtype == np.int32
  # The second step takes the state of the first.
  forms = [[(x.shape, x.dtype) for x in jax.tree.leaves(tree)] for tree in (new, runner.abstract)]
  assert forms[0] == forms[1]


@pytest.mark.slow
@each_config
def test_the_smoke_size_trains_two_steps(path, tmp_path):
  config = configuring.load(path, 'smoke').unlock()
  config.steps, config.log_every = 2, 1
  # Tests compile without optimisation, so that steps are slow: use two examples.
  config.batch_size = config.eval.examples = 2
  config.parallel.devices = 1
  if config.data.glass:  # Metrics of glass are not defined without any.
    config.data.glass, config.data.mirror = 1.0, 0.0
  if 'start' in config.loss:
    config.loss.start = 1  # One step without and one with the loss that starts later.
  scores = loop.train(config.lock(), tmp_path)
  losses = [line['loss'] for line in log_lib.read_metrics(tmp_path)]
  assert len(losses) == 2 and np.isfinite(losses).all() and losses[0] != losses[1]
  assert all(np.isfinite(value) for value in scores.values())
  assert list((tmp_path / 'pictures').glob('*.png'))
