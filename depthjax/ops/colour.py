"""The sRGB transfer curve, luminance, and the brightness of clipped highlights."""

import jax.numpy as jnp

# IEC 61966-2-1: below these values the curve is linear.
ENCODED_KNEE = 0.04045
LINEAR_KNEE = 0.0031308

# Luminance of linear sRGB primaries (Rec. ITU-R BT.709).
LUMINANCE = (0.2126, 0.7152, 0.0722)


def srgb_to_linear(x):
  """Decodes sRGB values [...] in [0, 1] to linear light in [0, 1] (IEC 61966-2-1)."""
  # Clamped first: in the linear part the derivative of the power is wrong or infinite.
  curved = jnp.power((jnp.maximum(x, ENCODED_KNEE) + 0.055) / 1.055, 2.4)
  return jnp.where(x <= ENCODED_KNEE, x / 12.92, curved)


def linear_to_srgb(x):
  """Encodes linear light [...] as sRGB (IEC 61966-2-1); values above 1 stay above 1."""
  curved = 1.055 * jnp.power(jnp.maximum(x, LINEAR_KNEE), 1 / 2.4) - 0.055
  return jnp.where(x <= LINEAR_KNEE, 12.92 * x, curved)


def luminance(linear):
  """Luminance [... 1] of linear light [... 3]."""
  return jnp.sum(linear * jnp.asarray(LUMINANCE, linear.dtype), axis=-1, keepdims=True)


def boost_highlights(linear, gain, threshold=0.9):
  """Brightens clipped highlights, whose light the sensor cut off.

  Args:
    linear: linear light [... 3] in [0, 1]; the result goes up to `gain`.
    gain: factor >= 1 at full luminance, the same for all channels of a pixel, so hue is kept.
    threshold: linear luminance above which the factor exceeds 1.
  """
  # A linear ramp from the threshold to white: a step would draw contours around soft highlights.
  ramp = jnp.clip((luminance(linear) - threshold) / (1 - threshold), 0, 1)
  return linear * (1 + (gain - 1) * ramp)


def jittered(image, jitter):
  """sRGB [b h w 3] in [0, 1] to the power of a gamma, times a gain for each channel, clipped.

  `jitter` [b 4] is the gamma and the three gains; (1, 1, 1, 1) changes nothing.
  """
  gamma, gains = jitter[:, None, None, :1], jitter[:, None, None, 1:]
  return jnp.clip(image**gamma * gains, 0, 1)
