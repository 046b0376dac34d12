# Transcribing with the built graphs, and their WER beside the checkpoint's own.

# 1 transcribes streams, window by window, by the streaming encoder.
STREAM    ?=
# Variants to use, by file name; `evaluate` takes several encoders, one check each.
FRONTEND  ?= frontend.onnx
ENCODER   ?= $(if $(STREAM),encoder_streaming.onnx,encoder.onnx)
PREDICTOR ?= predictor.onnx
JOINT     ?= joint.onnx

WAV             ?=
JSON            ?=
# Recordings longer than the second are cut in pauses, pieces being at least as long as the first.
SEGMENT_SECONDS ?= 15 30
VALIDATION      ?=
# Points of WER that graphs may lose against PyTorch; MAX_WER_DELTA.VARIANT is a variant's own bound.
MAX_WER_DELTA      ?= 0.5
MAX_WER_DELTA.int4 ?= 1.0

ifneq ($(STREAM),)
  ifeq ($(STREAMING),)
    $(error STREAM=1 needs the streaming encoder, which $(NAME) is built without: set STREAMING=1 too)
  endif
endif

# The graphs that decode together.
DECODED := encoder predictor joint

# $(call decode_graphs,graphs), $(call decode_flags,graphs): what a worker is to use; encoder, predictor and joint, or
# encoder and rnnt_step.
decode_graphs = $(addprefix $(OUT)/onnx/,$(FRONTEND) $1)
decode_flags  = --model $(OUT) --frontend $(FRONTEND) --encoder $(word 1,$1) \
                  $(if $(word 3,$1),--predictor $(word 2,$1) --joint $(word 3,$1),--step $(word 2,$1))

transcriber   = $(if $(STREAM),transcribe_stream,transcribe)

# $(call accuracy_check,graphs): a check is named by the graphs that are not fp32, and its bound is that of the first.
space     := $(subst ,, )
variants   = $(patsubst %.onnx,%,$(filter-out $(TRACED:=.onnx),$1 $(FRONTEND)))
accuracy_check  = $(OUT)/checks/wer.$(or $(subst $(space),-,$(strip $(variants))),fp32).check.json
accuracy_bound  = $(or $(MAX_WER_DELTA$(firstword $(suffix $(variants)))),$(MAX_WER_DELTA))

# Streams are compared with NeMo's offline decoding under the same attention context.
CHECKPOINT_WER := $(OUT)/checks/checkpoint$(if $(STREAM),.streaming).check.json

manifest = '$(or $(VALIDATION),$(error There is no validation set for $(NAME): set VALIDATION to a NeMo manifest))'

$(eval $(call flags,validation,VALIDATION=$(VALIDATION)))
$(eval $(call flags,wer,$(foreach bound,$(sort $(filter MAX_WER_DELTA%,$(.VARIABLES))),$(bound)=$($(bound))) \
    SEGMENT_SECONDS=$(SEGMENT_SECONDS)))

# The manifest stands for the audio beside it.
$(CHECKPOINT_WER): $(MODEL) $(VALIDATION) $(OUT)/.flags/validation $(if $(STREAM),$(META)) \
    $(call worker,evaluate_checkpoint)
	$(call say,EVALUATE)
	$(call run,evaluate_checkpoint) --checkpoint $(MODEL) --manifest $(manifest) \
	    $(if $(STREAM),--like $(OUT)/meta/model_meta.json) --output $@

# $(call accuracy_rule,graphs): the rule of a check, once.
define accuracy_rule
$(if $(filter $(accuracy_check),$(ACCURACY_RULES)),,$(call accuracy_recipe,$(accuracy_check),$(call decode_graphs,$1),$1,$(accuracy_bound)))
ACCURACY_RULES += $(accuracy_check)
endef
# $(call accuracy_recipe,check,files,graphs,bound)
define accuracy_recipe
$1: $2 $(META) $(CHECKPOINT_WER) $(VALIDATION) $(OUT)/.flags/validation $(OUT)/.flags/wer $(call worker,evaluate_wer)
	$$(call say,EVALUATE)
	$$(call run,evaluate_wer) $(call decode_flags,$3) --segment-seconds $(SEGMENT_SECONDS) $(if $(STREAM),--stream) \
	    --manifest $$(manifest) --reference $(CHECKPOINT_WER) --max-wer-delta $4 --output $$@
endef
evaluated = $(call accuracy_check,$1 $(PREDICTOR) $(JOINT))
$(foreach encoder,$(ENCODER),$(eval $(call accuracy_rule,$(encoder) $(PREDICTOR) $(JOINT))))

# Reached only when a file is missing and nothing makes it: the worker says so in its own words.
$(filter-out $(ONNX),$(sort $(call decode_graphs,$(ENCODER) $(PREDICTOR) $(JOINT))) $(VALIDATION)):

## Use and measure
.PHONY: transcribe evaluate
first_graphs = $(firstword $(ENCODER)) $(PREDICTOR) $(JOINT)
transcribe: $(call decode_graphs,$(first_graphs)) $(META) $(call worker,$(transcriber)) ## text of WAV="a.wav b.flac" (JSON=1 STREAM=1 WAV=-)
	$(call run,$(transcriber)) $(call decode_flags,$(first_graphs)) \
	    --segment-seconds $(SEGMENT_SECONDS) $(if $(JSON),--json) $(WAV)
evaluate: $(foreach encoder,$(ENCODER),$(call evaluated,$(encoder))) ## WER and CER beside PyTorch's own (ENCODER=encoder.int8.onnx)
