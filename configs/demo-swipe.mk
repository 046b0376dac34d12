# A small Conformer RNN-T that reads swipes on a QWERTY keyboard. Not checked in yet: `make train CONFIG=demo-swipe`
# makes it, to be copied to models/.
TASK       := swipe
MODEL      := models/demo-swipe.nemo
VALIDATION := models/swipe-validation/manifest.jsonl.gz
VOCABULARY := configs/vocabularies/english.txt
