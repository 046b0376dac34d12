# Variants of graphs, smaller or faster: GRAPH.VARIANT.onnx beside GRAPH.onnx, checked against it and on speech.

VARIANTS := fp16 int8 int8-qdq int4
# A frontend has none: its arithmetic needs fp32.
VARIED   := $(filter-out frontend,$(EVERY))

# Regular expression of names of nodes that stay in fp32.
EXCLUDE          ?=
# 0: inputs and outputs of .fp16 in fp16 too.
KEEP_IO          ?= 1
# 1: int8 weights of 7 bits, for x86 CPUs without VNNI.
REDUCE_RANGE     ?=
# Static int8: the speech or swipes that say which ranges activations have, and how limits are chosen from it.
CALIB_MANIFEST   ?= $(VALIDATION)
CALIB_BATCHES    ?= 16
CALIB_BATCH_SIZE ?= 8
CALIB_METHOD     ?= Percentile
# Weights that share a scale.
INT4_BLOCK       ?= 32

# Largest error beside fp32 (root mean square) at which a variant passes its check.
MAX_RMS.fp16     ?= 0.01
MAX_RMS.int8     ?= 0.05
MAX_RMS.int8-qdq ?= 0.1
MAX_RMS.int4     ?= 0.15

worker.fp16       := convert_fp16
worker.int8       := quantize_int8
worker.int8-qdq   := quantize_int8_qdq
worker.int4       := quantize_int4

calib_manifest     = '$(or $(CALIB_MANIFEST),$(error There is no data to calibrate $(NAME) with: set CALIB_MANIFEST \
                       to a manifest))'
options.fp16       = $(if $(filter 0,$(KEEP_IO)),--fp16-io)
options.int8       = $(if $(REDUCE_RANGE),--reduce-range)
options.int8-qdq   = --graph $(firstword $(subst ., ,$(@F))) $(addprefix --frontend ,$(frontend)) --manifest $(calib_manifest) \
                       $(if $(filter $(calib_decoded),$@),$(calib_decoders)) --batches $(CALIB_BATCHES) --batch-size $(CALIB_BATCH_SIZE) --method $(CALIB_METHOD)
options.int4       = --block-size $(INT4_BLOCK)

$(eval $(call flags,fp16,KEEP_IO=$(KEEP_IO) EXCLUDE=$(EXCLUDE)))
$(eval $(call flags,int8,REDUCE_RANGE=$(REDUCE_RANGE) EXCLUDE=$(EXCLUDE)))
$(eval $(call flags,int8-qdq,CALIB_MANIFEST=$(CALIB_MANIFEST) CALIB_BATCHES=$(CALIB_BATCHES) \
    CALIB_BATCH_SIZE=$(CALIB_BATCH_SIZE) CALIB_METHOD=$(CALIB_METHOD) EXCLUDE=$(EXCLUDE)))
$(eval $(call flags,int4,INT4_BLOCK=$(INT4_BLOCK) EXCLUDE=$(EXCLUDE)))
$(eval $(call flags,variants,$(foreach v,$(VARIANTS),$v=$(MAX_RMS.$v))))

# What is no encoder is calibrated while the fp32 graphs decode.
calib_decoded  := $(addprefix $(OUT)/onnx/,joint.int8-qdq.onnx rnnt_step.int8-qdq.onnx)
calib_decoders := --encoder $(OUT)/onnx/encoder.onnx --rnnt-step $(OUT)/onnx/rnnt_step.onnx \
                    --predictor $(OUT)/onnx/predictor.onnx

$(VARIED:%=$(OUT)/onnx/%.int8-qdq.onnx): $(frontend) $(CALIB_MANIFEST)
$(calib_decoded): $(filter %.onnx,$(calib_decoders))

# $(call variant_check,graph,variant), and what it shows beyond errors: the accuracy of the model with this one variant.
variant_check    = $(OUT)/checks/$1.$2.onnx.check.json
with_variant     = $(foreach graph,$(if $(filter rnnt_step,$1),encoder rnnt_step,$(DECODED)),$(graph)$(if $(filter $1,$(graph)),.$2).onnx)
# What is not decoded here, as a streaming encoder, has none.
variant_accuracy = $(if $(filter $(DECODED) rnnt_step,$1),$(call accuracy_check,$(call with_variant,$1,$2)))

# $(call variant_rule,variant)
define variant_rule
$(VARIED:%=$(OUT)/onnx/%.$1.onnx): $(OUT)/onnx/%.$1.onnx: $(OUT)/onnx/%.onnx $(OUT)/.flags/$1 \
    $(call worker,$(worker.$1))
	$$(call say,QUANTIZE)
	$$(call run,$(worker.$1)) --input $$< $$(options.$1) $(if $(EXCLUDE),--exclude '$(EXCLUDE)') --output $$@
endef
$(foreach variant,$(VARIANTS),$(eval $(call variant_rule,$(variant))))

# $(call variant_check_rule,graph,variant)
define variant_check_rule
$(if $(call variant_accuracy,$1,$2),$(eval $(call accuracy_rule,$(call with_variant,$1,$2))))
$(call variant_check,$1,$2): $(OUT)/onnx/$1.$2.onnx $(OUT)/onnx/$1.onnx $(call variant_accuracy,$1,$2) \
    $(OUT)/.flags/variants $(call worker,check_variant)
	$$(call say,CHECK)
	$$(call run,check_variant) --graph $1 --variant $2 --onnx $$< --base $(OUT)/onnx/$1.onnx \
	    $(addprefix --accuracy ,$(call variant_accuracy,$1,$2)) --max-relative-rms $(MAX_RMS.$2) --output $$@
.PHONY: $1.$2.onnx
$1.$2.onnx: $(OUT)/onnx/$1.$2.onnx $(if $(VALIDATION),$(call variant_check,$1,$2))
endef
$(foreach graph,$(VARIED),$(foreach variant,$(VARIANTS),$(eval $(call variant_check_rule,$(graph),$(variant)))))

VARIANT_CHECKS := $(foreach v,$(VARIANTS),$(call variant_check,encoder,$v)) $(foreach v,fp16 int8,$(foreach \
                    g,$(filter-out encoder,$(DECODED)),$(call variant_check,$g,$v))) \
                  $(foreach g,$(filter joint,$(DECODED)),$(call variant_check,$g,int8-qdq))

# Names like those above, but of no variant. One rule each: a rule of several patterns makes all of them at once.
define unknown_variant
$1.%.onnx:
	@echo "error: $$(@F) is no variant; those of $(VARIED) are $(VARIANTS), as in encoder.int8.onnx." >&2; exit 2
endef
$(foreach graph,$(EVERY),$(eval $(call unknown_variant,$(graph))))

## Variants of graphs, each checked against fp32 and on the validation set
.PHONY: variants
encoder.fp16.onnx encoder.int8.onnx encoder.int8-qdq.onnx encoder.int4.onnx: ## one of the encoder's; predictor and joint have them too
variants: $(VARIANT_CHECKS) ## every variant of encoder, predictor and joint
