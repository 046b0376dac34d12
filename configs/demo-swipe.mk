# The checked-in swipe model: a small Conformer RNN-T that reads swipes on a QWERTY keyboard.
TASK       := swipe
MODEL      := models/demo-swipe.nemo
VALIDATION := models/swipe-validation/manifest.jsonl.gz
