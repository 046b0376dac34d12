# Checks of variants: the error compared with fp32, and the accuracy.

# Largest error relative to fp32 (root mean square) at which a variant passes its check.
MAX_RMS.equalized  ?= 0.00001
MAX_RMS.fp16       ?= 0.01
MAX_RMS.int8       ?= 0.05
MAX_RMS.int8-qdq   ?= 0.1
MAX_RMS.int8-block ?= 0.05
MAX_RMS.int4       ?= 0.15

flags.max-rms.equalized  = $(MAX_RMS.equalized)
flags.max-rms.fp16       = $(MAX_RMS.fp16)
flags.max-rms.int8       = $(MAX_RMS.int8)
flags.max-rms.int8-qdq   = $(MAX_RMS.int8-qdq)
flags.max-rms.int8-block = $(MAX_RMS.int8-block)
flags.max-rms.int4       = $(MAX_RMS.int4)

# The error compared with fp32, and the accuracy of the model with this one variant; a graph that is not decoded here,
# such as a streaming encoder, has none.
accuracy_of = $(if $(VALIDATION)$(filter swipe,$(TASK)),$(patsubst %,$(OUT)/checks/$(METRIC).%.check.json,$(filter \
                $(MIXES),$1)))
$(VARIED_NAMES:%=$(OUT)/checks/%.onnx.check.json): $(OUT)/checks/%.onnx.check.json: $(OUT)/onnx/%.onnx \
    $(OUT)/onnx/$$(graph).onnx $$(call accuracy_of,$$*) $(OUT)/.flags/max-rms.$$(variant) $$(shown_on) \
    $(call worker,quantize/check)
	$(call say,CHECK)
	$(call run,quantize/check) --graph $(graph) --variant $(variant) --onnx $< --base $(OUT)/onnx/$(graph).onnx \
	    $(addprefix --accuracy ,$(call accuracy_of,$*)) --max-relative-rms $(MAX_RMS.$(variant)) $(shown) --output $@

# Where an encoder's error arises is shown on real speech or swipes, if there are any.
shown_on = $(if $(CALIB_MANIFEST),$(if $(filter encoder,$(graph)),$(frontend) $(CALIB_MANIFEST)))
shown    = $(if $(shown_on),$(addprefix --frontend ,$(frontend)) --manifest $(CALIB_MANIFEST))

VARIANT_CHECKS := $(patsubst %,$(OUT)/checks/%.onnx.check.json,$(filter encoder.% \
                    $(foreach v,fp16 int8,$(DECODED:=.$v)) \
                    $(if $(filter joint,$(DECODED)),joint.int8-qdq),$(VARIED_NAMES)))

# Names like those above, but of no variant.
# One rule each: a rule of several patterns would make all of them at once.
unknown_variant = @echo "error: $(@F) is not a variant; those of $(VARIED) are $(VARIANTS), as in \
                    encoder.int8.onnx." >&2; exit 2
frontend.%.onnx:          ; $(unknown_variant)
encoder.%.onnx:           ; $(unknown_variant)
encoder_streaming.%.onnx: ; $(unknown_variant)
predictor.%.onnx:         ; $(unknown_variant)
joint.%.onnx:             ; $(unknown_variant)
rnnt_step.%.onnx:         ; $(unknown_variant)
