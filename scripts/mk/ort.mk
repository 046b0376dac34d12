# The encoder as ONNX Runtime's smaller builds take it: ort/encoder.TARGET.int8.onnx by a recipe of the target's own,
# and with any of these its optimised form (_ort.onnx) and flatbuffer (.ort).

# 1: fp32 and fp16 only.
SKIP_QUANTIZATION ?=

ORT       := $(OUT)/ort
ort_int8  := $(if $(SKIP_QUANTIZATION),,web.int8 android.int8)
ort_files  = $(foreach form,_ort.onnx .ort,$(addsuffix $(form),$1))

# Browsers run on any CPU, and their dot products may overflow with weights of 8 bits: so 7. Ranges as they come.
$(ORT)/encoder.web.int8.onnx: $(OUT)/onnx/encoder.onnx $(OUT)/.flags/int8 $(call worker,quantize/int8)
	$(call say,QUANTIZE)
	$(call run,quantize/int8) --input $< --reduce-range $(if $(EXCLUDE),--exclude '$(EXCLUDE)') --output $@

# Phones multiply signed bytes and have int8 convolutions, and ranges known beforehand spare them a pass. The
# subsampling's convolutions lose too much.
$(ORT)/encoder.android.int8.onnx: $(OUT)/onnx/encoder.onnx $(frontend) $(CALIB_MANIFEST) \
    $(OUT)/.flags/int8-qdq $(call worker,quantize/int8_qdq)
	$(call say,QUANTIZE)
	$(call run,quantize/int8_qdq) --input $< $(options.int8-qdq) --convolutions \
	    --exclude '^/pre_encode/conv$(if $(EXCLUDE),|$(EXCLUDE))' --output $@

# What a target's runtime can do; a graph that needs more fails.
runtime    = $(wildcard configs/runtimes/$1.json)

# $(call ort_rule,name,target,input)
define ort_rule
$(call ort_files,$(ORT)/encoder.$1): $3 $(call runtime,$2) $(call worker,ort/optimize)
	$$(call say,OPTIMISE)
	$$(call run,ort/optimize) --graph encoder --target $2 $(addprefix --runtime ,$(call runtime,$2)) --input $$< \
	    --output $$@
endef
$(foreach target,web android,$(eval $(call ort_rule,$(target).int8,$(target),$(ORT)/encoder.$(target).int8.onnx)))
$(eval $(call ort_rule,fp32,any,$(OUT)/onnx/encoder.onnx))
$(eval $(call ort_rule,fp16,any,$(OUT)/onnx/encoder.fp16.onnx))

# $(call ort_check_rule,target)
define ort_check_rule
$(call accuracy_recipe,$(call accuracy_check,encoder.$1.int8.onnx),$(ORT)/encoder.$1.int8.onnx $(filter-out \
    $(OUT)/onnx/encoder.onnx,$(ONNX)),../ort/encoder.$1.int8.onnx $(patsubst %,%.onnx,$(filter-out encoder,$(DECODED))),$(call \
    accuracy_bound,encoder.$1.int8.onnx))
$(OUT)/checks/encoder.$1.int8.onnx.check.json: $(ORT)/encoder.$1.int8.onnx $(OUT)/onnx/encoder.onnx \
    $(call accuracy_check,encoder.$1.int8.onnx) $(OUT)/.flags/variants $(call runtime,$1) $(call worker,quantize/check)
	$$(call say,CHECK)
	$$(call run,quantize/check) --graph encoder --variant $2 --onnx $$< --base $(OUT)/onnx/encoder.onnx \
	    --runtime $(call runtime,$1) --accuracy $(call accuracy_check,encoder.$1.int8.onnx) --max-relative-rms $(MAX_RMS.$2) --output $$@
endef
$(OUT)/checks/encoder.%.ort.check.json: $(ORT)/encoder.%.ort $(ORT)/encoder.%.onnx \
    $(OUT)/checks/encoder.%.onnx.check.json $(call worker,ort/check)
	$(call say,CHECK)
	$(call run,ort/check) --graph encoder --ort $< --base $(ORT)/encoder.$*.onnx --checks $(OUT)/checks --output $@
$(eval $(call ort_check_rule,web,int8))
$(eval $(call ort_check_rule,android,int8-qdq))

.PHONY: onnx-optimized
onnx-optimized: $(call ort_files,$(addprefix $(ORT)/encoder.,fp32 fp16 $(ort_int8))) \
    $(ort_int8:%=$(OUT)/checks/encoder.%.onnx.check.json) ## the encoder for web and android (SKIP_QUANTIZATION=1)
