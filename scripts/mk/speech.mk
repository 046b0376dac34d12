# Speech by synthesisers, and the training of a model on it.

SPEECH           ?= out/speech
# Folder of Kokoro's model, vocabulary and voices; docs/speech.md says where they come from.
KOKORO           ?=
TRAIN_UTTERANCES ?= 16000
ENGINES          := espeak-ng flite $(if $(KOKORO),kokoro)
SPOKEN           := $(ENGINES:%=$(SPEECH)/train/%/manifest.jsonl)
synthesize        = $(call run,speech/synthesize) $(if $(KOKORO),--kokoro $(KOKORO))

$(SPEECH)/train/%/manifest.jsonl: configs/demo-grammar.yaml $(call sources,speech/synthesize) | $(ENV)
	$(call say,SYNTH)
	$(synthesize) --split train --engines $* --count $(TRAIN_UTTERANCES) --output $@

# How the checked-in validation sets were made; made below out/ too, to be compared or copied.
NATURAL := $(SPEECH)/validation/manifest.jsonl
ESPEAK  := $(SPEECH)/validation-espeak-ng/manifest.jsonl
$(NATURAL): spoken := --engines kokoro:5 flite:1 --count 480
$(ESPEAK): spoken  := --engines espeak-ng --count 160
$(NATURAL) $(ESPEAK): configs/demo-grammar.yaml $(call sources,speech/synthesize) | $(ENV)
	$(call say,SYNTH)
	$(synthesize) --split validation $(spoken) --audio-format ogg --output $@

ifneq ($(TASK),swipe)
# Manifests to train on, each as FILE or FILE:WEIGHT.
TRAIN_MANIFEST ?= $(SPOKEN)
train_files    := $(foreach m,$(TRAIN_MANIFEST),$(firstword $(subst :, ,$m)))
# A killed run resumes from its last checkpoint in $(OUT)/train.
$(TRAINED): configs/$(CONFIG).yaml $(train_files) $(call sources,speech/train) | $(ENV)
	$(call say,TRAIN)
	$(call run,speech/train) --config $< --train-manifest $(TRAIN_MANIFEST) \
	    --validation-manifest $(VALIDATION) --work $(OUT)/train $(if $(STEPS),--steps $(STEPS)) --output $@
endif

.PHONY: validation-speech
validation-speech: $(NATURAL) $(ESPEAK) ## synthesize the validation sets again (KOKORO=FOLDER)
