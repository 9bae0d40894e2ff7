"""The loop: restore, then save, evaluate, fetch a batch, step, log, in this order, until the end.

What is due is done to the state before the next batch is taken, so that state, metrics and place
in the data of one checkpoint belong together. Scalars of a step are fetched while the next one
runs.
"""

import contextlib
import pathlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import ml_collections
import numpy as np

from depthjax import processes
from depthjax.files import space, weights
from depthjax.train import evaluate as evaluate_lib
from depthjax.train import experiment as experiment_lib
from depthjax.train import lock, record, resume, stopping
from depthjax.train.checkpoint import Checkpoints
from depthjax.train.clock import Clock
from depthjax.train.errors import NotFinite, Terminated
from depthjax.train.log import Log, Silent
from depthjax.train.profile import Profile
from depthjax.train.stopping import Stops

_ROOM = 'free space there; the same command then goes on from the last checkpoint'


def train(
  config: ml_collections.ConfigDict,
  workdir: str | pathlib.Path,
  terms: resume.Terms = resume.STRICT,
  *,
  profile: range = range(0),
) -> dict[str, float]:
  """Trains to `config.steps` in `workdir`, from its newest checkpoint if `terms` allow that.

  Writes metrics.jsonl, config.json, events/, pictures/, checkpoints/ and weights.safetensors (the
  averaged variables), and profile/, a trace of the steps `profile`. Returns the last evaluation.

  Raises:
    NotFinite: the run diverged.
    Terminated: SIGTERM came.
    files.errors.InputError: too many photographs or foregrounds cannot be decoded, the disk is
      full, the folder is not to be had, or as resume.restore.
    configuring.ConfigError, ValueError: as experiment.build and resume.restore.
  """
  workdir = pathlib.Path(workdir)
  experiment = experiment_lib.build(config)
  _check_sources(experiment)
  first = jax.process_index() == 0
  with space.needed(workdir, _ROOM), contextlib.ExitStack() as stack:
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
        log.say(f'changed: {resume.in_words(changed)}')
      traces = stack.enter_context(contextlib.closing(Profile(workdir / 'profile', profile)))
      run = _Run(experiment, config, workdir, checkpoints, log, stops, traces)
      return run.to_end(state, start)


def _check_sources(experiment: experiment_lib.Experiment) -> None:
  """A folder without enough photographs says so now, before hours of training."""
  for split in ('train', 'val'):
    experiment.batches(split, 0).close()


class _Run:
  """The loop's surroundings, so that its body reads in one breath."""

  def __init__(self, experiment, config, workdir, checkpoints, log, stops, traces):
    self.experiment = experiment
    self.config = config
    self.workdir = workdir
    self.checkpoints = checkpoints
    self.log = log
    self.stops: Stops = stops
    self.traces: Profile = traces
    self.clock = Clock(config.batch_size)

  def to_end(self, state: Any, start: int) -> dict[str, float]:
    with contextlib.closing(self.experiment.feed(start)) as batches:
      state = self.steps(state, start, batches)
    self.save(state, self.config.steps)
    return self.evaluate(state, self.config.steps)

  def steps(self, state: Any, start: int, batches: Iterator) -> Any:
    config, compiled, pending = self.config, None, None
    frozen = self.experiment.frozen()
    # A run that was killed in an evaluation has saved the step and not evaluated it.
    owed = processes.any_process(start > 0 and not self.log.has('eval'))
    for step in range(start, config.steps):
      saves = step > start and _due(step, config.checkpoint.every)
      evaluates = (step > start or owed) and _due(step, config.eval.every)
      stops = self.stops.now()
      if pending and (saves or evaluates or stops):
        # What is saved or evaluated is on record first: a run killed just after loses no line.
        self.write(*pending, state)
        pending = None
      if stops:
        self.stopped(state, step)
      if saves:
        self.save(state, step)
      if evaluates:
        self.evaluate(state, step)
      with self.clock.waiting():
        batch = next(batches)
      compiled = compiled or self.compile(state, frozen, batch)
      with self.traces.step(step) as results:
        state, scalars = compiled(state, frozen, batch)
        results.append(scalars)
      if pending:
        self.write(*pending, state)
      pending = step + 1, scalars
    if pending:
      self.write(*pending, state)
    return state

  def compile(self, *arguments: Any) -> Callable[[Any, Any, Any], tuple[Any, Any]]:
    """The step for arrays of these shapes and layouts alone: others it refuses."""
    with self.clock.paused():
      begin = time.perf_counter()
      compiled = self.experiment.runner.step.lower(*arguments).compile()
      # Devices that meet for the first time, in a step, do not wait for one that compiles long.
      processes.barrier()
      self.log.say(f'compiled the step in {time.perf_counter() - begin:.1f} s')
    return compiled

  def save(self, state: Any, step: int) -> None:
    """Saves a state that is good; one that is not ends the run, at the last step that was."""
    if not jax.device_get(state.finite):
      self.diverged(state)
    self.checkpoints.save(step, state)

  def stopped(self, state: Any, step: int) -> None:
    """Saves and ends the run."""
    self.save(state, step)
    self.checkpoints.wait()
    raise Terminated(f'stopped at step {step}; the same command goes on from there')

  def write(self, step: int, scalars: dict[str, jax.Array], state: Any) -> None:
    """Logs a step's scalars if they are due, once they are there; stops a run that diverged."""
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
    with self.clock.paused():
      scores = None
      with contextlib.suppress(stopping.Stopped):
        scores = evaluate_lib.evaluate(
          self.experiment, self.config, state, 'val', each=self.stops.check
        )
      if scores is None:
        self.stopped(state, step)
      pictures = evaluate_lib.draw(self.experiment, self.config, state)
      variables = self.experiment.runner.whole(state.ema)
      if jax.process_index() == 0:
        evaluate_lib.write_pictures(self.workdir / 'pictures', step, pictures)
        metadata = {'task': self.config.task, 'step': step, 'config': self.config.to_dict()}
        weights.save_weights(
          self.workdir / 'weights.safetensors', jax.device_get(variables), metadata
        )
      self.log.pictures(step, pictures)
      # The line comes last: an evaluation that is on record is whole.
      self.log.write(step, scores, kind='eval')
      self.log.say(f'step {step}  ' + '  '.join(f'{k} {v:.3f}' for k, v in scores.items()))
    return scores

  def diverged(self, state: Any) -> None:
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
  where = f'resuming from step {start}' if start else 'starting'
  return f'{where}: {count:,} parameters on {devices}, {workdir}'
