"""`depthjax train`, `evaluate` and `plan`: the commands that take a config."""

import signal
import sys
from typing import NoReturn

import jax
import ml_collections
from absl import flags
from rich.console import Console

from depthjax import processes
from depthjax.commands import runner
from depthjax.commands.work import evaluate
from depthjax.files import atomic
from depthjax.plan import planning, report
from depthjax.plan import topology as topology_lib
from depthjax.train import loop, profile, record, resume
from depthjax.train import workdir as workdir_lib


def run(verb: str, values: flags.FlagValues, plain: ml_collections.ConfigDict) -> NoReturn:
  """Trains, evaluates or plans; ends the process with the exit code documented in `main.run`.

  `plain` is the config without the overrides of the command line.
  """
  try:
    processes.start(values.cluster)
    terms = resume.Terms(change=values.change, defaults=plain)
    {'train': _train, 'evaluate': _evaluate, 'plan': _plan}[verb](values, terms)
    code = 0
  except Exception as error:
    code = runner.report(error)
    if jax.distributed.is_initialized():
      processes.leave(code)
  sys.exit(code)


def _train(values: flags.FlagValues, terms: resume.Terms) -> None:
  workdir = workdir_lib.resolve(values.workdir)
  options = {'profile': profile.parse(values.profile), 'resume_step': values.resume}
  loop.train(values.config, workdir, terms, **options)
  processes.barrier()
  if jax.process_index() == 0:
    print(f'done: {workdir}')


def _evaluate(values: flags.FlagValues, terms: resume.Terms) -> None:
  # The handler of jax.distributed would wait for the train loop.
  signal.signal(signal.SIGTERM, signal.SIG_DFL)
  evaluate.run(values, terms)


def _plan(values: flags.FlagValues, terms: resume.Terms) -> None:
  config = values.config
  if values.workdir:
    resume.same_run(config, workdir_lib.resolve(values.workdir) / record.NAME, terms)
  if values.json:
    atomic.check_output(values.json, ('.json',))  # Compiling takes minutes.
  if values.batch_size:
    config.batch_size = values.batch_size
  topology = topology_lib.find(values.topology)
  say, fields = Console(soft_wrap=True), {'search': values.search, 'quick': values.quick}
  plan = planning.plan(config, topology, **fields, progress=say.print)
  report.show(plan, say)
  if values.json:
    atomic.write_json(values.json, report.as_json(plan))
