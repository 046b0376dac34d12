# fp32 graphs: traced (.raw.onnx), simplified (.onnx), checked against PyTorch; and the model's metadata.

# Swipes have features instead of a frontend.
TRACED := encoder predictor joint rnnt_step $(if $(filter swipe,$(TASK)),,frontend)
GRAPHS := $(TRACED) $(if $(STREAMING),encoder_streaming)
# The streaming encoder of a model without STREAMING can be asked for too, so it has all rules.
EVERY  := $(sort $(GRAPHS) encoder_streaming)
ONNX   := $(GRAPHS:%=$(OUT)/onnx/%.onnx)
frontend := $(filter %/frontend.onnx,$(ONNX))
META   := $(addprefix $(OUT)/meta/,model_meta.json vocab.txt tokens.txt)
CHECKS := $(GRAPHS:%=$(OUT)/checks/%.onnx.check.json)

$(eval $(call flags,export,OPSET=$(OPSET) FIXED=$(FIXED) DEVICE=$(DEVICE)))
$(eval $(call flags,meta,GRAPHS=$(strip $(GRAPHS))))
$(eval $(call flags,check,PARITY_MAX_ABS=$(PARITY_MAX_ABS)))

define export_rule
$(OUT)/onnx/$1.raw.onnx: $(CHECKPOINT) $(OUT)/.flags/export $(call worker,export_$1)
	$$(call say,EXPORT)
	$$(call run,export_$1) --checkpoint $(OUT)/checkpoint --opset $(OPSET) --device $(DEVICE) \
	    $(if $(FIXED),--fixed) --output $$@
endef
$(foreach graph,$(TRACED),$(eval $(call export_rule,$(graph))))
# Weights too large for a graph lie in GRAPH.onnx.data, which the traced and the simplified graph share.
.PRECIOUS: $(OUT)/onnx/%.raw.onnx

$(EVERY:%=$(OUT)/onnx/%.onnx): $(OUT)/onnx/%.onnx: $(OUT)/onnx/%.raw.onnx $(call worker,simplify_onnx)
	$(call say,SIMPLIFY)
	$(call run,simplify_onnx) --graph $* --input $< --output $@

# What faint bands lose to rounding, NeMo's too, their logarithm makes larger.
FRONTEND_MAX_ABS := 5e-4
$(OUT)/checks/frontend.onnx.check.json: PARITY_MAX_ABS := $(FRONTEND_MAX_ABS)
$(EVERY:%=$(OUT)/checks/%.onnx.check.json): $(OUT)/checks/%.onnx.check.json: $(OUT)/onnx/%.onnx $(CHECKPOINT) \
    $(OUT)/.flags/check $(call worker,check_graph)
	$(call say,CHECK)
	$(call run,check_graph) --graph $* --onnx $< --checkpoint $(OUT)/checkpoint --device $(DEVICE) \
	    --max-abs $(PARITY_MAX_ABS) --output $@

$(META) &: $(ONNX) $(CHECKPOINT) $(OUT)/.flags/meta $(call worker,write_model_meta)
	@printf '  %-9s %s\n' META $(OUT)/meta/model_meta.json
	$(call run,write_model_meta) --checkpoint $(OUT)/checkpoint --graphs $(ONNX) \
	    --output $(OUT)/meta/model_meta.json

## Graphs
.PHONY: onnx meta check $(TRACED:=.onnx)
onnx: $(ONNX)           ## encoder, predictor, joint, both as one step, and mel frontend as ONNX
encoder.onnx predictor.onnx joint.onnx rnnt_step.onnx frontend.onnx: %.onnx: $(OUT)/onnx/%.onnx ## one of them
meta: $(META)           ## model_meta.json, vocabulary and tokenizer
check: $(CHECKS)        ## compare every graph with PyTorch
