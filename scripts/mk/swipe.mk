# The swipe model: lexicons, synthetic traces, and training.

LAYOUT       ?= configs/layouts/qwerty.json
TRACES       ?= out/swipe
# A shortened run needs fewer traces.
TRAIN_TRACES ?= $(if $(STEPS),20000,240000)
# Checkpoints to distil from, and to start from.
TEACHER      ?=
INIT         ?=
LEXICONS := $(addprefix $(OUT)/lexicons/,lexicon_small.txt lexicon_full.txt lexicon_stats.json)

$(LEXICONS) &: $(call worker,swipe/prepare_lexicons)
	$(call say,LEXICON,$(OUT)/lexicons)
	$(call run,swipe/prepare_lexicons) --small-size 12000 --full-size 70000 --output-dir $(OUT)/lexicons

# Manifests to train on, each as FILE, FILE:WEIGHT or FILE:WEIGHT:LAYOUT. Synthetic words are drawn by the root of their
# frequency, so that rare ones come too.
TRAIN_MANIFEST ?= $(TRACES)/train-$(TRAIN_TRACES)/manifest.jsonl
$(TRACES)/train-$(TRAIN_TRACES)/manifest.jsonl: $(LAYOUT) $(call sources,swipe/synthesize) | $(ENV)
	$(call say,SYNTH)
	$(call run,swipe/synthesize) --split train --count $(TRAIN_TRACES) --temperature 2 --layout $(LAYOUT) --output $@

# How the checked-in validation and test sets were made; made below out/ too, to be compared or copied.
HELD_OUT := $(TRACES)/validation/manifest.jsonl.gz $(TRACES)/test/manifest.jsonl.gz
$(HELD_OUT): $(TRACES)/%/manifest.jsonl.gz: $(LAYOUT) $(call sources,swipe/synthesize) | $(ENV)
	$(call say,SYNTH)
	$(call run,swipe/synthesize) --split $* --count 2800 --layout $(LAYOUT) --output $@

ifeq ($(TASK),swipe)
unpacked = $(if $($1),$(OUT)/$2/manifest.json)
$(OUT)/teacher/manifest.json: $(TEACHER)
$(OUT)/init/manifest.json:    $(INIT)
$(OUT)/teacher/manifest.json $(OUT)/init/manifest.json: $(call sources,checkpoint/unpack) | $(ENV)
	$(call say,UNPACK)
	$(call run,checkpoint/unpack) --model $(if $(filter $(OUT)/init/%,$@),$(INIT),$(TEACHER)) --output $@

# A killed run resumes from its last checkpoint in $(OUT)/train.
$(TRAINED): configs/$(CONFIG).yaml configs/demo-swipe.yaml $(call sources,swipe/train) \
    $(foreach source,$(TRAIN_MANIFEST),$(firstword $(subst :, ,$(source)))) \
    $(call unpacked,TEACHER,teacher) $(call unpacked,INIT,init) | $(ENV)
	$(call say,TRAIN)
	$(call run,swipe/train) --config $< --train-manifest $(TRAIN_MANIFEST) --validation-manifest $(VALIDATION) \
	    $(if $(TEACHER),--teacher $(OUT)/teacher) $(if $(INIT),--init $(OUT)/init) --work $(OUT)/train \
	    $(if $(STEPS),--steps $(STEPS)) $(if $(MINUTES),--minutes $(MINUTES)) --output $@
endif

# This is reached only if a file is missing; the worker then names it.
$(sort $(filter-out $(MODEL),$(TEACHER) $(INIT))):

## Swipe model
.PHONY: lexicons swipe-traces
lexicons: $(LEXICONS)                              ## word lists by frequency, small and full, with statistics
swipe-traces: $(HELD_OUT)                          ## synthesize the validation and test traces again
