"""Starts a Slurm cluster of one node in a temporary folder."""

import contextlib
import getpass
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator

from tests import processes

_PROGRAMS = ('munged', 'slurmctld', 'slurmd', 'sbatch', 'srun', 'scontrol', 'scancel')
# No cgroups, no accounting; requeued jobs start after ten seconds instead of two minutes.
_CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthInfo=socket={folder}/munge.socket,cred_expire=10
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,bf_interval=1
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=5
MpiDefault=none
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=test Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
  """The programs that are not installed, as a reason to skip; '' if there are none."""
  programs = [program for program in _PROGRAMS if not _which(program)]
  return f'{", ".join(programs)} not installed (Debian: slurm-wlm munge)' if programs else ''


class Slurm:
  """A running cluster."""

  def __init__(self, folder: pathlib.Path):
    self.environment = {**processes.ENVIRONMENT, 'SLURM_CONF': str(folder / 'slurm.conf')}

  def run(self, *command: str, **environment: str) -> str:
    """Runs a command of Slurm; returns its output."""
    result = processes.run(*command, **{**self.environment, **environment})
    assert result.returncode == 0, f'{command}: {result.stdout}{result.stderr}'
    return result.stdout

  def job(self, number: str) -> dict[str, str]:
    """The fields of `scontrol show job`."""
    return dict(re.findall(r'(\w+)=(\S+)', self.run('scontrol', 'show', 'job', number)))

  def ready(self) -> bool:
    """Whether the node is idle."""
    return processes.run('sinfo', '-h', '-o', '%t', **self.environment).stdout.strip() == 'idle'


@contextlib.contextmanager
def started() -> Iterator[Slurm]:
  """Starts munged, slurmctld and slurmd; at the end cancels all jobs and stops the daemons."""
  # Directly in /tmp, since paths of sockets must be short.
  folder = pathlib.Path(tempfile.mkdtemp(prefix='slurm', dir='/tmp'))
  ports = [free_port(), free_port()]
  host = socket.gethostname().split('.')[0]
  conf = _CONF.format(host=host, user=getpass.getuser(), folder=folder, ports=ports)
  (folder / 'slurm.conf').write_text(conf)
  (folder / 'munge.key').write_bytes(os.urandom(128))
  (folder / 'munge.key').chmod(0o400)
  (folder / 'state').mkdir()
  (folder / 'spool').mkdir()
  munge = ['--key-file=munge.key', '--socket=munge.socket', '--pid-file=munge.pid']
  munge += ['--seed-file=munge.seed', '--log-file=munge.log']
  slurm = Slurm(folder)
  with contextlib.ExitStack() as stack:
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    stack.enter_context(_daemon(folder, slurm, 'munged', '--foreground', '--force', *munge))
    processes.until((folder / 'munge.socket').exists, 'munged')
    stack.enter_context(_daemon(folder, slurm, 'slurmctld', '-D', '-i'))
    stack.enter_context(_daemon(folder, slurm, 'slurmd', '-D'))
    logs = lambda: [path.read_text()[-1500:] for path in folder.glob('*.out')]  # noqa: E731
    processes.until(slurm.ready, logs)
    yield slurm
    slurm.run('scancel', f'--user={getpass.getuser()}')
    processes.until(slurm.ready, 'the jobs to end')


@contextlib.contextmanager
def _daemon(folder: pathlib.Path, slurm: Slurm, program: str, *arguments: str) -> Iterator[None]:
  command = [_which(program), *arguments]
  with open(folder / f'{program}.out', 'wb') as output:
    streams = {'stdout': output, 'stderr': output}
    with subprocess.Popen(command, cwd=folder, env=slurm.environment, **streams) as process:
      try:
        yield
      finally:
        process.terminate()


def _which(program: str) -> str | None:
  return shutil.which(program, path=f'{os.environ["PATH"]}:/usr/sbin:/usr/local/sbin')


def free_port() -> int:
  """A TCP port that no process uses."""
  with socket.create_server(('127.0.0.1', 0)) as probe:
    return probe.getsockname()[1]
