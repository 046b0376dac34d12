# demo-tdt's task by a cache-aware FastConformer RNN-T, with look-aheads of 0 to 480 ms. Not checked in yet: make it by
# `make train CONFIG=demo-streaming` and copy the result to models/.
MODEL      := models/demo-streaming.nemo
STREAMING  := 1
VALIDATION := models/validation/manifest.jsonl
TRT_OPT_S := 3
