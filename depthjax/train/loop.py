"""The training loop: restore, then repeat save, evaluate, fetch a batch, step and log.

Saving and evaluation of a state precede the next batch, so that state, metrics and data position of
a checkpoint agree. The scalars of a step are fetched while the next step runs.
"""

import contextlib
import pathlib
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import ml_collections
import numpy as np

from depthjax import processes
from depthjax.files import disk, weights
from depthjax.train import evaluate as evaluate_lib
from depthjax.train import experiment as experiment_lib
from depthjax.train import lock, record, resume, stopping
from depthjax.train import workdir as workdir_lib
from depthjax.train.checkpoint import Checkpoints
from depthjax.train.clock import Clock
from depthjax.train.errors import NotFinite, Terminated
from depthjax.train.log import Log, Silent
from depthjax.train.profile import Profile

_FREE_SPACE = 'free space there; the same command then resumes from the last checkpoint'


def train(
  config: ml_collections.ConfigDict,
  workdir: str | pathlib.Path,
  terms: resume.Terms = resume.STRICT,
  *,
  profile: range = range(0),
) -> dict[str, float]:
  """Trains to `config.steps` in `workdir`; resumes from its newest checkpoint if `terms` allow it.

  Writes metrics.jsonl, config.json, events/, pictures/, checkpoints/, weights.safetensors (the
  averaged variables) and, for the steps of `profile`, profile/. Returns the last evaluation.

  Raises:
    NotFinite: a loss or gradient was not finite.
    Terminated: the process received SIGTERM.
    files.errors.InputError: too many images cannot be decoded, the disk is full, the folder is in
      use or not writable; and as `workdir.resolve` and `resume.restore`.
    configuring.ConfigError: as `experiment.build` and `resume.restore`.
  """
  workdir = workdir_lib.resolve(workdir)
  experiment = experiment_lib.build(config)
  for split in ('train', 'val'):
    experiment.batches(split, 0).close()  # Too few images are an error now, not after hours.
  first = jax.process_index() == 0
  with disk.write_errors(workdir, _FREE_SPACE, disk.FULL), contextlib.ExitStack() as stack:
    stack.enter_context(lock.held(workdir))
    saves, folder = config.checkpoint, workdir / 'checkpoints'
    checkpoints = Checkpoints(folder, keep=saves.keep, keep_every=saves.keep_every)
    stack.enter_context(checkpoints)
    stops = stack.enter_context(stopping.on_sigterm())
    state, start, changed = resume.restore(experiment, config, checkpoints, workdir, terms)
    if first:
      record.write(workdir, config, start, changed)
    log = Log(workdir, start=start, total=config.steps) if first else Silent()
    with contextlib.closing(log):
      log.say(_summary(state, start, workdir))
      if changed:
        log.say(f'changed: {resume.describe(changed)}')
      traced = stack.enter_context(contextlib.closing(Profile(workdir / 'profile', profile)))
      clock = Clock(config.batch_size)
      run = _Run(experiment, config, workdir, checkpoints, log, stops, traced, clock)
      return run.to_end(state, start)


class _Run(NamedTuple):
  """Holds config, log and checkpoints of one training run."""

  experiment: experiment_lib.Experiment
  config: ml_collections.ConfigDict
  workdir: pathlib.Path
  checkpoints: Checkpoints
  log: Log | Silent
  stops: stopping.Stops
  profile: Profile
  clock: Clock

  def to_end(self, state: Any, start: int) -> dict[str, float]:
    with contextlib.closing(self.experiment.feed(start)) as batches:
      state = self.steps(state, start, batches)
    self.save(state, self.config.steps)
    return self.evaluate(state, self.config.steps)

  def steps(self, state: Any, start: int, batches: Iterator) -> Any:
    config, compiled, pending = self.config, None, None
    frozen = self.experiment.frozen()
    # A run that was killed during an evaluation has saved the step but not evaluated it.
    unevaluated = processes.any_process(start > 0 and not self.log.has('eval'))
    for step in range(start, config.steps):
      saves = step > start and _due(step, config.checkpoint.every)
      evaluates = (step > start or unevaluated) and _due(step, config.eval.every)
      stops = self.stops.now()
      if pending and (saves or evaluates or stops):
        # Log first, so that a run that is killed after the save loses no line.
        self.write(*pending, state)
        pending = None
      if stops:
        self.stopped(state, step)
      if saves:
        self.save(state, step)
      if evaluates:
        self.evaluate(state, step)
      with self.clock.timed('input'):
        batch = next(batches)
      compiled = compiled or self.compile(state, frozen, batch)
      with self.profile.step(step) as results:
        state, scalars = compiled(state, frozen, batch)
        results.append(scalars)
      if pending:
        self.write(*pending, state)
      pending = step + 1, scalars
    if pending:
      self.write(*pending, state)
    return state

  def compile(self, *arguments: Any) -> Callable[[Any, Any, Any], tuple[Any, Any]]:
    """The compiled step; it accepts only arrays of these shapes and shardings."""
    with self.clock.timed('pause'):
      begin = time.perf_counter()
      compiled = self.experiment.runner.step.lower(*arguments).compile()
      # The first collective of a step would time out if one process compiled much longer.
      processes.barrier()
      self.log.say(f'compiled the step in {time.perf_counter() - begin:.1f} s')
    return compiled

  def save(self, state: Any, step: int) -> None:
    """Saves a finite state; ends the run if the state is not."""
    if not jax.device_get(state.finite):
      self.diverged(state)
    self.checkpoints.save(step, state)

  def stopped(self, state: Any, step: int) -> None:
    """Saves the state and ends the run."""
    self.save(state, step)
    self.checkpoints.wait()
    raise Terminated(f'stopped at step {step}; the same command resumes from there')

  def write(self, step: int, scalars: dict[str, jax.Array], state: Any) -> None:
    """Waits for the scalars of a step and logs them every `log_every`; ends a diverged run."""
    self.checkpoints.check()
    self.clock.stepped(scalars)
    if step % self.config.log_every and step != self.config.steps:
      self.log.advance(step)
      return
    values = {name: float(value) for name, value in jax.device_get(scalars).items()}
    rates = self.clock.rates()
    values['learning_rate'] = float(self.experiment.schedule(step - 1))
    self.log.write(step, {**values, **rates})
    self.log.advance(step, loss=values['loss'], rate=rates['examples_per_second'])
    if not jax.device_get(state.finite):
      self.diverged(state)

  def evaluate(self, state: Any, step: int) -> dict[str, float]:
    """Evaluates and exports the averaged variables; returns the metrics."""
    config = self.config
    with self.clock.timed('pause'):
      try:
        scores = evaluate_lib.evaluate(self.experiment, config, state, 'val', each=self.stops.check)
      except stopping.Stopped:
        self.stopped(state, step)
      pictures = evaluate_lib.draw(self.experiment, config, state)
      variables = self.experiment.runner.replicate(state.ema)
      if jax.process_index() == 0:
        evaluate_lib.write_pictures(self.workdir / 'pictures', step, pictures)
        metadata = {'task': config.task, 'step': step, 'config': config.to_dict()}
        path = self.workdir / 'weights.safetensors'
        weights.save_weights(path, jax.device_get(variables), metadata)
      self.log.pictures(step, pictures)
      # Last, so that an evaluation in the log is complete.
      self.log.write(step, scores, kind='eval')
      self.log.say(f'step {step}  ' + '  '.join(f'{k} {v:.3f}' for k, v in scores.items()))
    return scores

  def diverged(self, state: Any) -> None:
    """Saves the last finite state and ends the run."""
    good = int(jax.device_get(state.step))
    self.checkpoints.save(good, state.replace(finite=np.ones((), bool)))
    self.checkpoints.wait()
    raise NotFinite(
      f'the loss or its gradient was not finite at step {good + 1}; the state of step {good} is '
      'saved. Try a lower optimizer.peak'
    )


def _due(step: int, every: int) -> bool:
  return every > 0 and step % every == 0


def _summary(state: Any, start: int, workdir: pathlib.Path) -> str:
  count = sum(x.size for x in jax.tree.leaves(state.params))
  devices = f'{jax.device_count()} {jax.devices()[0].platform} device(s)'
  begin = f'resuming from step {start}' if start else 'starting'
  return f'{begin}: {count:,} parameters on {devices}, {workdir}'
