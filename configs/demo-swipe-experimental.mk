# demo-swipe trained on rare words more often, with stronger augmentation, and distilled from demo-swipe.
TASK       := swipe
MODEL      := models/demo-swipe-experimental.nemo
VALIDATION := models/swipe-validation/manifest.jsonl.gz
TEACHER    := models/demo-swipe.nemo
