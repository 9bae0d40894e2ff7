"""Reports: well-formed, escaped HTML with every picture embedded."""

import base64
import io
import re
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from PIL import Image

from depthjax.files.errors import InputError
from depthjax.files.report import Report

PHOTO = np.random.default_rng(0).random((12, 20, 3)).astype(np.float32)


@pytest.fixture
def page(tmp_path):
  """A page with parts of every kind."""
  report = Report('Blur & <depth>', 'Six "photos"')
  report.heading('Part <one>')
  report.paragraph('1 < 2 & <script>alert(1)</script>')
  report.table([('<a>', '31.23', 7), ('b', '20.00', 8)], ['Name', 'PSNR', 'N'])
  plot = cv2.imencode('.png', np.zeros((30, 40, 3), np.uint8))[1].tobytes()
  report.figure(plot, 'A "plot" & more')
  report.comparison([(PHOTO, 'Before'), (PHOTO[..., 0], 'After')], 'Both')
  return report.write(tmp_path / 'a.html').read_text(encoding='utf-8')


def _parsed(page):
  """The page as XML, in which elements without content are closed; errors if it is not nested."""
  return ElementTree.fromstring(re.sub('<((?:meta|img) .*?)>', r'<\1/>', page))


def test_page_is_well_formed_and_escaped(page):
  assert page.startswith('<!DOCTYPE html>\n<html lang="en">') and '<meta charset="utf-8">' in page
  root = _parsed(page)
  text = ''.join(root.itertext())
  parts = ['Blur & <depth>', 'Six "photos"', 'Part <one>', '1 < 2 & <script>alert(1)</script>']
  positions = [text.rindex(part) for part in [*parts, '<a>', '31.23', 'A "plot"', 'Both']]
  assert positions == sorted(positions)
  assert [len(list(root.iter(name))) for name in ('script', 'th', 'td')] == [0, 5, 4]


def test_page_needs_no_other_file(page):
  links = re.findall(r'(?:src|href)="(.*?)"', page)
  assert links and all(link.startswith(('#', 'data:image/')) for link in links)
  assert not re.search(r'https?:|url\(|@import', page)


def test_pictures_are_embedded_with_size_and_alternative_text(page):
  images = list(_parsed(page).iter('img'))
  assert [image.get('alt') for image in images] == ['A "plot" & more', 'Before', 'After']
  decoded = []
  for image in images:
    kind, data = re.fullmatch(r'data:image/(\w+);base64,(.+)', image.get('src')).groups()
    decoded.append(Image.open(io.BytesIO(base64.b64decode(data))))
    assert decoded[-1].format.lower() == kind
    assert decoded[-1].size == (int(image.get('width')), int(image.get('height')))
  assert [image.format for image in decoded] == ['PNG', 'JPEG', 'JPEG']
  assert np.abs(np.asarray(decoded[1]) / 255 - PHOTO).mean() < 0.05


def test_each_picture_links_to_its_enlargement(page):
  root = _parsed(page)
  frames = [a.get('id') for a in root.iter('div') if a.get('class') == 'frame']
  links = [a.get('href') for a in root.iter('a') if a.get('class') != 'close']
  assert links == [f'#{name}' for name in frames] and len(set(frames)) == 3
  assert all(a.get('aria-label') for a in root.iter('a'))


def test_invalid_parts_are_refused(tmp_path):
  report = Report('Bad', '')
  with pytest.raises(ValueError, match='has 1 cells; expected 2'):
    report.table([('a',)], ['A', 'B'])
  with pytest.raises(OSError, match='cannot identify image'):
    report.figure(b'rubbish', '')
  with pytest.raises(InputError, match='NaN'):
    report.figure(PHOTO * np.nan, '')
  with pytest.raises(InputError, match=r"a\.htm: ends in '\.htm'; expected .* \.html"):
    report.write(tmp_path / 'a.htm')
  assert list(tmp_path.iterdir()) == []
