"""Checks of all launchers without a cluster: length, no hyperparameters, syntax, GKE manifest."""

import math
import pathlib
import re
import shutil
import string

import pytest
import yaml

from tests import processes

_FOLDER = processes.ROOT / 'launch'
_SCRIPTS = sorted(path for path in _FOLDER.iterdir() if path.suffix != '.yaml')
_COMMAND = 'train --config=configs/lensblur.py:base --workdir=/runs/blur'
_NAMES = {'NAME': 'blur', 'IMAGE': 'x', 'BUCKET': 'runs', 'ACCOUNT': 'me', 'COMMAND': _COMMAND}


@pytest.mark.parametrize('path', sorted(_FOLDER.iterdir()), ids=lambda path: path.name)
def test_launchers_are_short_and_have_no_hyperparameters(path):
  text = path.read_text()
  assert len(text.splitlines()) <= 40 and max(map(len, text.splitlines())) <= 100
  assert '--config.' not in text, 'hyperparameters belong into the config'
  commands = [line for line in text.splitlines() if not line.lstrip().startswith('#')]
  assert not re.search(r'--(config|workdir)=', '\n'.join(commands))
  assert re.search('train --config=', text), 'no example'


@pytest.mark.parametrize('path', _SCRIPTS, ids=lambda path: path.name)
def test_scripts_pass_arguments_on_and_are_valid(path):
  """For shellcheck, if it is installed, or at least for bash."""
  assert '"$@"' in path.read_text()
  check = ['shellcheck'] if shutil.which('shellcheck') else ['bash', '-n']
  result = processes.run(*check, path)
  assert result.returncode == 0, result.stdout + result.stderr


def test_the_manifest_is_consistent():
  """With its variables substituted as its header says."""
  text = (_FOLDER / 'gke.yaml').read_text()
  header = re.search(r"envsubst '(.*?)'", text).group(1).replace('$', '').split()
  assert {*header} == {*_NAMES}
  manifest = yaml.safe_load(string.Template(text).safe_substitute(_NAMES))
  assert '$' not in str(manifest), 'a variable that the header does not mention'
  job = manifest['spec']['replicatedJobs'][0]['template']['spec']
  pod = job['template']['spec']
  (container,) = pod['containers']
  # One pod for each host of the slice.
  topology = pod['nodeSelector']['cloud.google.com/gke-tpu-topology']
  per_host = container['resources']['limits']['google.com/tpu']
  hosts = math.prod(map(int, topology.split('x'))) / per_host
  assert job['parallelism'] == job['completions'] == hosts
  assert container['command'] == ['sh', '-c', f'exec depthjax {_COMMAND} --cluster=auto']
  # The coordinator: host names, and the port that JAX uses on Cloud TPU.
  assert manifest['spec']['network']['subdomain'] == manifest['metadata']['name']
  clusters = pytest.importorskip('jax._src.clusters.cloud_tpu_cluster')
  assert int(clusters.coordinator_port) in {port['containerPort'] for port in container['ports']}
  # A restart of all pods, except after exit codes 1 and 2.
  (rule,) = job['podFailurePolicy']['rules']
  codes = {'containerName': container['name'], 'operator': 'In', 'values': [1, 2]}
  assert (rule['action'], rule['onExitCodes']) == ('FailJob', codes)
  assert job['backoffLimit'] == 0 and pod['restartPolicy'] == 'Never'
  assert manifest['spec']['failurePolicy']['maxRestarts'] > 0
  # The workdir is in the bucket.
  (volume,), (mount,) = pod['volumes'], container['volumeMounts']
  assert job['template']['metadata']['annotations']['gke-gcsfuse/volumes'] == 'true'
  assert volume['csi']['volumeAttributes']['bucketName'] == _NAMES['BUCKET']
  assert volume['name'] == mount['name']
  workdir = re.search(r"--workdir=([^\s']+)", text).group(1)
  assert pathlib.PurePath(mount['mountPath']) in pathlib.PurePath(workdir).parents
