# The swipe model: lexicons, synthetic traces, training, and its accuracy beside that of template matching.

LAYOUT       ?= configs/layouts/qwerty.json
TRACES       ?= out/swipe
# A shortened run needs fewer traces.
TRAIN_TRACES ?= $(if $(STEPS),20000,240000)
# A time budget for training, in place of STEPS.
MINUTES      ?=
# Checkpoints to distil from, and to start from.
TEACHER      ?=
INIT         ?=
LEXICONS := $(addprefix $(OUT)/lexicons/,lexicon_small.txt lexicon_full.txt lexicon_stats.json)

$(LEXICONS) &: $(call worker,swipe/prepare_lexicons)
	$(call say,LEXICON,$(OUT)/lexicons)
	$(call run,swipe/prepare_lexicons) --small-size 12000 --full-size 70000 --output-dir $(OUT)/lexicons

# What to train on: MANIFEST, MANIFEST:WEIGHT or MANIFEST:WEIGHT:LAYOUT, several of them in quotation marks. Without
# any, synthetic traces, whose words are drawn by the root of their frequency, so that rare ones come too.
TRAIN_MANIFEST ?= $(TRACES)/train-$(TRAIN_TRACES)/manifest.jsonl
train_manifests := $(foreach source,$(TRAIN_MANIFEST),$(firstword $(subst :, ,$(source))))
train_layouts   := $(foreach source,$(TRAIN_MANIFEST),$(word 3,$(subst :, ,$(source))))
$(TRACES)/train-$(TRAIN_TRACES)/manifest.jsonl: $(LAYOUT) $(call sources,swipe/synthesize) | $(ENV)
	$(call say,SYNTH)
	$(call run,swipe/synthesize) --split train --count $(TRAIN_TRACES) --temperature 2 --layout $(LAYOUT) --output $@

# How the checked-in validation and test sets were made; made below out/ too, to be compared or copied.
HELD_OUT := $(TRACES)/validation/manifest.jsonl.gz $(TRACES)/test/manifest.jsonl.gz
$(HELD_OUT): $(TRACES)/%/manifest.jsonl.gz: $(LAYOUT) $(call sources,swipe/synthesize) | $(ENV)
	$(call say,SYNTH)
	$(call run,swipe/synthesize) --split $* --count 2800 --layout $(LAYOUT) --output $@

ifeq ($(TASK),swipe)
model.teacher = $(TEACHER)
model.init    = $(INIT)
unpacked := $(if $(TEACHER),$(OUT)/teacher/manifest.json) $(if $(INIT),$(OUT)/init/manifest.json)
$(unpacked): $(OUT)/%/manifest.json: $$(model.$$*) $(call sources,checkpoint/unpack) | $(ENV)
	$(call say,UNPACK)
	$(call run,checkpoint/unpack) --model $(model.$*) --output $@

# A killed run resumes from its last checkpoint in $(OUT)/train.
train_options = $(if $(TEACHER),--teacher $(OUT)/teacher) $(if $(INIT),--init $(OUT)/init) \
    $(if $(STEPS),--steps $(STEPS)) $(if $(MINUTES),--minutes $(MINUTES))
$(TRAINED): configs/$(CONFIG).yaml configs/demo-swipe.yaml $(train_manifests) $(train_layouts) $(unpacked) \
    $(call sources,swipe/train) | $(ENV)
	$(call say,TRAIN)
	$(call run,swipe/train) --config $< --train-manifest $(TRAIN_MANIFEST) --validation-manifest $(VALIDATION) \
	    $(train_options) --work $(OUT)/train --output $@
endif

# Reached only when the file is missing: the worker says so in its own words.
$(filter-out $(MODEL),$(sort $(TEACHER) $(INIT))):

## Swipe model
.PHONY: lexicons swipe-traces
lexicons: $(LEXICONS)                              ## word lists by frequency, small and full, with statistics
swipe-traces: $(HELD_OUT)                          ## synthesise the validation and test traces anew
