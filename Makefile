# flexvc needs Go and make, and Node for the extension and the plugin; everything else it is
# built and tested with is fetched by Go and npm.
# `make` alone lists the targets.

SHELL := /bin/sh
GO ?= go
export GOFLAGS += -buildvcs=false
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X github.com/flexvc/flexvc/internal/buildinfo.Version=$(VERSION)
SOURCES := $(shell find cmd internal extension plugin function -path '*/node_modules' -prune -o '(' -name '*.go' -not -name '*_test.go' -o -name '*.html' ')' -print) \
	$(shell find extension/app -type f) function/generateToken.js $(wildcard internal/emulator/functions/*.js) go.mod go.sum

# The extension inside the binary needs the Voice SDK, which npm fetches.
VOICE_SDK := extension/app/vendor/twilio.min.js
PLUGIN := plugin/dist/bundle.js
# Twilio's own runtime, in which the tests run the token Function.
RUNTIME := function/node_modules/.installed
ifneq ($(shell command -v npm 2>/dev/null),)
SOURCES += $(VOICE_SDK) $(PLUGIN)
endif

# The race detector needs a C compiler on Linux.
RACE := $(shell command -v $${CC:-cc} >/dev/null 2>&1 && echo -race)

.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: bin/flexvc ## build bin/flexvc

bin/flexvc: $(SOURCES)
	@mkdir -p bin
	@[ -e $(VOICE_SDK) ] || echo "note: without the Voice SDK this flexvc does everything but pack the extension; npm fetches it"
	@[ -e $(PLUGIN) ] || echo "note: without its bundle this flexvc does everything but deploy the Flex plugin; npm builds it"
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $@ ./cmd/flexvc

# With the emulated voice edge; internal/cli/emulator/novoice.go says why it is apart.
bin/flexvc-voice: $(SOURCES)
	@mkdir -p bin
	CGO_ENABLED=0 $(GO) build -trimpath -tags voice -ldflags '$(LDFLAGS)' -o $@ ./cmd/flexvc

# A registry that cannot be reached is no reason not to build; a wrong checksum is.
$(VOICE_SDK): extension/scripts/voice-sdk.json
	@cd extension && if [ -d node_modules/@twilio/voice-sdk ] || npm ci --no-audit --no-fund; \
		then npm run --silent build; else echo "note: npm cannot fetch the Voice SDK"; fi

# Built from our own sources: only without its tools is there a reason to go on without it.
$(PLUGIN): $(shell find plugin/src plugin/scripts -type f) plugin/package-lock.json
	@cd plugin && if [ -d node_modules/esbuild ] || npm ci --no-audit --no-fund; \
		then npm run --silent build; else echo "note: npm cannot fetch what builds the Flex plugin"; fi

demo: bin/flexvc ## the whole story on the built-in emulator; no account needed
	@bin/flexvc demo

# Flex itself once `make flex-host` has built it, a page that plays it otherwise.
FLEX_HOST := e2e/flex/node_modules/.flex-host/host.js
demo-browser: bin/flexvc-voice ## a Chromium with the extension, and customers who call
	@scripts/tools.sh chromium
	@bin/flexvc-voice demo --browser $(if $(wildcard $(FLEX_HOST)),--flex-script $(FLEX_HOST)) $(DEMO_ARGS)

test: fmt-check vet cross staticcheck extension-test plugin-test unit e2e e2e-rollout e2e-desktop ## everything CI runs

fmt-check: ## fail when a Go file is not gofmt's
	@echo "format"
	@files=$$(gofmt -l cmd internal extension plugin function deploy); [ -z "$$files" ] || { echo "run gofmt -w on:"; echo "$$files"; exit 1; }

vet: ## go vet
	@echo "vet"
	@$(GO) vet ./...
	@$(GO) vet -tags voice ./internal/cli/...

# Vetting compiles every test; building links. Nothing of it can run here.
PURE := ./internal/attributes ./internal/config ./internal/crx ./internal/durable ./internal/fleet ./internal/workers
cross: ## build and vet for Windows and macOS, and compile the tests of what holds files there
	@echo "windows, darwin"
	@for os in windows darwin; do \
	  CGO_ENABLED=0 GOOS=$$os $(GO) vet ./... && \
	  CGO_ENABLED=0 GOOS=$$os $(GO) build -o /dev/null ./cmd/flexvc && \
	  CGO_ENABLED=0 GOOS=$$os $(GO) test -exec true $(PURE) >/dev/null || exit 1; done

staticcheck: ## staticcheck, in the version go.mod names
	@echo "staticcheck"
	@$(GO) tool staticcheck ./...

unit: $(if $(findstring $(VOICE_SDK),$(SOURCES)),$(VOICE_SDK) $(PLUGIN) $(RUNTIME)) ## all tests, with the race detector where a C compiler is there
	@[ -n "$(RACE)" ] || echo "no C compiler: the tests run without the race detector"
	@scripts/tools.sh redis-server tmux curl
	@[ -n "$$FLEXVC_OPENAPI_DIR" ] || echo "FLEXVC_OPENAPI_DIR is not set: the emulator is not checked against Twilio's OpenAPI files"
	$(GO) test $(RACE) -timeout 20m ./...
	[ -z "$(RACE)" ] || $(GO) test -timeout 5m -run LostDoubledAndReordered ./internal/fleet # a million, too many for the detector
	$(GO) test $(RACE) -tags voice -timeout 5m ./internal/cli/demo ./internal/cli/emulator

extension-test: extension/node_modules/.installed ## type check and tests of the extension
	cd extension && npm run --silent check && npm test --silent

extension/node_modules/.installed: extension/package-lock.json
	cd extension && npm ci --no-audit --no-fund
	@touch $@

plugin: ## build the Flex plugin's bundle, which flexvc then holds
	@command -v npm >/dev/null 2>&1 || { echo "plugin: npm is needed"; exit 1; }
	@$(MAKE) --no-print-directory $(PLUGIN)

ifneq ($(shell command -v npm 2>/dev/null),)
plugin-test: plugin/node_modules/.installed ## type check, bundle and tests of the Flex plugin
	cd plugin && npm run --silent check && npm test --silent
else
plugin-test:
	@echo "note: npm is not there, so the Flex plugin is neither built nor tested"
endif

plugin/node_modules/.installed: plugin/package-lock.json
	cd plugin && npm ci --no-audit --no-fund
	@touch $@

ifneq ($(shell command -v npm 2>/dev/null),)
function-test: $(RUNTIME) ## the token Function against serve, Twilio's own runtime and the emulator; about 3 minutes
	$(GO) test $(RACE) -timeout 15m ./function ./internal/functiontest ./internal/emulator/functions ./internal/emulator/serverless
else
function-test:
	@echo "note: npm is not there, so the token Function is not tested under Twilio's runtime"
endif

$(RUNTIME): function/package-lock.json
	cd function && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

# $(call browser,FLAGS FILES): tests in Chromium, against the emulator with its voice edge.
define browser
@scripts/tools.sh chromium fonts-ipafont-gothic
@cd extension && npm run --silent build
@chromium=$$(command -v "$${CHROMIUM:-chromium}") || { echo "$@: skipped, there is no Chromium"; exit 0; }; \
  FLEXVC=bin/flexvc-voice CHROMIUM=$$chromium node e2e/run.mjs $(1)
endef

e2e: bin/flexvc-voice extension/node_modules/.installed ## calls through the real extension in Chromium, with real audio; about 8 minutes
	$(call browser,--at-once 2 e2e/extension/*.test.mjs)

function-tools: bin/flexvc e2e/function/node_modules/.installed ## Twilio's own deployment tools beside flexvc's Function and plugin in one account, in turns
	@FLEXVC=$(CURDIR)/bin/flexvc node --test e2e/function/*.test.mjs

e2e/function/node_modules/.installed: e2e/function/package-lock.json
	cd e2e/function && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

FILES ?= e2e/extension/*.test.mjs
N ?= 30
soak: bin/flexvc-voice extension/node_modules/.installed ## browser tests N=30 times on the machine as it is, and N times beside 8 busy processes: FILES=..., failures per run
	$(call browser,--soak $(N) $(FILES))

STEPS ?= 1000
chaos: bin/flexvc-voice extension/node_modules/.installed ## an agent's and customers' random walk through everything that goes wrong: STEPS=1000 SEED=...; about 10 minutes
	@scripts/tools.sh chromium
	@cd extension && npm run --silent build
	@FLEXVC=bin/flexvc-voice CHROMIUM=$$(command -v "$${CHROMIUM:-chromium}") node e2e/chaos/chromium.mjs --steps $(STEPS) $(if $(SEED),--seed $(SEED))

# Kept in the user's cache too: only the first build of a version of Flex needs its packages.
# FLEX_UI=2.0.0 makes that of another release.
flex-host: ## the page script of the real Flex UI: from the cache, or built of what npm fetches (740 MB)
	@node e2e/flex/host.mjs --kept || { { [ -n "$$FLEX_UI" ] || $(MAKE) --no-print-directory e2e/flex/node_modules/.installed; } && node e2e/flex/host.mjs; }

e2e/flex/node_modules/.installed: e2e/flex/package-lock.json
	cd e2e/flex && npm ci --ignore-scripts --no-audit --no-fund --prefer-offline
	@touch $@

# $(call flex,FLAGS FILES): tests in the real Flex UI. A registry that cannot be reached skips them; anything else fails.
define flex
@scripts/tools.sh chromium
@cd extension && npm run --silent build
@chromium=$$(command -v "$${CHROMIUM:-chromium}") || { echo "$@: skipped, there is no Chromium"; exit 0; }; \
  $(MAKE) --no-print-directory flex-host || { npm ping >/dev/null 2>&1 && exit 1; echo "$@: skipped, npm cannot fetch Flex UI"; exit 0; }; \
  FLEXVC=bin/flexvc-voice CHROMIUM=$$chromium node e2e/run.mjs $(1)
endef
FLEX_NEEDS := bin/flexvc-voice extension/node_modules/.installed $(PLUGIN)

e2e-flex: $(FLEX_NEEDS) ## the real Flex UI in Chromium on the emulator, with calls; about 2 minutes
	$(call flex,--at-once 2 e2e/flex/*.test.mjs)

# The oldest and the newest release of Flex UI 2 that npm has.
FLEX_RELEASES = $(shell npm view @twilio/flex-ui versions --json | grep -oE '"2[.][0-9]+[.][0-9]+"' | tr -d '"' | sed -n '1p;$$p')
e2e-flex-versions: $(FLEX_NEEDS) ## the plugin in the oldest and the newest Flex UI 2 that npm has; FLEX_RELEASES="2.4.1 2.8.3" are others; not in CI
	@[ -n "$(strip $(FLEX_RELEASES))" ] || { echo "$@: skipped, npm cannot be asked for the releases of Flex UI"; exit 0; }
	@for release in $(FLEX_RELEASES); do echo "Flex UI $$release"; FLEX_UI=$$release $(MAKE) --no-print-directory e2e-flex-release || exit 1; done

e2e-flex-release: $(FLEX_NEEDS)
	$(call flex,e2e/flex/release.test.mjs)

e2e-story: $(FLEX_NEEDS) ## the whole of it in the real Flex UI, from init to disable, with a picture of each step; PASSES=20 times in a row, TOKENS=function without a token server
	$(call flex,$(if $(PASSES),--passes $(PASSES)) e2e/story/story.test.mjs)

e2e-desktop: $(FLEX_NEEDS) ## e2e-flex and e2e-story side by side; about 4 minutes
	$(call flex,--at-once 2 e2e/story/story.test.mjs e2e/flex/*.test.mjs)

e2e-neighbours: $(FLEX_NEEDS) ## the real Flex UI with the plugins of others beside ours; about 8 minutes
	$(call flex,--at-once 2 e2e/neighbours/*.test.mjs)

flex-picture: ## take the picture of Flex in docs/pictures anew, in a pass of e2e-story
	@DOCS_PICTURES=docs/pictures $(MAKE) --no-print-directory e2e-story

e2e-rollout: bin/flexvc-voice extension/node_modules/.installed ## a real Chromium, by policy: install, microphone, update, and what it refuses; about a minute
	$(call browser,e2e/rollout/*.test.mjs)

bench-calls: bin/flexvc-voice extension/node_modules/.installed ## how fast a call is answered, and what a refresh, another network or a closed browser costs it
	cd extension && npm run --silent build
	FLEXVC=bin/flexvc-voice CHROMIUM=$$(command -v "$${CHROMIUM:-chromium}") node e2e/extension/bench.mjs
	FLEXVC=bin/flexvc-voice CHROMIUM=$$(command -v "$${CHROMIUM:-chromium}") node e2e/extension/bench-links.mjs
	FLEXVC=bin/flexvc-voice CHROMIUM=$$(command -v "$${CHROMIUM:-chromium}") node e2e/extension/bench-goodbye.mjs

BOOTS ?= 20
bench-plugin: $(FLEX_NEEDS) flex-host ## what the plugin adds to Flex's start: BOOTS=20 with it and without, in turns
	cd extension && npm run --silent build
	FLEXVC=bin/flexvc-voice CHROMIUM=$$(command -v "$${CHROMIUM:-chromium}") node e2e/flex/bench.mjs $(BOOTS)

generate: ## rewrite completions, man pages, docs, JSON Schemas, COVERAGE.md and the table in SECURITY.md
	$(GO) test ./internal/cli/tree -run 'TestGenerated' -count=1 -update
	$(GO) test ./internal/emulator/coverage -run 'TestCoverage' -count=1 -update
	$(GO) test ./internal/tui -run 'TestPictures' -count=1 -update

ONLY ?=
mutants: ## break what runs, init and settings promise, one place at a time: tests must fail each time; ONLY=part of a name; about 6 minutes
	@$(GO) run ./internal/mutants -only '$(ONLY)'

store-pictures: extension/node_modules/.installed ## take the pictures of the Chrome Web Store's listing anew
	@scripts/tools.sh chromium
	@cd extension && npm run --silent store-pictures

pictures: ## draw the pictures of the watch in docs/pictures
	$(GO) test ./internal/tui -run 'TestPictures' -count=1 -update

GOLDEN := $(addprefix ./internal/cli/,config doctor init pack plugin tree workers) ./internal/tui
golden: ## rewrite the golden files and the expected output of the stories; read the diff
	$(GO) test $(GOLDEN) -count=1 -update

bench: bench-startup bench-workers bench-serve bench-events bench-pack bench-watch bench-updates ## every benchmark

bench-startup: bin/flexvc ## time to start, next to an empty Go program
	$(GO) run ./internal/bench startup bin/flexvc

bench-workers: bin/flexvc ## 10,000 workers at 200 requests/s: requests, time, 429s, memory
	$(GO) run ./internal/bench workers bin/flexvc

bench-serve: ## the token server next to the least code that could do it
	$(GO) run ./internal/tokensrv/bench

bench-events: ## from a worker's write to the event at the reader, through emulator, server and stream
	@$(GO) test ./internal/cli/serve -run '^$$' -bench BenchmarkEvents -benchtime 2000x

bench-pack: bin/flexvc ## packing next to openssl, chromium and npm crx3, where they are installed
	$(GO) run ./internal/bench pack bin/flexvc

bench-watch: bin/flexvc ## 15,000 workers on the watch's screen: first picture, key presses, memory; about 4 minutes
	$(GO) run ./internal/bench watch bin/flexvc

bench-updates: bin/flexvc ## browsers asking for updates as fast as they are answered: requests, time, memory
	$(GO) run ./internal/bench updates bin/flexvc

clean: ## remove what was built
	rm -rf bin dist

.PHONY: help e2e-flex-release e2e-flex-versions e2e-neighbours build demo demo-browser test fmt-check vet cross staticcheck unit extension-test plugin plugin-test function-test e2e flex-host e2e-flex bench-calls bench-plugin generate golden bench bench-startup bench-workers bench-serve bench-pack bench-events bench-watch pictures mutants e2e-rollout bench-updates e2e-story e2e-desktop flex-picture soak chaos store-pictures clean
