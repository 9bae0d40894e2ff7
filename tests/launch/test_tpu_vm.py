"""launch/tpu_vm.sh with a fake gcloud that records its arguments and runs commands locally."""

import os

import pytest

from tests import processes

_PROGRAMS = {
  'gcloud': """printf '%s\\n' "gcloud $(printf '[%s]' "${@%%set -e*}")" >>"$NOTES"
    case $4 in
      scp) cp "$5" "$HOME" ;;
      ssh) cd "$HOME" && bash -c "${8#--command=}" ;;
    esac""",
  # Installing creates a program that prints its arguments.
  'python3': """echo "python3 $*" >>"$NOTES"
    [[ $* == *install*depthjax-venv* ]] || exit 0
    mkdir -p ../depthjax-venv/bin
    printf '%s\\n' '#!/usr/bin/env bash' 'printf "[%s]" "$@"; ls -d configs; exit $CODE' \
      >../depthjax-venv/bin/depthjax
    chmod +x ../depthjax-venv/bin/depthjax""",
  'mountpoint': '[[ -e $HOME/mounted ]]',
  'sudo': 'echo "sudo $*" >>"$NOTES"',
  'gcsfuse': 'echo "gcsfuse $*" >>"$NOTES"; touch "$HOME/mounted"',
}


@pytest.fixture
def launch(tmp_path):
  """A function that runs launch/tpu_vm.sh and returns exit code, output and recorded calls."""
  if not (processes.ROOT / '.git').exists():
    pytest.skip('not a git checkout: tpu_vm.sh copies a commit')
  for name, text in _PROGRAMS.items():
    (tmp_path / name).write_text(f'#!/usr/bin/env bash\n{text}\n')
    (tmp_path / name).chmod(0o755)
  notes = tmp_path / 'notes'

  def run(*arguments: str, **environment: str) -> tuple[int, str, list[str]]:
    notes.write_text('')
    folders = {'PATH': f'{tmp_path}:{os.environ["PATH"]}', 'HOME': str(tmp_path)}
    environment = {**folders, 'NOTES': str(notes), 'CODE': '0', **environment}
    result = processes.run('bash', 'launch/tpu_vm.sh', *arguments, **environment)
    return result.returncode, result.stdout + result.stderr, notes.read_text().splitlines()

  return run


_COMMAND = ['pod', 'zone-b', 'train', '--config=configs/lensblur.py:base', "--workdir=/mnt/a b's"]
_OUTPUT = ''.join(f'[{argument}]' for argument in [*_COMMAND[2:], '--cluster=auto']) + 'configs\n'


def test_all_hosts_receive_the_commit_and_run_the_command(launch):
  code, output, notes = launch(*_COMMAND, CODE='143')
  assert (code, output) == (143, _OUTPUT)
  copied, asked, *installed = notes
  assert copied.startswith('gcloud [compute][tpus][tpu-vm][scp][/')
  assert copied.endswith('/depthjax.tar.gz][pod:][--zone=zone-b][--worker=all]')
  assert asked.startswith('gcloud [compute][tpus][tpu-vm][ssh][pod][--zone=zone-b][--worker=all]')
  assert 'uv venv' in installed[1] and '.[tpu]' in installed[2]


def test_a_bucket_is_mounted_and_a_second_run_neither_installs_nor_mounts(launch):
  _, _, notes = launch(*_COMMAND, BUCKET='my-runs')
  assert notes[-1] == 'gcsfuse --implicit-dirs my-runs /mnt/my-runs'
  assert notes[-3] == 'sudo mkdir -p /mnt/my-runs'
  code, output, notes = launch(*_COMMAND, BUCKET='my-runs')
  assert (code, output) == (0, _OUTPUT)
  assert [note.split()[0] for note in notes] == ['gcloud', 'gcloud']


def test_too_few_arguments_print_the_usage(launch):
  code, output, notes = launch('pod', 'zone-b')
  assert (code, output, notes) == (2, 'usage: tpu_vm.sh NAME ZONE VERB [FLAGS]\n', [])
