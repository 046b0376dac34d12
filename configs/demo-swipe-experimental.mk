# demo-swipe trained on rare words more often, with stronger augmentation, and distilled from demo-swipe.
TASK          := swipe
MODEL         := models/demo-swipe-experimental.nemo
VALIDATION    := models/swipe-validation/manifest.jsonl.gz
MODEL_LICENCE := Apache-2.0
TEACHER       := models/demo-swipe.nemo
