# A small Conformer RNN-T that reads swipes on a QWERTY keyboard; models/demo-swipe.md is its card.
TASK       := swipe
MODEL      := models/demo-swipe.nemo
VALIDATION := models/swipe-validation/manifest.jsonl.gz
VOCABULARY := configs/vocabularies/english.txt
