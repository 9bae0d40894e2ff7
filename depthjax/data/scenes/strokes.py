"""Strokes and outlines on a square canvas, in units of half its side, origin in the middle.

Canvases are uint8 [size size] and drawn into in place; points are [n 2], (x, y), y down.
"""

import cv2
import numpy as np


def to_pixels(canvas, points):
  """Points [... 2] in sixteenths of a pixel, as OpenCV takes them: 0 is a pixel's middle."""
  return np.rint(((np.asarray(points) + 1) * canvas.shape[0] / 2 - 0.5) * 16).astype(np.int32)


def fill(canvas, points, value=255):
  """Fills a polygon, points [n 2] (x, y) in units of half a canvas."""
  cv2.fillPoly(canvas, [to_pixels(canvas, points)], value, cv2.LINE_AA, 4)


def stroke(canvas, points, widths):
  """A polyline with round joints whose width (in units) runs along widths [n]."""
  points = to_pixels(canvas, points)
  widths = np.rint(np.asarray(widths) * canvas.shape[0] / 2)
  widths = np.maximum(2, widths).astype(int).tolist()
  for i in range(len(points) - 1):
    ends = points[i].tolist(), points[i + 1].tolist()
    cv2.line(canvas, *ends, 255, widths[i], cv2.LINE_AA, 4)


def turn(points, angle):
  """Points turned about the origin by an angle in radians."""
  cos, sin = np.cos(angle), np.sin(angle)
  return np.asarray(points) @ np.array([[cos, sin], [-sin, cos]])


def closed_curve(rng, *, roughness, harmonics=9, samples=160):
  """A Fourier radius around the origin: points [samples 2], largest radius 0.9."""
  angle = np.linspace(0, 2 * np.pi, samples, endpoint=False)
  order = np.arange(1, harmonics + 1)
  weight = rng.normal(0, 1, (2, harmonics)) * roughness / order**1.2
  radius = weight[0] @ np.cos(np.outer(order, angle)) + weight[1] @ np.sin(np.outer(order, angle))
  radius = np.exp(radius)
  radius *= 0.9 / radius.max()
  return np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1)
