# What changes a recogniser's transcripts though the words do not change: checks/audit.MIX.check.json, named by its mix
# as a check of accuracy is.

# Utterances of the validation set to hear, and minutes of the recordings that they are joined into.
AUDIT_CLIPS   ?= 240
AUDIT_MINUTES ?= 1 5 30
# Points of transcripts that graphs may change more than PyTorch does: one for all tests, and TEST=POINTS.
AUDIT_MAX_CHANGED ?= 2

flags.audit        = AUDIT_CLIPS=$(AUDIT_CLIPS) AUDIT_MINUTES=$(AUDIT_MINUTES)
flags.audit-bounds = AUDIT_MAX_CHANGED=$(AUDIT_MAX_CHANGED)
audit_options      = --clips $(AUDIT_CLIPS) --minutes $(AUDIT_MINUTES)

# The checkpoint is heard as NeMo hears arrays, which it gives the default prompt.
no_prompt = $(if $(PROMPT),$(error PROMPT is '$(PROMPT)', but an audit hears a model with its default prompt: leave \
              it out))
AUDITED := $(OUT)/checks/audit.$(reference).check.json
audited_inputs := $(CHECKPOINT) $(measured_on) $(OUT)/.flags/audit $(if $(cached),$(META))
$(AUDITED): $(audited_inputs) $(call shards_of,audit.$(reference)) $(call worker,audit/checkpoint)
	$(call say,AUDIT)
	$(call run,audit/checkpoint) $(no_prompt)$(reference_options) $(audit_options) \
	    $(call sharded,audit.$(reference)) --output $@

# With SHARDS, in parts, as evaluations are.
$(call shards_of,audit.$(reference)): $(OUT)/shards/audit.%.json: $(audited_inputs) \
    $(call worker,audit/hear_shard_by_nemo)
	$(call say,SHARD)
	$(call run,audit/hear_shard_by_nemo) $(no_prompt)$(reference_options) $(audit_options) $(shard) --output $@

audits := $(MIXES:%=$(OUT)/checks/audit.%.check.json)
$(audits): $(OUT)/checks/audit.%.check.json: $$(call mixed,$$(call names,$$*)) $(META) $(AUDITED) \
    $(OUT)/.flags/accuracy $(OUT)/.flags/audit-bounds $$(call shards_of,audit.$$*) $(call worker,audit/recognizer)
	$(call say,AUDIT)
	$(call run,audit/recognizer) $(call decode_options,$(call mixed,$(call names,$*))) $(audit_options) \
	    --reference $(AUDITED) --max-changed $(AUDIT_MAX_CHANGED) $(call sharded,audit.$*) --output $@

$(foreach mix,$(MIXES),$(call shards_of,audit.$(mix))): $(OUT)/shards/audit.%.json: \
    $$(call mixed,$$(call names,$$(basename $$*))) $(META) $(measured_on) $(OUT)/.flags/accuracy \
    $(OUT)/.flags/audit $(call worker,audit/hear_shard)
	$(call say,SHARD)
	$(call run,audit/hear_shard) $(call decode_options,$(call mixed,$(call names,$(basename $*)))) \
	    $(audit_options) $(shard) --output $@

.PHONY: audit
audit: $(asked:%=$(OUT)/checks/audit.%.check.json) ## what changes transcripts but should not (ENCODER=, STREAM=1)
