"""Invalid options are refused in one line, before anything else is imported."""

import pytest

from depthjax.commands import runner

_REFOCUS = 'refocus photo.png depth.png -o out.png'
_REFINE = 'refine photo.png map.png -o out.png'
_MASKS = 'mask-refine photo.png map.png mask.png -o out.png'
_BAD = {
  'defocus photo.png': "command 'defocus'",
  f'{_REFOCUS} --convention=near': "'--convention': 'near' 'disparity' 'depth'",
  f'{_REFOCUS} --focus=1.5,2': "--focus is '1.5,2'; it must be a pixel as x,y",
  f'{_REFOCUS} --focus=1,2 --focus-disparity=0.5': '--focus --focus-disparity; give one of',
  f'{_REFOCUS} --focus-box=1,2,3': "--focus-box is '1,2,3'; it must be a box as x0,y0,x1,y1",
  f'{_REFOCUS} --focus-disparity=nan': '--focus-disparity',
  f'{_REFOCUS} --aperture=nan': '--aperture',
  f'{_REFOCUS} --aperture=0.5 --radius=4': '--aperture --radius give one of',
  f'{_REFOCUS} --method=classical --weights=run': '--weights --method=classical; omit one of them',
  f'{_REFOCUS} --blades=2': '--blades is 2; 0 or at least 3',
  f'{_REFOCUS} --blades=6 --method=learned': '--blades --method=learned is round; omit one',
  f'{_REFOCUS} --frames=9': '--frames is given without --animate; give both',
  f'{_REFOCUS} --fps=24': '--fps is given without --animate; give both',
  f'{_REFOCUS} --predictor=run': 'DEPTH and --predictor are both given; give one of them',
  f'{_REFOCUS} --save-depth=a.png': '--save-depth is given, no depth map; --predictor',
  'refocus a.png -o out.png --predictor=run --stretch': '--stretch is given, depth files; omit it',
  'refine a.png -o out.png --predictor=run --convention=depth': '--convention depth files; omit it',
  f'{_REFINE} --predictor=run --save-depth=a.png': '--save-depth --predictor and no map',
  f'{_REFOCUS} --range=1': "--range is '1'; it must be LOW,HIGH, such as 1,99",
  f'{_REFINE} --range=5,5': '--range is 5,5; it must have 0 <= LOW < HIGH <= 100',
  f'{_REFINE.replace("photo.png map.png", "--low=a.npy --high=b.npy")} --stretch': '--stretch',
  'refine -o out.npy': 'map is missing; give a photograph and its depth map, or --low and --high',
  'refine photo.png map.png': "Missing option '--output'",
  'refine photo.png -o out.npy': 'the depth map is missing; give --predictor',
  f'{_REFINE} --low=map.png': 'DEPTH and --low are both given; give one of them',
  f'{_REFINE} --high=map.png --predictor=run': '--high and --predictor are both given; give one',
  'refine --low=map.png -o out.npy --predictor=run': '--predictor has no input; give a photograph',
  f'{_REFINE} --high-convention=depth': '--high-convention is given without --high; give both',
  f'{_REFINE} --levels=3': '--levels is given for one stage; give --stages=2',
  f'{_REFINE} --scale=input': 'out.png: can only have values in [0, 1]; --scale=unit .npy',
  'refine . map.png -o out --scale=input': 'NAME.png: can only have values in; --scale=unit',
  'mask-refine photo.png map.png -o out.png': 'a mask is missing; PHOTO DEPTH MASK --mask=auto',
  f'{_MASKS} --predictor=run': 'DEPTH and --predictor are given; give one of them, and --mask=FILE',
  f'{_MASKS} --method=fill --weights=run': '--weights is not used by --method=fill; omit one',
  f'{_MASKS} --save-depth=a.png': '--save-depth is given, no depth map; --predictor',
  'mask-refine a.png --mask=auto --predictor=run --invalid=0 -o out.png': '--invalid depth files;',
  'convert vgg16 file.pth -o a.safetensors': "'vgg16' 'resnet50'",
  'score data --split=other': "'--split' 'other' 'train', 'val', 'test', 'all'",
  'reproduce deeplens/table9': "no table 'deeplens/table9'; deeplens/table1",
  'reproduce deeplens/table2 --given=deeplens=run': '--given deeplens; only sddr, layered',
  'prepare nothing --source=a --target=b': "'nothing' is not a dataset; 'ebb' 'blb' 'nyuv2'",
}


@pytest.mark.parametrize('line', _BAD)
def test_invalid_options_are_refused_before_imports(line, refuse, monkeypatch):
  monkeypatch.setattr(runner, 'load', None)
  refuse(line, _BAD[line])
