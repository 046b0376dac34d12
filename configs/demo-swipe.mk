# A small Conformer RNN-T that reads swipes on a QWERTY keyboard; models/demo-swipe.md is its card.
TASK          := swipe
MODEL         := models/demo-swipe.nemo
VALIDATION    := models/swipe-validation/manifest.jsonl.gz
MODEL_LICENCE := Apache-2.0
VOCABULARY    := configs/vocabularies/english.txt
# 6 MB, as a .zip.
MAX_WEB_BYTES := 6000000
