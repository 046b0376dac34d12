# The swipe model: lexicons, synthetic traces, and training.

# A file of configs/layouts: the keyboard that swipes are made for and measured on, where it is not the model's own.
LAYOUT       ?=
keyboard     := $(or $(LAYOUT),configs/layouts/qwerty.json)
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
$(TRACES)/train-$(TRAIN_TRACES)/manifest.jsonl: $(keyboard) $(call sources,swipe/synthesize) | $(ENV)
	$(call say,SYNTH)
	$(call run,swipe/synthesize) --split train --count $(TRAIN_TRACES) --temperature 2 --layout $(keyboard) --output $@

# How the checked-in validation and test sets were made; made below out/ too, to be compared or copied.
HELD_OUT := $(TRACES)/validation/manifest.jsonl.gz $(TRACES)/test/manifest.jsonl.gz
$(HELD_OUT): $(TRACES)/%/manifest.jsonl.gz: $(keyboard) $(call sources,swipe/synthesize) | $(ENV)
	$(call say,SYNTH)
	$(call run,swipe/synthesize) --split $* --count 2800 --layout $(keyboard) --output $@

# Training traces on other layouts, by their names: a file of configs/layouts, or random-SEED for shuffled letters.
# Train on them with TRAIN_MANIFEST="... $(TRACES)/layouts/dvorak.jsonl.gz:1:configs/layouts/dvorak.json".
LAYOUTS       ?= qwertz azerty dvorak colemak
LAYOUT_TRACES ?= 20000
OTHER_LAYOUTS := $(LAYOUTS:%=$(TRACES)/layouts/%.jsonl.gz)
shuffled      := $(patsubst %,$(TRACES)/layouts/%.json,$(filter random-%,$(LAYOUTS)))
layout_file    = $(if $(filter random-%,$1),$(TRACES)/layouts/$1.json,configs/layouts/$1.json)
flags.layout-traces = $(LAYOUT_TRACES)
$(shuffled): $(TRACES)/layouts/random-%.json: configs/layouts/qwerty.json $(call sources,swipe/shuffle_layout) | $(ENV)
	$(call say,SHUFFLE)
	$(call run,swipe/shuffle_layout) --layout $< --seed $* --output $@
$(OTHER_LAYOUTS): $(TRACES)/layouts/%.jsonl.gz: $$(call layout_file,$$*) $(call sources,swipe/synthesize) \
    $(OUT)/.flags/layout-traces | $(ENV)
	$(call say,SYNTH)
	$(call run,swipe/synthesize) --split train --count $(LAYOUT_TRACES) --temperature 2 --layout $< --output $@

# How far the synthesizer is from people: REAL is a manifest of recorded swipes.
REAL ?=
$(TRACES)/realism.json: $(REAL) $(keyboard) $(call sources,swipe/compare) | $(ENV)
	$(call say,COMPARE)
	$(call run,swipe/compare) --real $(or $(REAL),$(error Set REAL to a manifest of recorded swipes)) \
	    --layout $(keyboard) --output $@
$(TRACES)/realism.svg: $(TRACES)/realism.json $(call sources,swipe/draw_realism)
	$(call say,DRAW)
	$(call run,swipe/draw_realism) --input $< --output $@

# Recorded swipes of a public study: FROM names it, LOGS is the folder of its files. FUTO's are split already.
FROM ?= how-we-swipe
LOGS ?=
IMPORTED := $(patsubst %,$(TRACES)/$(FROM)/%.jsonl.gz,train validation test)
imported.how-we-swipe = $(LOGS) --split $*
imported.futo         = $(LOGS)/$(patsubst validation,dev,$*).jsonl
imported              = $(or $(imported.$(FROM)),$(error FROM is '$(FROM)': set it to how-we-swipe or futo))
flags.import-traces   = $(FROM) $(or $(LOGS),$(error Set LOGS to the folder of the logs of $(FROM)))
$(IMPORTED): $(TRACES)/$(FROM)/%.jsonl.gz: $(LOGS) $(call sources,swipe/import_traces) $(OUT)/.flags/import-traces \
    | $(ENV)
	$(call say,IMPORT)
	$(call run,swipe/import_traces) --format $(FROM) --input $(imported) --output $@

ifeq ($(TASK),swipe)
# What MODEL takes the swipes of a manifest for, to train it against: RIVALS_OF is the manifest.
RIVALS_OF ?=
$(TRACES)/rivals.jsonl.gz: $(RIVALS_OF) $(LAYOUT) $(addprefix $(OUT)/onnx/,encoder.onnx rnnt_step.onnx) $(META) \
    $(LEXICON) $(call worker,swipe/find_rivals)
	$(call say,RIVALS)
	$(call run,swipe/find_rivals) --encoder $(OUT)/onnx/encoder.onnx --step $(OUT)/onnx/rnnt_step.onnx \
	    --meta $(OUT)/meta/model_meta.json --lexicon $(LEXICON) $(search_options) $(addprefix --layout ,$(LAYOUT)) \
	    --manifest $(or $(RIVALS_OF),$(error Set RIVALS_OF to a manifest of swipes to train on)) --output $@

unpacked = $(if $($1),$(OUT)/$2/manifest.json)
$(OUT)/teacher/manifest.json: $(TEACHER)
$(OUT)/init/manifest.json:    $(INIT)
$(OUT)/teacher/manifest.json $(OUT)/init/manifest.json: $(call sources,checkpoint/unpack) | $(ENV)
	$(call say,UNPACK)
	$(call run,checkpoint/unpack) --model $(if $(filter $(OUT)/init/%,$@),$(INIT),$(TEACHER)) --output $@

# A killed run resumes from its last checkpoint in $(OUT)/train.
$(TRAINED): configs/$(CONFIG).yaml configs/demo-swipe.yaml $(call sources,swipe/train) \
    $(foreach source,$(TRAIN_MANIFEST),$(filter-out $(word 2,$(subst :, ,$(source))),$(subst :, ,$(source)))) \
    $(call unpacked,TEACHER,teacher) $(call unpacked,INIT,init) | $(ENV)
	$(call say,TRAIN)
	$(call run,swipe/train) --config $< --train-manifest $(TRAIN_MANIFEST) --validation-manifest $(VALIDATION) \
	    $(if $(TEACHER),--teacher $(OUT)/teacher) $(if $(INIT),--init $(OUT)/init) --work $(OUT)/train \
	    $(if $(STEPS),--steps $(STEPS)) $(if $(MINUTES),--minutes $(MINUTES)) --output $@
endif

# This is reached only if a file is missing; the worker then names it.
$(sort $(filter-out $(MODEL),$(TEACHER) $(INIT) $(RIVALS_OF))):

## Swipe model
.PHONY: lexicons swipe-traces import-traces layout-traces swipe-realism swipe-rivals
lexicons: $(LEXICONS)                 ## word lists by frequency, small and full, with statistics
swipe-traces: $(HELD_OUT)             ## synthesize the validation and test traces again
import-traces: $(IMPORTED)            ## LOGS of FROM (how-we-swipe, futo) as manifests of three splits
layout-traces: $(OTHER_LAYOUTS)       ## synthetic training traces on LAYOUTS (qwertz ..., random-SEED)
swipe-rivals: $(TRACES)/rivals.jsonl.gz ## RIVALS_OF with the words that MODEL takes its swipes for
swipe-realism: $(TRACES)/realism.svg  ## distances of synthetic swipes from those of REAL, and a picture
