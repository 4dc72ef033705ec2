"""What a compiled program writes and reads, counted from its text."""

import pytest

from nmmo_jax.bench.traffic import Cost, Program, size

TEXT = """HloModule small

%gathers (table: f32[100,8], rows: s32[4,1]) -> f32[4,8] {
  %table = f32[100,8]{1,0} parameter(0)
  %rows = s32[4,1]{1,0} parameter(1)
  ROOT %taken = f32[4,8]{1,0} gather(%table, %rows), offset_dims={1}, slice_sizes={1,8}
}

%puts (ring: bf16[32,16], new: bf16[1,16], at: s32[]) -> bf16[32,16] {
  %ring = bf16[32,16]{1,0} parameter(0)
  %new = bf16[1,16]{1,0} parameter(1)
  %at = s32[] parameter(2)
  ROOT %put = bf16[32,16]{1,0} dynamic-update-slice(%ring, %new, %at, %at)
}

%inner (carry: (f32[4,8], f32[100,8], s32[4,1])) -> (f32[4,8], f32[100,8], s32[4,1]) {
  %carry = (f32[4,8], f32[100,8], s32[4,1]) parameter(0)
  %all = f32[100,8]{1,0} get-tuple-element(%carry), index=1
  %which = s32[4,1]{1,0} get-tuple-element(%carry), index=2
  %some = f32[4,8]{1,0} fusion(%all, %which), kind=kLoop, calls=%gathers
  ROOT %next = (f32[4,8], f32[100,8], s32[4,1]) tuple(%some, %all, %which)
}

%outer (state: (bf16[32,16], bf16[1,16], s32[], f32[16,4])) -> (bf16[32,16], bf16[1,16], s32[], f32[16,4]) {
  %state = (bf16[32,16], bf16[1,16], s32[], f32[16,4]) parameter(0)
  %kept = bf16[32,16]{1,0} get-tuple-element(%state), index=0
  %row = bf16[1,16]{1,0} get-tuple-element(%state), index=1
  %index = s32[] get-tuple-element(%state), index=2
  %weights = f32[16,4]{1,0} get-tuple-element(%state), index=3
  %written = bf16[32,16]{1,0} fusion(%kept, %row, %index), kind=kLoop, calls=%puts
  %product = (f32[16,4]{1,0}, s8[4096]{0}) custom-call(%weights, %weights), custom_call_target="__cublas$gemm"
  %loop = (f32[4,8]) while(%state), condition=%less, body=%inner, backend_config={"known_trip_count":{"n":"3"}}
  ROOT %result = (bf16[32,16], bf16[1,16], s32[], f32[16,4]) tuple(%written, %row, %index, %weights)
}

ENTRY %main (state: (bf16[32,16], bf16[1,16], s32[], f32[16,4])) -> (bf16[32,16], bf16[1,16], s32[], f32[16,4]) {
  %state.1 = (bf16[32,16], bf16[1,16], s32[], f32[16,4]) parameter(0)
  ROOT %turns = (bf16[32,16], bf16[1,16], s32[], f32[16,4]) while(%state.1), condition=%less, body=%outer
}
"""
GATHERED = 4 * 8 * 4 + 4 * 4 + 4 * 8 * 4  # what is taken of the table, the numbers of its rows, and what comes out
PUT = 2 * 16 * 2 + 4  # a row is read and written, and where
PRODUCT = 3 * 16 * 4 * 4  # both operands, and what comes out; not the workspace


def test_sizes_of_shapes():
    assert size("bf16[3,5]{1,0}") == 30
    assert size("(f32[2]{0}, pred[7], s32[])") == 8 + 7 + 4


def test_only_what_is_touched_counts_and_loops_as_often_as_they_turn():
    program = Program(TEXT)
    assert program.cost(program.longest(3)) == Cost(GATHERED, 1)
    assert program.cost(program.longest(None)) == Cost(PUT + PRODUCT + 3 * GATHERED, 2 + 3)
    assert [one.bytes for one in program.kernels("outer")] == [PUT, PRODUCT, 3 * GATHERED]
    with pytest.raises(ValueError, match="turns=5: there is no such loop"):
        program.longest(5)
