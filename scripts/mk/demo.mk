# The decoder in TypeScript, and a page that shows what it does in a browser.

PORT ?= 8000
# 0.0.0.0 for phones in the same network; browsers lend their microphone to pages of this machine only.
HOST ?= 127.0.0.1

TYPESCRIPT := decoders/typescript
# npm writes this file last.
NPM_DONE   := $(TYPESCRIPT)/node_modules/.package-lock.json
TS_BUILT   := $(TYPESCRIPT)/build/.done

# What a package needs is in it: nothing is run or fetched when it is installed.
$(NPM_DONE): $(TYPESCRIPT)/package.json $(TYPESCRIPT)/package-lock.json
	$(call say,NPM)
	@command -v node npm > /dev/null || { echo 'error: node and npm are missing; install Node 20 or newer.' >&2; exit 2; }
	@node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' || { \
	    echo "error: Node $$(node --version) is too old; install 20 or newer." >&2; exit 2; }
	$(Q)npm ci --prefix $(TYPESCRIPT) --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

$(TS_BUILT): $(NPM_DONE) $(wildcard $(addprefix $(TYPESCRIPT)/,*.json src/*.ts demo/*.ts test/*.ts test/built/*.ts))
	$(call say,TSC)
	$(Q)rm -rf $(@D)
	$(Q)$(TYPESCRIPT)/node_modules/.bin/tsc --project $(TYPESCRIPT)/tsconfig.build.json
	@touch $@

# Packages to show. Two models are two builds; packages of your own are shown as they are.
ifeq ($(origin DEMO_PACKAGES),undefined)
  DEMO_PACKAGES := $(foreach kind,bundled dynamic,$(addprefix out/demo-swipe/package/$(kind)/,web desktop)) \
                     $(addprefix out/demo-tdt/package/dynamic/,web desktop)
  demo_packages := demo-packages
endif

.PHONY: demo-packages
demo-packages:
	@+$(MAKE) --no-print-directory CONFIG=demo-swipe TARGET='web desktop' package-bundled package-dynamic
	@+$(MAKE) --no-print-directory CONFIG=demo-tdt TARGET='web desktop' package-dynamic

## Decoders in browsers and Node
.PHONY: typescript demo-web test-typescript
typescript: $(TS_BUILT) ## compile the TypeScript decoder and its demo (Node 20 or newer)
demo-web: $(TS_BUILT) $(demo_packages) $(ENV) ## a page to swipe and speak to (PORT=8000 HOST=127.0.0.1 DEMO_PACKAGES=)
	$(call run,demo/serve) --decoder $(TYPESCRIPT) --packages $(DEMO_PACKAGES) \
	    --examples models/validation/manifest.jsonl --host $(HOST) --port $(PORT)
test-typescript: $(TEST_ENV) ## the TypeScript decoder, against golden cases; with TESTFLAGS= also in Chromium
	$(Q)$(PYTHON) -m pytest tests/decoders/test_typescript.py $(or $(TESTFLAGS),-m 'not slow')
