# What the decoders in other languages are tested against, and the one in C++ for ExecuTorch.

ifeq ($(TASK),swipe)
GOLDEN := decoders/golden/cases.json.gz

flags.golden = $(TEST) $(LEXICON)

# The words that the cases are decoded with are written beside them, in words.txt.gz.
# Which words follow which is counted in a text that everybody has.
$(OUT)/golden/bigrams.bin: LICENSE $(LEXICON) $(call worker,swipe/write_bigrams)
	$(call say,BIGRAMS)
	$(call run,swipe/write_bigrams) --words $(LEXICON) --text LICENSE --output $@

$(GOLDEN): $(OUT)/onnx/encoder.onnx $(OUT)/onnx/rnnt_step.onnx $(RUNTIME_META) $(TEST) $(LEXICON) \
    $(OUT)/golden/bigrams.bin \
    $(OUT)/.flags/golden $(call worker,swipe/write_golden)
	$(call say,GOLDEN)
	$(call run,swipe/write_golden) --encoder $(OUT)/onnx/encoder.onnx --step $(OUT)/onnx/rnnt_step.onnx \
	    --meta $(RUNTIME_META) --manifest $(TEST) --lexicon $(LEXICON) \
	    --bigrams $(OUT)/golden/bigrams.bin --output $@
else
GOLDEN := decoders/golden/$(NAME).json.gz

flags.golden = $(VALIDATION)

$(GOLDEN): $(foreach graph,frontend encoder rnnt_step,$(OUT)/onnx/$(graph).onnx) $(META) $(RUNTIME_META) \
    $(VALIDATION) $(OUT)/.flags/golden $(call worker,speech/write_golden)
	$(call say,GOLDEN)
	$(call run,speech/write_golden) --frontend $(OUT)/onnx/frontend.onnx --encoder $(OUT)/onnx/encoder.onnx \
	    --step $(OUT)/onnx/rnnt_step.onnx --meta $(OUT)/meta/model_meta.json --runtime-meta $(RUNTIME_META) \
	    --manifest $(manifest) --output $@
endif

# By the folder of a program: the compiler, and ExecuTorch's headers and libraries.
CXX_ARM64 ?= aarch64-linux-gnu-g++
# Make forgets its own default, as built-in rules and variables are off.
compiler.host   = $(or $(CXX),g++)
compiler.arm64  = $(CXX_ARM64)
libraries.host  = $$($(PYTHON) -c 'import executorch; print(executorch.__path__[0])')
libraries.arm64 = $(ARM64)/site/executorch
libraries_read = $(if $(filter arm64/,$(dir $*)),$(ARM64)/.installed)

CPP := decoders/cpp/src
cpp_read.decode_swipes := $(addprefix $(CPP)/,features.cpp lexicon.cpp bigrams.cpp beam_search.cpp \
                            swipe_decoder.cpp)
platform = $(patsubst out/cpp/%/,%,$(dir $@))
programs := $(foreach platform,host arm64,out/cpp/$(platform)/decode_swipes out/cpp/$(platform)/serve_program)
$(programs): out/cpp/%: $(CPP)/$$(notdir $$*).cpp $(CPP)/program.cpp $$(cpp_read.$$(notdir $$*)) \
    $(wildcard $(CPP)/*.h) scripts/compile_cpp.sh $$(libraries_read) | $(TEST_ENV)
	$(call say,COMPILE)
	$(Q)scripts/compile_cpp.sh '$(compiler.$(platform))' $(PYTHON) "$(libraries.$(platform))" $@ $(filter %.cpp,$^)

## Decoders in other languages
.PHONY: golden cpp cpp-arm64
golden: $(GOLDEN) ## cases that every decoder must reproduce, from a demo model (checked in)
cpp: out/cpp/host/decode_swipes ## the decoder in C++ for ExecuTorch, as a program for this machine
cpp-arm64: out/cpp/arm64/decode_swipes ## and for arm64
