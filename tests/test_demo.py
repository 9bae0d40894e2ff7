"""The demonstration, with the smallest lens blur."""

import pytest

from depthjax import demo

_CONFIG = """
from tests import tiny

def get_config(arg):
  return tiny.lensblur_config(steps=2, parallel__devices=1, eval__pictures=1)
"""


@pytest.mark.slow
def test_demo_trains_refocuses_and_writes_a_report(tmp_path, monkeypatch, capsys):
  monkeypatch.setattr(demo, '_RADIUS', 4)
  (tmp_path / 'config.py').write_text(_CONFIG)
  report = demo.run(tmp_path / 'demo', tmp_path / 'config.py')
  text = report.read_text(encoding='utf-8')
  assert 'PSNR' in text and 'learned (this run)' in text
  assert (tmp_path / 'demo' / 'run' / 'weights.safetensors').is_file()
  pictures = sorted(path.name for path in (tmp_path / 'demo').glob('*.png'))
  assert len(pictures) >= 4 and str(report) in capsys.readouterr().out
