# The encoder for ONNX Runtime's smaller builds: ort/encoder.TARGET.int8.onnx by a recipe of the target's own, and of
# any of these its optimized form (_ort.onnx) and flatbuffer (.ort).

# 1: fp32 and fp16 only.
SKIP_QUANTIZATION ?=

ORT      := $(OUT)/ort
ORT_INT8 := web.int8 android.int8
ort_int8 := $(if $(SKIP_QUANTIZATION),,$(ORT_INT8))
# $(call ort_files,FORMS)
ort_files = $(foreach suffix,_ort.onnx .ort,$(1:%=$(ORT)/encoder.%$(suffix)))

# Browsers run on any CPU, and there dot products may overflow with weights of 8 bits: so 7, with dynamic activations.
$(ORT)/encoder.web.int8.onnx: $(OUT)/onnx/encoder.equalized.onnx $(OUT)/.flags/int8 $(call worker,quantize/int8)
	$(call say,QUANTIZE)
	$(call run,quantize/int8) --input $< --reduce-range $(exclude) --output $@

# Phones multiply signed bytes and have int8 convolutions, and static ranges save a pass. The subsampling's
# convolutions would lose too much.
$(ORT)/encoder.android.int8.onnx: $(OUT)/onnx/encoder.equalized.onnx $(frontend) $(CALIB_MANIFEST) \
    $(OUT)/.flags/int8-qdq $(call worker,quantize/int8_qdq)
	$(call say,QUANTIZE)
	$(call run,quantize/int8_qdq) --input $< --graph encoder $(calibration) --convolutions \
	    --exclude '^/pre_encode/conv$(if $(EXCLUDE),|$(EXCLUDE))' --output $@

# Of each form: the graph that it is made of, the target whose runtime runs it, and the variant that it is checked as.
source.fp32         := $(OUT)/onnx/encoder.onnx
source.fp16         := $(OUT)/onnx/encoder.fp16.onnx
source.web.int8     := $(ORT)/encoder.web.int8.onnx
source.android.int8 := $(ORT)/encoder.android.int8.onnx
target.fp32         := any
target.fp16         := any
target.web.int8     := web
target.android.int8 := android
variant.web.int8     := int8
variant.android.int8 := int8-qdq

# What a target's runtime can do; a graph that needs more fails.
runtime  = $(wildcard configs/runtimes/$1.json)
# The stem of encoder.FORM_ort.onnx and encoder.FORM.ort.
ort_form = $(patsubst %.ort,%,$(patsubst %_ort.onnx,%,$*))
ort_read = $(source.$(ort_form)) $(call runtime,$(target.$(ort_form)))
$(call ort_files,fp32 fp16 $(ORT_INT8)): $(ORT)/encoder.%: $$(ort_read) $(call worker,ort/optimize)
	$(call say,OPTIMIZE)
	$(call run,ort/optimize) --graph encoder --target $(target.$(ort_form)) \
	    $(addprefix --runtime ,$(call runtime,$(target.$(ort_form)))) --input $< --output $@

ort_others   := $(filter-out $(OUT)/onnx/encoder.onnx,$(call mixed))
ort_accuracy := $(ORT_INT8:%=$(OUT)/checks/$(METRIC).encoder.%.check.json)
$(ort_accuracy): $(OUT)/checks/$(METRIC).encoder.%.check.json: $(ORT)/encoder.%.onnx $(ort_others) \
    $(OUT)/.flags/max-delta.int8 $(accuracy_inputs)
	$(call say,EVALUATE)
	$(call evaluate,$< $(ort_others),$(call max_delta,.int8))

ort_checks := $(ORT_INT8:%=$(OUT)/checks/encoder.%.onnx.check.json)
$(ort_checks): $(OUT)/checks/encoder.%.onnx.check.json: $(ORT)/encoder.%.onnx $(OUT)/onnx/encoder.onnx \
    $(OUT)/checks/$(METRIC).encoder.%.check.json $(OUT)/.flags/max-rms.$$(variant.$$*) $$(call runtime,$$(target.$$*)) \
    $(call worker,quantize/check)
	$(call say,CHECK)
	$(call run,quantize/check) --graph encoder --variant $(variant.$*) --onnx $< --base $(OUT)/onnx/encoder.onnx \
	    --runtime $(call runtime,$(target.$*)) --accuracy $(OUT)/checks/$(METRIC).encoder.$*.check.json \
	    --max-relative-rms $(MAX_RMS.$(variant.$*)) --output $@

$(OUT)/checks/encoder.%.ort.check.json: $(ORT)/encoder.%.ort $(ORT)/encoder.%.onnx \
    $(OUT)/checks/encoder.%.onnx.check.json $(call worker,ort/check)
	$(call say,CHECK)
	$(call run,ort/check) --graph encoder --ort $< --base $(ORT)/encoder.$*.onnx --checks $(OUT)/checks --output $@

## Encoders for ONNX Runtime's smaller builds
.PHONY: onnx-optimized
onnx-optimized: $(call ort_files,fp32 fp16 $(ort_int8)) $(ort_int8:%=$(OUT)/checks/encoder.%.onnx.check.json)
onnx-optimized: ## the encoder for web and android (SKIP_QUANTIZATION=1)
