# Speech by espeak-ng, and the training of a model on it.

SPEECH           ?= out/speech
TRAIN_UTTERANCES ?= 16000

$(SPEECH)/train/manifest.jsonl: configs/demo-grammar.yaml $(call sources,speech/synthesize) | $(ENV)
	$(call say,SYNTH)
	$(call run,speech/synthesize) --split train --count $(TRAIN_UTTERANCES) --output $@

# How the checked-in validation set was made; made below out/ too, to be compared or copied.
$(SPEECH)/validation/manifest.jsonl: configs/demo-grammar.yaml $(call sources,speech/synthesize) | $(ENV)
	$(call say,SYNTH)
	$(call run,speech/synthesize) --split validation --count 480 --audio-format ogg --output $@

ifneq ($(TASK),swipe)
# A killed run resumes from its last checkpoint in $(OUT)/train.
$(TRAINED): configs/$(CONFIG).yaml $(SPEECH)/train/manifest.jsonl $(call sources,speech/train) | $(ENV)
	$(call say,TRAIN)
	$(call run,speech/train) --config $< --train-manifest $(SPEECH)/train/manifest.jsonl \
	    --validation-manifest $(VALIDATION) --work $(OUT)/train $(if $(STEPS),--steps $(STEPS)) --output $@
endif

.PHONY: validation-speech
validation-speech: $(SPEECH)/validation/manifest.jsonl ## synthesize the validation set again
