# fp32 graphs: traced (.raw.onnx), simplified (.onnx), checked against PyTorch; and the model's metadata.

# Swipes have features instead of a frontend.
TRACED := encoder predictor joint rnnt_step $(if $(filter swipe,$(TASK)),,frontend)
GRAPHS := $(TRACED) $(if $(STREAMING),encoder_streaming)
# These can be asked for too, so they have all rules: the streaming encoder of a model without STREAMING, and ctc, the
# CTC head of a hybrid model.
EVERY  := $(sort $(GRAPHS) encoder_streaming ctc)
ONNX   := $(GRAPHS:%=$(OUT)/onnx/%.onnx)
frontend := $(filter %/frontend.onnx,$(ONNX))
META   := $(addprefix $(OUT)/meta/,model_meta.json vocab.txt tokens.txt)
CHECKS := $(GRAPHS:%=$(OUT)/checks/%.onnx.check.json)

flags.export = OPSET=$(OPSET) FIXED=$(FIXED) DEVICE=$(DEVICE)
flags.meta   = GRAPHS=$(strip $(GRAPHS))
flags.check  = PARITY_MAX_ABS=$(PARITY_MAX_ABS)
flags.check-frontend = FRONTEND_MAX_ABS=$(FRONTEND_MAX_ABS)

$(patsubst %,$(OUT)/onnx/%.raw.onnx,$(TRACED) ctc): $(OUT)/onnx/%.raw.onnx: $(CHECKPOINT) $(OUT)/.flags/export \
    $$(lost_sidecar) $(call worker,export/export_graph)
	$(call say,EXPORT)
	$(call run,export/export_graph) --graph $* --checkpoint $(OUT)/checkpoint --opset $(OPSET) --device $(DEVICE) \
	    $(if $(FIXED),--fixed) --output $@

# Weights too large for a graph lie in GRAPH.onnx.data, which the traced and the simplified graph share. It goes with
# GRAPH.onnx.sidecar, so that it is known to be missing, and is then written again.
lost_sidecar = $(foreach record,$(wildcard $(subst .raw.onnx,.onnx,$@).sidecar),$(if \
                 $(wildcard $(record:.sidecar=.data)),,FORCE))
.PRECIOUS: $(OUT)/onnx/%.raw.onnx

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

flags.streaming = $(streaming_options)

$(OUT)/onnx/encoder_streaming.raw.onnx: $(CHECKPOINT) $(OUT)/onnx/encoder.raw.onnx $(OUT)/.flags/export \
    $(OUT)/.flags/streaming $(call worker,export/export_streaming)
	$(call say,EXPORT)
	$(call run,export/export_streaming) --checkpoint $(OUT)/checkpoint --opset $(OPSET) --device $(DEVICE) \
	    $(if $(FIXED),--fixed) --encoder $(OUT)/onnx/encoder.raw.onnx $(streaming_options) --output $@

$(EVERY:%=$(OUT)/onnx/%.onnx): $(OUT)/onnx/%.onnx: $(OUT)/onnx/%.raw.onnx $(call worker,export/simplify)
	$(call say,SIMPLIFY)
	$(call run,export/simplify) --graph $* --input $< --output $@

# Faint bands lose precision to rounding, in NeMo too, and their logarithm makes that larger.
FRONTEND_MAX_ABS ?= 5e-4
parity_bound = $(if $(filter frontend,$*),$(FRONTEND_MAX_ABS),$(PARITY_MAX_ABS))
$(EVERY:%=$(OUT)/checks/%.onnx.check.json): $(OUT)/checks/%.onnx.check.json: $(OUT)/onnx/%.onnx $(CHECKPOINT) \
    $(OUT)/.flags/check$$(if $$(filter frontend,$$*),-frontend) $(call worker,export/check)
	$(call say,CHECK)
	$(call run,export/check) --graph $* --onnx $< --checkpoint $(OUT)/checkpoint --device $(DEVICE) \
	    --max-abs $(parity_bound) --output $@

$(META) &: $(ONNX) $(CHECKPOINT) $(OUT)/.flags/meta $(call worker,export/write_meta)
	$(call say,META,$(OUT)/meta/model_meta.json)
	$(call run,export/write_meta) --checkpoint $(OUT)/checkpoint --graphs $(ONNX) \
	    --output $(OUT)/meta/model_meta.json

## Graphs
.PHONY: onnx meta check $(EVERY:=.onnx)
onnx: $(ONNX)           ## encoder, predictor, joint, both as one step, and mel frontend as ONNX
encoder.onnx predictor.onnx joint.onnx rnnt_step.onnx frontend.onnx: %.onnx: $(OUT)/onnx/%.onnx ## one of them
ctc.onnx: $(OUT)/onnx/ctc.onnx ## the CTC head of a hybrid model; CTC=1 transcribes by it
meta: $(META)           ## model_meta.json, vocabulary and tokenizer
check: $(CHECKS)        ## compare every graph with PyTorch
encoder_streaming.onnx: $(OUT)/onnx/encoder_streaming.onnx ## the encoder for streams; STREAMING=1 adds it to `all`
