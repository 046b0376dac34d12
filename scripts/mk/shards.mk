# SHARDS=16 transcribes the validation set, or decodes the test set, in 16 parts, which run side by side under -j, and
# on many machines through LAUNCH. evaluate.mk puts them together in the same check, byte for byte; a part that fails
# is made again alone.

SHARDS ?=
parts := $(shell [[ '$(subst ',,$(SHARDS))' =~ ^[1-9][0-9]*$$ ]] && seq '$(subst ',,$(SHARDS))')
ifneq ($(if $(parts),,$(SHARDS)),)
  $(error SHARDS is '$(SHARDS)': give a whole number from 1)
endif

# $(call shards_of,METRIC.MIX)
shards_of = $(foreach part,$(parts),$(OUT)/shards/$1.$(part)-of-$(SHARDS).json)
# $(call sharded,METRIC.MIX): the option that names them.
sharded   = $(if $(parts),--heard $(call shards_of,$1))
# In the rule of a part: its number and their count, as workers take them.
shard     = --shard $(subst -of-,/,$(patsubst .%,%,$(suffix $*)))

$(foreach mix,$(MIXES),$(call shards_of,$(METRIC).$(mix))): $(OUT)/shards/$(METRIC).%.json: \
    $$(call mixed,$$(call names,$$(basename $$*))) $(META) $(measured_on) $(OUT)/.flags/accuracy \
    $(call worker,$(shard_worker))
	$(call say,SHARD)
	$(call run,$(shard_worker)) $(call decode_options,$(call mixed,$(call names,$(basename $*)))) $(shard) --output $@

$(call shards_of,$(reference)): $(OUT)/shards/checkpoint%.json: $(reference_inputs) \
    $(call worker,$(shard_worker)_by_nemo)
	$(call say,SHARD)
	$(call run,$(shard_worker)_by_nemo) $(reference_options) $(shard) --output $@
