"""Portrait-mode photos: JPEG files with a depth map in XMP, as Google's camera writes them."""

import base64
import io

import numpy as np
from PIL import Image

_ATTRIBUTES = '<rdf:Description xmlns:GDepth="http://ns.google.com/photos/1.0/depthmap/" {}/>'
_ELEMENTS = "<rdf:Description xmlns:GDepth='http://ns.google.com/photos/1.0/depthmap/'>{}</x>"


def encoded(levels, kind='PNG'):
  """An image as base64, without the padding."""
  file = io.BytesIO()
  Image.fromarray(levels).save(file, kind, **({'quality': 100} if kind == 'JPEG' else {}))
  return base64.b64encode(file.getvalue()).decode().rstrip('=')


def packet(as_elements=False, **fields):
  """XMP with fields of GDepth, as attributes or as elements."""
  if as_elements:
    return _ELEMENTS.format(''.join(f'<GDepth:{k}>{v}</GDepth:{k}>' for k, v in fields.items()))
  return _ATTRIBUTES.format(' '.join(f'GDepth:{k}="{v}"' for k, v in fields.items()))


def _segment(data):
  return b'\xff\xe1' + (len(data) + 2).to_bytes(2, 'big') + data


def save(path, shape, xmp, extension='', step=100, orientation=1):
  """A black JPEG with XMP, and extended XMP in parts of `step` bytes, the last one first."""
  file, exif = io.BytesIO(), Image.Exif()
  exif[0x0112] = orientation
  Image.fromarray(np.zeros((*shape, 3), np.uint8)).save(file, 'JPEG', exif=exif)
  segments, extension = [], extension.encode()
  for start in range(0, len(extension), step):
    position = len(extension).to_bytes(4, 'big') + start.to_bytes(4, 'big')
    header = b'http://ns.adobe.com/xmp/extension/\0' + b'36BE52D449F3E6B9' * 2 + position
    segments.insert(0, _segment(header + extension[start : start + step]))
  segments.insert(0, _segment(b'http://ns.adobe.com/xap/1.0/\0' + xmp.encode()))
  jpeg = file.getvalue()
  path.write_bytes(jpeg[:2] + b''.join(segments) + jpeg[2:])
  return path
