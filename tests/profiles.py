"""ICC profiles for tests: version 2, with a matrix and a gamma curve."""

import struct

# XYZ of the primaries in the profile connection space (D50).
SRGB = ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141))
P3 = ((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841))


def matrix_profile(red, green, blue, padding=0):
  """An RGB profile from the XYZ of its primaries, enlarged by `padding` bytes."""
  xyz = {b'rXYZ': red, b'gXYZ': green, b'bXYZ': blue, b'wtpt': (0.9642, 1.0, 0.8249)}
  tags = {
    name: b'XYZ \0\0\0\0' + struct.pack('>3i', *(round(v * 65536) for v in values))
    for name, values in xyz.items()
  }
  tags |= {name: b'curv\0\0\0\0' + struct.pack('>IHxx', 1, 563) for name in (b'rTRC', b'gTRC')}
  tags[b'bTRC'] = tags[b'rTRC']
  tags[b'desc'] = b'desc\0\0\0\0' + struct.pack('>I', 5) + b'test\0' + bytes(78 + 1)
  tags[b'cprt'] = b'text\0\0\0\0none\0\0\0\0' + b'x' * padding
  table, body = struct.pack('>I', len(tags)), b''
  for name, data in tags.items():
    table += name + struct.pack('>II', 128 + 4 + 12 * len(tags) + len(body), len(data))
    body += data + bytes(-len(data) % 4)
  header = struct.pack('>I4sI', 128 + len(table + body), b'lcms', 0x02100000) + b'mntrRGB XYZ '
  header += bytes(12) + b'acsp' + bytes(28) + struct.pack('>3i', 63190, 65536, 54061)
  return header.ljust(128, b'\0') + table + body
