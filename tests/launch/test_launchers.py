"""What can be said of all launchers without a cluster: short, no hyperparameters, valid."""

import math
import pathlib
import re
import shutil
import subprocess

import pytest
import yaml

from tests import tiny

_FOLDER = tiny.ROOT / 'launch'
_SCRIPTS = sorted(path for path in _FOLDER.iterdir() if path.suffix != '.yaml')
_NAMES = {'NAME': 'blur', 'IMAGE': 'images/depthjax', 'BUCKET': 'runs', 'ACCOUNT': 'trainer'}
_COMMAND = 'train --config=configs/lensblur.py:base --workdir=/runs/blur'


@pytest.mark.parametrize('path', sorted(_FOLDER.iterdir()), ids=lambda path: path.name)
def test_launchers_are_thin(path):
  text = path.read_text()
  assert len(text.splitlines()) <= 40 and max(map(len, text.splitlines())) <= 100
  assert '--config.' not in text, 'a hyperparameter: it belongs into the config or to the user'
  commands = [line for line in text.splitlines() if not line.lstrip().startswith('#')]
  assert not re.search(r'--(config|workdir)=', '\n'.join(commands))
  assert re.search('train --config=', text), 'no example'


@pytest.mark.parametrize('path', _SCRIPTS, ids=lambda path: path.name)
def test_scripts_parse(path):
  subprocess.run(['bash', '-n', path], check=True)
  assert '"$@"' in path.read_text()


@pytest.mark.parametrize('path', _SCRIPTS, ids=lambda path: path.name)
@pytest.mark.skipif(not shutil.which('shellcheck'), reason='needs shellcheck')
def test_scripts_pass_shellcheck(path):
  result = subprocess.run(['shellcheck', path], capture_output=True, text=True)
  assert result.returncode == 0, result.stdout


@pytest.fixture
def manifest() -> dict:
  """launch/gke.yaml, its names filled in as its header says."""
  text = (_FOLDER / 'gke.yaml').read_text()
  header = re.search(r"envsubst '(.*?)'", text).group(1).replace('$', '').split()
  assert {*header} == {*_NAMES, 'COMMAND'}
  for name, value in {**_NAMES, 'COMMAND': _COMMAND}.items():
    text = text.replace('${' + name + '}', value)
  result = yaml.safe_load(text)
  assert '$' not in str(result), 'a name that the header does not mention'
  return result


def _job(manifest: dict) -> dict:
  (job,) = manifest['spec']['replicatedJobs']
  return job['template']['spec']


def test_the_pods_are_the_hosts_of_the_slice(manifest):
  job = _job(manifest)
  pod = job['template']['spec']
  (container,) = pod['containers']
  selector = pod['nodeSelector']
  topology = selector['cloud.google.com/gke-tpu-topology']
  chips = math.prod(map(int, topology.split('x')))
  assert job['parallelism'] == job['completions']
  assert job['parallelism'] * container['resources']['limits']['google.com/tpu'] == chips
  assert selector['cloud.google.com/gke-tpu-accelerator'] == 'tpu-v5-lite-podslice'
  assert container['command'] == ['sh', '-c', f'exec depthjax {_COMMAND} --cluster=auto']


def test_the_coordinator_can_be_reached(manifest):
  clusters = pytest.importorskip('jax._src.clusters.cloud_tpu_cluster')
  network = manifest['spec']['network']
  assert network == {'enableDNSHostnames': True, 'subdomain': manifest['metadata']['name']}
  (container,) = _job(manifest)['template']['spec']['containers']
  ports = {port['containerPort'] for port in container['ports']}
  assert int(clusters.coordinator_port) in ports


def test_the_set_starts_again_but_not_after_codes_1_and_2(manifest):
  job = _job(manifest)
  failures = manifest['spec']['failurePolicy']
  (rule,) = job['podFailurePolicy']['rules']
  (final,) = failures['rules']
  assert failures['maxRestarts'] > 0 and job['backoffLimit'] == 0
  assert job['template']['spec']['restartPolicy'] == 'Never', 'podFailurePolicy asks for it'
  assert rule['action'] == 'FailJob'
  (container,) = job['template']['spec']['containers']
  codes = {'containerName': container['name'], 'operator': 'In', 'values': [1, 2]}
  assert rule['onExitCodes'] == codes
  assert (final['action'], final['onJobFailureReasons']) == ('FailJobSet', ['PodFailurePolicy'])
  assert job['template']['spec']['terminationGracePeriodSeconds'] >= 120


def test_the_workdir_is_a_bucket(manifest):
  pod = _job(manifest)['template']
  (volume,), (container,) = pod['spec']['volumes'], pod['spec']['containers']
  (mount,) = container['volumeMounts']
  assert pod['metadata']['annotations']['gke-gcsfuse/volumes'] == 'true'
  assert pod['spec']['serviceAccountName'] == _NAMES['ACCOUNT']
  assert volume['csi']['driver'] == 'gcsfuse.csi.storage.gke.io'
  assert volume['csi']['volumeAttributes']['bucketName'] == _NAMES['BUCKET']
  assert volume['name'] == mount['name']
  workdir = re.search('--workdir=(\\S+)', (_FOLDER / 'gke.yaml').read_text()).group(1)
  assert pathlib.PurePath(mount['mountPath']) in pathlib.PurePath(workdir.rstrip("'")).parents


def test_the_manifest_fits_the_schema(manifest):
  """By the models that Kubeflow generates from JobSet's and Kubernetes' own definitions.

  They leave out what they do not know: a field that does not come back is misspelt.
  """
  models = pytest.importorskip(
    'kubeflow_trainer_api.models', reason='needs pip install kubeflow-trainer-api'
  )
  _assert_kept(manifest, models.JobsetV1alpha2JobSet.from_dict(manifest).to_dict(), 'manifest')


def _assert_kept(given, back, where: str) -> None:
  if isinstance(given, dict):
    assert isinstance(back, dict), where
    for name, value in given.items():
      assert name in back, f'{where}.{name} is not in the schema'
      _assert_kept(value, back[name], f'{where}.{name}')
  elif isinstance(given, list):
    assert len(given) == len(back), where
    for index, value in enumerate(given):
      _assert_kept(value, back[index], f'{where}[{index}]')
  else:
    assert given == back, where
