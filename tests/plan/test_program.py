"""HLO text is parsed as the compilers print it."""

import pytest

from depthjax.plan import program

_TEXT = """
HloModule jit_step, is_scheduled=true

%body (p.1: (s32[], f32[4,130])) -> (s32[], f32[4,130]) {
  %p.1 = (s32[]{:T(128)}, /*index=1*/f32[4,130]{1,0:T(8,128)}) parameter(0)
  ROOT %t = (s32[], f32[4,130]{1,0:T(8,128)}) tuple(%p.1, %p.1), metadata={op_name="a(b)"}
}

ENTRY %main.7_spmd (x: f32[3,130]) -> bf16[130] {
  %x = f32[3,130]{1,0:T(4,128)S(1)} parameter(0)
  %y = bf16[3,130]{0,1:T(8,128)(2,1)} convert(%x), backend_config={"estimated_cycles":"7"}
  ROOT %fusion.1 = bf16[130]{0:T(256)(128)(2,1)} fusion(%y, %x), kind=kLoop, calls=%body
}
"""


def test_computations_and_instructions_are_parsed():
  parsed = program.parse(_TEXT)
  assert parsed.entry == 'main.7_spmd' and set(parsed.computations) == {'body', 'main.7_spmd'}
  fusion = parsed.computations['main.7_spmd']['fusion.1']
  assert fusion.opcode == 'fusion' and fusion.operands == ('y', 'x') and fusion.root
  assert fusion.calls('calls') == 'body' and fusion.calls('to_apply') is None
  tuple_ = parsed.computations['body']['t']
  assert [array.shape for array in tuple_.arrays] == [(), (4, 130)]
  assert tuple_.attributes.endswith('op_name="a(b)"}')


def test_array_size_includes_tile_padding():
  main = program.parse(_TEXT).computations['main.7_spmd']
  (x,), (y,) = main['x'].arrays, main['y'].arrays
  assert x.size == 4 * 256 * 4 and x.values == 3 * 130 * 4 and x.space == 1
  # The layout {0,1} makes axis 0 minor: 3 is padded to 128, 130 to 136.
  assert y.size == 128 * 136 * 2 and y.space == 0
  (scalar, plain) = program.arrays('(pred[], s4[6])')
  assert scalar.size == 1 and plain.size == 3


def test_text_without_entry_is_refused():
  with pytest.raises(ValueError, match='no ENTRY'):
    program.parse('def f(x):\n  return x\n')
