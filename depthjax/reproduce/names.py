"""Names of the tables, for the help of `depthjax reproduce`; imports no paper's module."""

import enum


class Name(enum.StrEnum):
  """PAPER/TABLE; the table is in TABLES of the module PAPER."""

  DEEPLENS_TABLE1 = 'deeplens/table1'
  DEEPLENS_TABLE2 = 'deeplens/table2'
  DEEPLENS_TABLE3 = 'deeplens/table3'
  DEEPLENS_FIGURE5 = 'deeplens/fig5'
  DEEPLENS_FIGURE12 = 'deeplens/fig12'
  SDDR_TABLE1 = 'sddr/table1'
  SDDR_TABLE2 = 'sddr/table2'
  SDDR_TABLE3 = 'sddr/table3'
  SDDR_TABLE4A = 'sddr/table4a'
  SDDR_TABLE4B = 'sddr/table4b'
  SDDR_TABLE4C = 'sddr/table4c'
  SDDR_TABLE4D = 'sddr/table4d'
  SDDR_FIGURE7 = 'sddr/fig7'
  LAYERED_MAIN = 'layered/main'
  LAYERED_ABLATION = 'layered/ablation'
  TOM_TABLE2 = 'tom/table2'
  TOM_TABLE3 = 'tom/table3'
  TOM_COLOURS = 'tom/colours'


ALL = ', '.join(Name)
