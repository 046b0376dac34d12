# demo-tdt's task by a cache-aware FastConformer RNN-T, with look-aheads of 0 to 480 ms.
MODEL         := models/demo-streaming.nemo
STREAMING     := 1
VALIDATION    := models/validation/manifest.jsonl
MODEL_LICENCE := Apache-2.0
TRT_OPT_S := 3
