"""Options that no command accepts: refused in one line, before anything is loaded."""

import pytest

from depthjax.commands import runner

_REFOCUS = 'refocus photo.png depth.png -o out.png'
_REFINE = 'refine photo.png map.png -o out.png'
_MAPS = 'refine --low=map.png --high=far.npy -o out.npy'
_BAD = {
  'defocus photo.png': "command 'defocus'",
  f'{_REFOCUS} --blur=3': '--blur',
  f'{_REFOCUS} --convention=near': "'--convention': 'near' 'disparity' 'depth'",
  f'{_REFOCUS} --focus=12': "--focus is '12'; a pixel as x,y, such as",
  f'{_REFOCUS} --focus=1.5,2': "--focus is '1.5,2'; a pixel as x,y",
  f'{_REFOCUS} --focus=1,2 --focus-disparity=0.5': '--focus --focus-disparity one of',
  f'{_REFOCUS} --focus=1,2 --focus-box=1,2,3,4 --focus-disparity=0': (
    '--focus and --focus-box and --focus-disparity one of'
  ),
  f'{_REFOCUS} --focus-box=1,2,3': "--focus-box is '1,2,3'; a box as x0,y0,x1,y1",
  f'{_REFOCUS} --focus-disparity=nan': '--focus-disparity',
  f'{_REFOCUS} --aperture=1.5': "'--aperture'",
  f'{_REFOCUS} --aperture=nan': '--aperture',
  f'{_REFOCUS} --radius=nan': '--radius',
  f'{_REFOCUS} --radius=-1': "'--radius'",
  f'{_REFOCUS} --aperture=0.5 --radius=4': '--aperture --radius give one of',
  f'{_REFOCUS} --method=classical --weights=run': (
    '--method=classical uses no weights; leave out one of'
  ),
  'refine -o out.npy': 'give a photograph and its depth map, or --low and --high',
  'refine photo.png map.png': "Missing option '--output'",
  'refine --low=map.png -o out.npy': 'give a photograph --low and --high',
  'refine photo.png -o out.npy': 'a photograph needs its depth map, or --predictor',
  f'{_REFINE} --low=map.png': 'DEPTH and --low say the same thing; give one of them',
  f'{_REFINE} --high=map.png --predictor=run': '--high and --predictor the same thing; give one',
  f'{_MAPS} --predictor=run': '--high and --predictor',
  'refine --low=map.png -o out.npy --predictor=run': '--predictor needs a photograph',
  f'{_REFINE} --size=10x10': '--size is that of the photograph; leave it out',
  f'{_MAPS} --size=10,10': "--size is '10,10'; rows x columns, such as",
  f'{_MAPS} --size=1x10': '--size is 1x10; at least 2 pixels a side',
  f'{_MAPS} --size=99999x99999': '--size is 99999x99999; at most 100 million',
  f'{_REFINE} --high-convention=depth': '--high-convention is that of --high, which is missing',
  f'{_REFINE} --levels=3': '--levels is of windows; give --stages=2',
  f'{_REFINE} --stages=2 --levels=0': "'--levels'",
  f'{_REFINE} --scale=own': 'out.png: holds values from 0 to 1 only; --scale=unit .npy',
  'refine . map.png -o out --scale=own': 'NAME.png: holds values from 0 to 1 only; --scale=unit',
  'depth photo.png -o out.png': "Missing option '--weights'",
  'convert vgg16 file.pth -o a.safetensors': "'vgg16' 'resnet50'",
  'score data --split=other': "'--split' 'other' 'train', 'val', 'test', 'all'",
  'reproduce deeplens/table9': "'deeplens/table9'; deeplens/table1",
  'reproduce deeplens/table2 --given=deeplens=run': '--given is for tables of sddr',
  'prepare nothing --source=a --target=b': "'nothing' 'ebb' 'blb' 'nyuv2'",
  'prepare ebb --target=b': "'--source'",
  'prepare ebb --source=a --target=b --most-bad=2': '--most-bad',
  'prepare ebb --source=a --target=b --long-side=2': '--long-side',
}


@pytest.mark.parametrize('line', _BAD)
def test_bad_options_are_refused_before_anything_is_loaded(line, refuse, monkeypatch):
  monkeypatch.setattr(runner, 'load', None)
  refuse(line, _BAD[line])
