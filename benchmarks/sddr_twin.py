"""The released FuseNet of SDDR in PyTorch, in evaluation mode, with its 528 names: [b c h w]."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

STRIDE = 128
_WIDTHS, _DEPTHS, _HEADS, _REDUCTIONS = (32, 64, 160, 256), (2, 2, 2, 2), (1, 2, 5, 8), (8, 4, 2, 1)
_HEAD = 32  # Channels of an attention head.
# Inputs, outputs, groups of the main norm, groups of the mask's norm; deepest first.
_DECODER = (
  (256, 160, 32, 0),
  (160, 64, 20, 20),
  (64, 32, 8, 8),
  (32, 32, 4, 4),
  (32, 16, 4, 4),
  (16, 8, 1, 2),
  (8, 1, 1, 1),
)


class FuseNet(nn.Module):
  """Fuses a consistent and a sharp prediction [b 1 h w], h and w multiples of 128."""

  def __init__(self):
    super().__init__()
    self.encoder = _Stem()
    self.decoder = _Decoder()
    self.cvt = nn.Module()
    self.cvt.cvt_1 = _Cross()
    self.backbone = _MiT()
    self.grad = nn.Conv2d(1, 1, 5, padding=2, padding_mode='replicate')
    self.mid_out_half = _Enlarged(16, 1, 1)
    self.mid_out_quart = _Enlarged(32, 1, 2)
    # The release registers the same modules under these names too.
    for k in (1, 2, 3):
      setattr(self, f'en_layer{k}', getattr(self.encoder, f'layer_{k}'))
    self.cross = self.cvt.cvt_1

  def forward(self, low, high, sides: bool = True) -> dict[str, torch.Tensor]:
    """`fusion`, `mask_half`, `mask_quarter`, and with `sides` also `half` and `quarter`."""
    lows, highs = self._features(low), self._features(self.grad(high))
    across = self.cross(torch.stack([lows[-1], highs[-1]], 1))
    lows[-1], highs[-1] = lows[-1] + across[:, 0], highs[-1] + across[:, 1]
    result = self.decoder.layer_0(lows[-1] + highs[-1])
    outputs = {}
    for k in range(1, 7):
      mask = getattr(self.decoder, f'layer_{k}_f')(result)
      fused = result + mask * lows[-1 - k] + (1 - mask) * highs[-1 - k]
      if k == 4 and sides:
        outputs['quarter'] = self.mid_out_quart(fused)
      if k == 5:
        outputs['mask_quarter'] = mask
        if sides:
          outputs['half'] = self.mid_out_half(fused)
      result = getattr(self.decoder, f'layer_{k}')(fused)
    return {'fusion': result, 'mask_half': mask, **outputs}

  def _features(self, x) -> list:
    stem = self.encoder(x)
    return [*stem, *self.backbone(stem[1])]


class _Stem(nn.Module):
  def __init__(self):
    super().__init__()
    self.layer_1, self.layer_2, self.layer_3 = _Block(1, 8), _Block(8, 16), _Block(16, 32)

  def forward(self, x) -> list:
    first = self.layer_1(x)
    second = self.layer_2(first)
    return [first, second, self.layer_3(second)]


class _Block(nn.Module):
  """A residual block of stride 2; its norms are group norms, though named bn."""

  def __init__(self, inputs: int, outputs: int):
    super().__init__()
    groups = outputs // 8
    self.conv1 = nn.Conv2d(inputs, outputs, 3, 2, 1)
    self.bn1 = nn.GroupNorm(groups, outputs)
    self.bn2 = nn.GroupNorm(groups, outputs)
    self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1)
    self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, 2), nn.GroupNorm(groups, outputs))

  def forward(self, x):
    y = functional.leaky_relu(self.bn1(self.conv1(x)), 0.01)
    return functional.leaky_relu(self.bn2(self.conv2(y)) + self.downsample(x), 0.01)


class _Decoder(nn.Module):
  def __init__(self):
    super().__init__()
    for k, (inputs, outputs, groups, mask_groups) in enumerate(_DECODER):
      if mask_groups:
        self.add_module(f'layer_{k}_f', _Mask(inputs, mask_groups))
      last = k == len(_DECODER) - 1
      layer = _Enlarged(inputs, outputs, groups, kernel=5 if last else 3, active=not last)
      self.add_module(f'layer_{k}', layer)


class _Enlarged(nn.Sequential):
  """Norm, bicubic doubling, convolution."""

  def __init__(self, inputs: int, outputs: int, groups: int, kernel: int = 3, active: bool = False):
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, padding_mode='replicate')
    act = [nn.LeakyReLU(0.01)] if active else []
    super().__init__(nn.GroupNorm(groups, inputs), _Doubling(), conv, *act)


class _Doubling(nn.Module):
  def forward(self, x):
    return functional.interpolate(x, scale_factor=2, mode='bicubic', align_corners=True)


class _Mask(nn.Sequential):
  def __init__(self, inputs: int, groups: int):
    conv = nn.Conv2d(inputs, 1, 3, padding=1, padding_mode='replicate')
    super().__init__(nn.GroupNorm(groups, inputs), conv, nn.Sigmoid())


class _MiT(nn.Module):
  """MiT-B0 of SegFormer on 16 channels: features at 1/4, 1/8, 1/16 and 1/32 of its input."""

  def __init__(self):
    super().__init__()
    before = (16, *_WIDTHS[:-1])
    for i, (inputs, width) in enumerate(zip(before, _WIDTHS, strict=True), start=1):
      kernel, stride = (7, 4) if i == 1 else (3, 2)
      self.add_module(f'patch_embed{i}', _Patches(inputs, width, kernel, stride))
    for i, (width, depth) in enumerate(zip(_WIDTHS, _DEPTHS, strict=True), start=1):
      heads, reduction = _HEADS[i - 1], _REDUCTIONS[i - 1]
      blocks = nn.ModuleList([_Transformer(width, heads, reduction) for _ in range(depth)])
      self.add_module(f'block{i}', blocks)
      self.add_module(f'norm{i}', nn.LayerNorm(width, eps=1e-6))

  def forward(self, x) -> list:
    features = []
    for i in range(1, 5):
      tokens, shape = getattr(self, f'patch_embed{i}')(x)
      for block in getattr(self, f'block{i}'):
        tokens = block(tokens, shape)
      x = _map(getattr(self, f'norm{i}')(tokens), shape)
      features.append(x)
    return features


class _Patches(nn.Module):
  def __init__(self, inputs: int, width: int, kernel: int, stride: int):
    super().__init__()
    self.proj = nn.Conv2d(inputs, width, kernel, stride, kernel // 2)
    self.norm = nn.LayerNorm(width, eps=1e-5)

  def forward(self, x):
    x = self.proj(x)
    return self.norm(x.flatten(2).transpose(1, 2)), x.shape[2:]


class _Transformer(nn.Module):
  def __init__(self, width: int, heads: int, reduction: int):
    super().__init__()
    self.norm1 = nn.LayerNorm(width, eps=1e-6)
    self.attn = _Attention(width, heads, reduction)
    self.norm2 = nn.LayerNorm(width, eps=1e-6)
    self.mlp = _MixMLP(width)

  def forward(self, x, shape):
    x = x + self.attn(self.norm1(x), shape)
    return x + self.mlp(self.norm2(x), shape)


class _Attention(nn.Module):
  """Attention to keys and values of a map downsampled by a strided convolution."""

  def __init__(self, width: int, heads: int, reduction: int):
    super().__init__()
    self.heads = heads
    self.q = nn.Linear(width, width)
    self.kv = nn.Linear(width, 2 * width)
    self.proj = nn.Linear(width, width)
    if reduction > 1:
      self.sr = nn.Conv2d(width, width, reduction, reduction)
      self.norm = nn.LayerNorm(width, eps=1e-5)

  def forward(self, x, shape):
    q, source = self.q(x), x
    if hasattr(self, 'sr'):
      source = self.norm(self.sr(_map(x, shape)).flatten(2).transpose(1, 2))
    k, v = self.kv(source).chunk(2, -1)
    return self.proj(_attended(q, k, v))


class _MixMLP(nn.Module):
  def __init__(self, width: int):
    super().__init__()
    self.fc1 = nn.Linear(width, 4 * width)
    self.dwconv = nn.Module()
    self.dwconv.dwconv = nn.Conv2d(4 * width, 4 * width, 3, 1, 1, groups=4 * width)
    self.fc2 = nn.Linear(4 * width, width)

  def forward(self, x, shape):
    y = self.dwconv.dwconv(_map(self.fc1(x), shape))
    return self.fc2(functional.gelu(y.flatten(2).transpose(1, 2)))


class _Cross(nn.Module):
  """Attention across the streams: [b 2 c h w] -> [b 2 c h w], c = 256."""

  def __init__(self, width: int = _WIDTHS[-1], depth: int = 8):
    super().__init__()
    self.decoder = nn.ModuleList([_CrossBlock(width) for _ in range(depth)])
    self.sep_conv = nn.Module()
    self.sep_conv.conv1 = nn.Conv2d(width, width, 1, groups=width, bias=False)
    self.sep_conv.pointwise = nn.Conv2d(width, width, 1, bias=False)
    self.sep_deconv = nn.Module()
    self.sep_deconv.conv1 = nn.ConvTranspose2d(width, width, 1, groups=width)
    self.sep_deconv.pointwise = nn.Conv2d(width, width, 1, bias=False)

  def forward(self, x):
    shape = x.shape
    b, n, c, h, w = shape
    x = self.sep_conv.pointwise(self.sep_conv.conv1(x.flatten(0, 1))).reshape(shape)
    code = position_code(h, w, c, x).flatten(0, 1).repeat(n, 1)
    for block in self.decoder:
      tokens = block(x.permute(0, 1, 3, 4, 2).reshape(b, n * h * w, c), code)
      # Positions and channels are swapped: the release reinterprets the buffer, and its
      # weights were trained with that.
      x = tokens.contiguous().view(shape)
    x = self.sep_deconv.pointwise(self.sep_deconv.conv1(x.flatten(0, 1)))
    return x.reshape(shape)


class _CrossBlock(nn.Module):
  def __init__(self, width: int):
    super().__init__()
    self.norm1 = nn.LayerNorm(width)
    self.attn = nn.Module()
    for name in ('q_linear', 'k_linear', 'v_linear'):
      self.attn.add_module(name, nn.Linear(width, width, bias=False))
    self.attn.proj = nn.Linear(width, width)
    self.norm2 = nn.LayerNorm(width)
    self.mlp = nn.Module()
    self.mlp.fc1 = nn.Linear(width, 4 * width)
    self.mlp.fc2 = nn.Linear(4 * width, width)

  def forward(self, x, code):
    y = self.norm1(x)
    q, k = self.attn.q_linear(y + code), self.attn.k_linear(y + code)
    x = x + self.attn.proj(_attended(q, k, self.attn.v_linear(y)))
    return x + self.mlp.fc2(functional.gelu(self.mlp.fc1(self.norm2(x))))


def position_code(h: int, w: int, width: int, like: torch.Tensor) -> torch.Tensor:
  """[h w width]: sines of the row in the first half of the channels, of the column in the other."""
  half = width // 2
  i = torch.arange(half)
  frequency = 10000.0 ** (-2 * (i // 2) / half)

  def part(size: int) -> torch.Tensor:
    angle = torch.arange(1, size + 1)[:, None] * frequency
    return torch.where(i % 2 == 0, angle.sin(), angle.cos())

  rows = part(h)[:, None].expand(h, w, half)
  columns = part(w)[None].expand(h, w, half)
  return torch.cat([rows, columns], -1).to(like)


def random(seed: int) -> FuseNet:
  """The network with random weights such that every part of it affects the results.

  The weights of a fresh network would not do: its convolutions of deviation 0.01 leave little of a
  picture, and norms that change nothing hide mistakes.
  """
  net = FuseNet().eval().requires_grad_(False)
  rng = np.random.default_rng(seed)
  for x in net.parameters():
    if x.ndim == 1:
      value = rng.normal(0, 0.2, x.shape)
    else:
      value = rng.normal(0, np.prod(x.shape[1:]) ** -0.5, x.shape)
    x.copy_(torch.from_numpy(value.astype(np.float32)))
  for module in net.modules():
    if isinstance(module, (nn.GroupNorm, nn.LayerNorm)):
      module.weight += 1
  return net


def _attended(q, k, v):
  """Attention by heads of 32 channels: [b t c], [b s c], [b s c] -> [b t c]."""
  q, k, v = (x.unflatten(-1, (-1, _HEAD)).transpose(1, 2) for x in (q, k, v))
  return functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def _map(tokens, shape):
  """[b h*w c] -> [b c h w]."""
  return tokens.transpose(1, 2).unflatten(2, tuple(shape))
