# The encoder for streams, with explicit caches; it reads the weights of the offline encoder. Sizes in encoder frames.

# Left context: where unset, the model's own, or 256 where it has no limit.
STREAMING_CACHE_SIZE      ?=
# A full-context model's chunk (where unset 25), and how many of its last frames the next chunk encodes again.
STREAMING_CHUNK           ?=
STREAMING_CACHE_DROP_SIZE ?= 0
# One of a cache-aware model's own; where unset, its first.
STREAMING_LOOKAHEAD       ?=

streaming_options = --cache-drop-size $(STREAMING_CACHE_DROP_SIZE) \
    $(if $(STREAMING_CACHE_SIZE),--cache-size $(STREAMING_CACHE_SIZE)) \
    $(if $(STREAMING_CHUNK),--chunk $(STREAMING_CHUNK)) $(if $(STREAMING_LOOKAHEAD),--lookahead $(STREAMING_LOOKAHEAD))

$(eval $(call flags,streaming,$(strip $(streaming_options))))

$(OUT)/onnx/encoder_streaming.raw.onnx: $(CHECKPOINT) $(OUT)/onnx/encoder.raw.onnx $(OUT)/.flags/export \
    $(OUT)/.flags/streaming $(call worker,export/export_streaming)
	$(call say,EXPORT)
	$(call run,export/export_streaming) --checkpoint $(OUT)/checkpoint --opset $(OPSET) --device $(DEVICE) \
	    $(if $(FIXED),--fixed) --encoder $(OUT)/onnx/encoder.raw.onnx $(streaming_options) --output $@

.PHONY: encoder_streaming.onnx
encoder_streaming.onnx: $(OUT)/onnx/encoder_streaming.onnx ## the encoder for streams; STREAMING=1 makes it part of `all`
