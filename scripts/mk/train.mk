# Checkpoints from nothing: speech by espeak-ng, then training. Not part of `all`, which starts from a checkpoint;
# the result stays in out/ until someone copies it to models/.

SPEECH           ?= out/speech
TRAIN_UTTERANCES ?= 16000
STEPS            ?=
TRAINED          ?= $(OUT)/train/$(NAME).nemo

# An hour of training is not repeated because a library was installed again.
sources = $(filter-out $(ENV),$(call worker,$1))

$(SPEECH)/train/manifest.jsonl: configs/demo-grammar.yaml $(call sources,speech/synthesize) | $(ENV)
	$(call say,SYNTH)
	$(call run,speech/synthesize) --split train --count $(TRAIN_UTTERANCES) --output $@

# How the checked-in validation set was made; made below out/ too, to be compared or copied.
$(SPEECH)/validation/manifest.jsonl: configs/demo-grammar.yaml $(call sources,speech/synthesize) | $(ENV)
	$(call say,SYNTH)
	$(call run,speech/synthesize) --split validation --count 480 --audio-format ogg --output $@

# Memory that a step frees stays with the process: to fetch it from the system anew took a third of a step.
$(TRAINED): export MALLOC_ARENA_MAX       := 1
$(TRAINED): export MALLOC_MMAP_MAX_       := 0
$(TRAINED): export MALLOC_TRIM_THRESHOLD_ := 4000000000

ifneq ($(TASK),swipe)
# A killed run resumes from its last checkpoint in $(OUT)/train.
$(TRAINED): configs/$(CONFIG).yaml $(SPEECH)/train/manifest.jsonl $(call sources,speech/train) | $(ENV)
	$(call say,TRAIN)
	$(call run,speech/train) --config $< --train-manifest $(SPEECH)/train/manifest.jsonl \
	    --validation-manifest $(VALIDATION) --work $(OUT)/train $(if $(STEPS),--steps $(STEPS)) --output $@
endif

## Training
.PHONY: train validation-speech
train: $(TRAINED)                                      ## train CONFIG's checkpoint (STEPS= or, for swipes, MINUTES=)
validation-speech: $(SPEECH)/validation/manifest.jsonl ## synthesise the validation set anew
