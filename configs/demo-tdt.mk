# The checked-in demo: a small FastConformer-TDT for spoken numbers, times, dates and device commands.
MODEL      := models/demo-tdt.nemo
VALIDATION := models/validation/manifest.jsonl
# It has only ever heard one command at a time, of 8 s at most.
SEGMENT_SECONDS := 0.5 8
TRT_OPT_S := 3
