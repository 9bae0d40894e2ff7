"""Published Mix Transformers: sizes, both sets of names, and features of transformers."""

import functools
import re

import jax
import numpy as np
import pytest

from depthjax.convert import checkpoints, mit, naming
from depthjax.models import layered
from depthjax.models.encoders.mit import RATIOS, SIZES, MixTransformer
from tests.messages import refused


@functools.cache
def _official(name):
  """A state dict with the names of SegFormer's authors; broadcast zeros take no memory."""
  tensors = {}
  for path, x in naming.leaves(mit._shapes(name)):
    shape = naming.to_torch(np.empty(x.shape)).shape
    tensors[naming.torch_name(path, mit.RULES)] = np.broadcast_to(np.float32(0), shape)
  return {**tensors, 'head.weight': np.zeros((10, 4)), 'head.bias': np.zeros(10)}


def _timm(name):
  """Likewise with the names of timm, and values in two tensors of the first stage."""
  renamed = {}
  for official, x in _official(name).items():
    new = official.replace('dwconv.dwconv', 'dwconv').replace('patch_embed1', 'patch_embed')
    for theirs, part in mit._TIMM.items():
      new = re.sub(rf'^{part}(\d)', lambda m, n=theirs: f'stages.{int(m[1]) - 1}.{n}', new)
    renamed[new] = x
  for changed in ('patch_embed.proj.weight', 'stages.0.blocks.1.norm2.bias'):
    renamed[changed] = np.random.default_rng(0).random(renamed[changed].shape, np.float32)
  return renamed


@pytest.mark.parametrize(
  'published, name, preset, parameters',
  [
    (_official, 'mit_b0', 'small', 3_319_392),
    (_official, 'mit_b3', None, 44_072_128),
    (_timm, 'pvtv2_b3', 'pvtv2_b3', 44_725_696),
  ],
)
def test_size_is_detected_and_the_layered_network_loads_the_backbone(
  published, name, preset, parameters
):
  """The counts are those of SegFormer and PVTv2, without their classifiers."""
  variables, found, left = mit.convert(published(name), 'file.pth')
  assert found == name and left == ['head.bias', 'head.weight']
  assert variables['params'].keys() == {'backbone'}
  backbone = variables['params']['backbone']
  if preset:
    model = layered.network({'preset': preset})
    expected = jax.eval_shape(functools.partial(layered.initial, model))['params']['backbone']
    assert jax.tree.map(np.shape, backbone) == jax.tree.map(np.shape, dict(expected))
  second = backbone.pop('second')
  assert sum(x.size for _, x in naming.leaves(variables)) == parameters
  # The second first stage has the same values, and zeros for the mask.
  kernel = second['patch_embed1']['proj'].pop('kernel')
  np.testing.assert_array_equal(kernel[:, :, :3], backbone['patch_embed1']['proj'].pop('kernel'))
  assert kernel.shape[2] == 4 and not kernel[:, :, 3].any()
  jax.tree.map(np.testing.assert_array_equal, second, {part: backbone[part] for part in second})


@pytest.mark.parametrize(
  'published, name',
  [
    ('encoder.patch_embeddings.0.proj.weight', 'patch_embed1.proj.weight'),
    ('segformer.encoder.patch_embeddings.3.layer_norm.bias', 'patch_embed4.norm.bias'),
    ('encoder.block.1.0.layer_norm_2.weight', 'block2.0.norm2.weight'),
    ('encoder.block.2.17.attention.self.query.weight', 'block3.17.attn.q.weight'),
    ('encoder.block.0.1.attention.self.layer_norm.bias', 'block1.1.attn.norm.bias'),
    ('encoder.block.3.1.attention.output.dense.bias', 'block4.1.attn.proj.bias'),
    ('encoder.block.3.1.mlp.dense1.bias', 'block4.1.mlp.fc1.bias'),
    ('encoder.block.3.1.mlp.dwconv.dwconv.weight', 'block4.1.mlp.dwconv.dwconv.weight'),
    ('encoder.layer_norm.2.weight', 'norm3.weight'),
    ('backbone.block1.0.attn.kv.weight', 'block1.0.attn.kv.weight'),
    ('backbone.block1.0.mlp.dwconv.dwconv.bias', 'block1.0.mlp.dwconv.dwconv.bias'),
    ('patch_embed.proj.weight', 'patch_embed1.proj.weight'),
    ('stages.3.downsample.norm.bias', 'patch_embed4.norm.bias'),
    ('stages.2.blocks.17.attn.sr.weight', 'block3.17.attn.sr.weight'),
    ('stages.0.blocks.1.attn.norm.bias', 'block1.1.attn.norm.bias'),
    ('stages.0.blocks.0.mlp.dwconv.bias', 'block1.0.mlp.dwconv.dwconv.bias'),
    ('stages.1.norm.weight', 'norm2.weight'),
  ],
)
def test_names_of_transformers_and_timm_are_translated(published, name):
  assert list(mit._official({published: np.zeros(1)}, 'file')) == [name]
  assert name in _official('pvtv2_b3')


def test_keys_are_concatenated_before_values():
  prefix = 'encoder.block.0.0.attention.self'
  official = mit._official({f'{prefix}.value.bias': [7], f'{prefix}.key.bias': [3]}, 'file')
  np.testing.assert_array_equal(official['block1.0.attn.kv.bias'], [3, 7])


@pytest.mark.parametrize(
  'name, value, wrong',
  [
    ('norm3.weight', np.zeros(0), 'stages of [2, 2, 2, 2] blocks and [32, 64, 0, 256] channels'),
    ('block3.2.norm1.bias', np.zeros(160), 'has stages of [2, 2, 3, 2] blocks'),
    ('norm1.bias', np.zeros(64), 'has norm1.bias as [64]; expected [32]'),
    ('encoder.block.0.0.attention.self.key.bias', np.zeros(32), 'has no tensor'),
  ],
)
def test_another_network_is_refused(name, value, wrong):
  tensors = {**_official('mit_b0'), name: value}
  refused(lambda: mit.convert(tensors, 'file.pth'), 'file.pth: ', wrong, 'ImageNet MiT')


@pytest.mark.slow
def test_features_equal_those_of_transformers(tmp_path):
  torch = pytest.importorskip('torch', reason="torch is in the extra 'parity'")
  transformers = pytest.importorskip('transformers', reason="transformers is in the extra 'parity'")
  theirs = transformers.SegformerForImageClassification(transformers.SegformerConfig()).eval()
  with torch.no_grad():
    for x in theirs.parameters():  # initial norms and biases are 1 and 0
      x += 0.1 * torch.randn_like(x)
  theirs.save_pretrained(tmp_path)
  tensors = checkpoints.read(tmp_path / 'model.safetensors')
  variables, _, left = mit.convert(tensors, 'file')
  assert left == ['classifier.bias', 'classifier.weight']
  x = np.random.default_rng(0).random((2, 64, 96, 3), np.float32)
  params = variables['params']['backbone']
  ours = jax.jit(MixTransformer(drop=0.0).apply)({'params': params}, x)
  with torch.no_grad():
    pixels = torch.tensor(np.moveaxis(x, -1, 1).copy())
    found = theirs.segformer(pixels, output_hidden_states=True).hidden_states
  for a, b in zip(ours, found, strict=True):
    b = np.moveaxis(b.numpy(), 1, -1)
    np.testing.assert_allclose(a, b, atol=1e-4 * np.abs(b).max())


@pytest.mark.slow
def test_features_equal_those_of_timm():
  torch = pytest.importorskip('torch', reason="torch is in the extra 'parity'")
  timm = pytest.importorskip('timm', reason="timm is in the extra 'parity'")
  theirs, found = timm.create_model('pvt_v2_b3').eval(), []
  for stage in theirs.stages:
    stage.register_forward_hook(lambda module, inputs, output: found.append(output))
  with torch.no_grad():
    for x in theirs.parameters():
      x += 0.1 * torch.randn_like(x) if x.ndim == 1 else 0.01 * torch.randn_like(x)
  tensors = {name: x.numpy() for name, x in theirs.state_dict().items()}
  variables, name, left = mit.convert(tensors, 'file')
  assert name == 'pvtv2_b3' and left == ['head.bias', 'head.weight']
  x = np.random.default_rng(0).random((2, 64, 96, 3), np.float32)
  model = MixTransformer(*SIZES['b3'], drop=0.0, ratios=RATIOS['pvtv2'])
  ours = jax.jit(model.apply)({'params': variables['params']['backbone']}, x)
  with torch.no_grad():
    theirs(torch.tensor(np.moveaxis(x, -1, 1).copy()))
  for a, b in zip(ours, found, strict=True):
    b = np.moveaxis((b[0] if isinstance(b, tuple) else b).numpy(), 1, -1)
    np.testing.assert_allclose(a, b, atol=1e-4 * np.abs(b).max())
