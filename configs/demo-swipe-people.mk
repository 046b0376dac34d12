# A swipe model trained on recorded swipes of people; models/demo-swipe-people.md is its card.
TASK          := swipe
MODEL         := models/demo-swipe-people.nemo
VALIDATION    := models/swipe-validation/manifest.jsonl.gz
MODEL_LICENCE := Apache-2.0
VOCABULARY    := configs/vocabularies/english.txt
