# Further training of a swipe model, from INIT=models/demo-swipe.nemo unless another is given.
TASK          := swipe
MODEL         := models/demo-swipe.nemo
VALIDATION    := models/swipe-validation/manifest.jsonl.gz
MODEL_LICENCE := Apache-2.0
VOCABULARY    := configs/vocabularies/english.txt
INIT          := models/demo-swipe.nemo
