# entrustment-operator. Nothing but Go, make and git is needed: every other tool is a pinned Go module.
# Run `make` for the list of targets.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS   += --no-print-directory

# One way of compiling for operator, tests and control plane, so that they share what is compiled.
export CGO_ENABLED := 0

FUZZTIME  ?= 20s
BENCHTIME ?= 1s
VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo v0.0.0-dev)

# Built once and kept until their version changes; `go tool` would read the whole module graph at every call.
TOOLS          ?= $(CURDIR)/bin/tools
CONTROLLER_GEN := $(TOOLS)/controller-gen
GOLANGCI_LINT  := $(TOOLS)/golangci-lint
KUSTOMIZE      := $(TOOLS)/kustomize
CRD_REF_DOCS   := $(TOOLS)/crd-ref-docs

# Where Go code is: code that asks for rights by markers, and tests, benchmarks and fuzz targets.
CODE = $(wildcard api cmd controllers internal test)

# A module of its own, whose dependencies are not the operator's.
SECOND_OPINION = test/oracle/cyclonus

# Likewise, for Helm.
INSTALLATION = test/install

# Likewise, for images.
IMAGES = hack/image

# A real control plane: found, downloaded or built. Expanded when a recipe runs, never when make starts.
WITH_ASSETS = assets=$$(hack/controlplane/assets.sh) && export KUBEBUILDER_ASSETS=$$assets &&

say = printf '\n== %s\n' "$(1)"

##@ Start here

.PHONY: help
help: ## Show this page
	@printf 'Usage: make TARGET\n'
	@awk -F ':.*## ' ' \
	  /^##@ /        { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z0-9-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: bin/local build ## Show the operator at work on a published policy, in a cluster of its own
	@$(WITH_ASSETS) bin/local run -- hack/demo.sh

.PHONY: test
test: ## Run the tests, unit and against a real API server
	@$(call say,Control plane)
	@$(WITH_ASSETS) $(call say,Tests) && go test ./...
	@$(call say,Tests against the evaluator of others)
	@cd $(SECOND_OPINION) && go test ./...
	@$(call say,Installation by Helm and by kustomize)
	@$(WITH_ASSETS) cd $(INSTALLATION) && go test -skip '^TestCertificatesOfCertManager$$' ./... # minutes more, and test-long runs it
	@$(call say,Images)
	@cd $(IMAGES) && go test ./...

.PHONY: e2e
e2e: ## Play the policy with real pods, packets and PostgreSQL (root, Linux; or KUBECONFIG)
	@hack/e2e.sh

##@ A cluster to try things in

.PHONY: up
up: bin/local build ## Start a local cluster with the operator; kubeconfig in .local/kubeconfig
	@$(WITH_ASSETS) bin/local up

.PHONY: down
down: bin/local ## Stop it and remove all it left
	@bin/local down

##@ Develop

.PHONY: build
build: ## Build the operator and the kubectl plugin into bin/
	@mkdir -p bin
	@echo 'Building the operator and the kubectl plugin'
	@go build -ldflags '-X main.version=$(VERSION)' -o bin/ ./cmd/...

# The image: for one platform or several, under a name that the archive carries. DIST is where the archive goes.
IMAGE     ?= entrustment-operator:$(VERSION)
PLATFORMS ?= linux/$(shell go env GOARCH)
DIST      ?= dist
REVISION  ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
CREATED   ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)

.PHONY: image
image: bin/image ## Write the operator's image as an archive; no engine is needed (PLATFORMS="linux/amd64 linux/arm64")
	@mkdir -p $(DIST)
	@for platform in $(PLATFORMS); do \
	  echo "Building the operator for $$platform" >&2; \
	  GOOS=$${platform%%/*} GOARCH=$${platform#*/} go build -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)' \
	    -o $(DIST)/$$platform/manager ./cmd/manager; \
	done
	@bin/image --name $(IMAGE) --output $(DIST)/entrustment-operator.tar --created $(CREATED) \
	  --label org.opencontainers.image.title=entrustment-operator \
	  --label org.opencontainers.image.version=$(VERSION) \
	  --label org.opencontainers.image.revision=$(REVISION) \
	  --label org.opencontainers.image.licenses=Apache-2.0 \
	  $(foreach platform,$(PLATFORMS),$(platform)=$(DIST)/$(platform)/manager)

.PHONY: generate
generate: $(CONTROLLER_GEN) ## Write deepcopy and apply configurations from api/
	$(CONTROLLER_GEN) object applyconfiguration paths=./api/...

.PHONY: manifests
manifests: $(CONTROLLER_GEN) $(KUSTOMIZE) $(CRD_REF_DOCS) ## Write CRDs, the operator's role and the reference from their markers, and what the chart takes over
	$(CONTROLLER_GEN) crd paths=./api/... output:crd:dir=config/crd/bases
	$(CONTROLLER_GEN) rbac:roleName=entrustment-operator $(CODE:%=paths=./%/...) output:rbac:dir=config/rbac
	@mkdir -p $(CHART)/files/crds $(CHART)/files/prometheus
	cp config/crd/bases/*.yaml $(CHART)/files/crds/
	cp config/prometheus/{servicemonitor.yaml,prometheusrule.yaml,dashboard.json} $(CHART)/files/prometheus/
	cp config/webhook/manifests.yaml $(CHART)/files/webhook.yaml
	cp config/rbac/roles.yaml $(CHART)/files/roles.yaml
	for part in service_account role role_binding secrets_role; do printf -- '---\n'; sed '/^---$$/{1d}' config/rbac/$$part.yaml; done >$(CHART)/files/rbac.yaml
	$(KUSTOMIZE) build config/admission -o $(CHART)/files/admission.yaml
	$(CRD_REF_DOCS) --log-level ERROR --source-path api/v1alpha1 --config hack/reference/config.yaml \
	  --renderer markdown --templates-dir hack/reference/templates --output-path docs/reference.md

CHART = charts/entrustment-operator

# The chart from which upgrades are tested, as it was at a commit. It is kept, because CI may have no history.
EARLIER ?= 7975d3b

.PHONY: earlier
earlier: ## Keep the chart of the commit EARLIER, for the test of upgrades
	git archive --format=tar --prefix=entrustment-operator/ $(EARLIER):$(CHART) | gzip -9n >$(INSTALLATION)/testdata/entrustment-operator-earlier.tgz

.PHONY: fmt
fmt: $(GOLANGCI_LINT) ## Format Go code and sort its imports
	$(GOLANGCI_LINT) fmt

.PHONY: lint
lint: $(GOLANGCI_LINT) ## Run the linters, import directions included
	$(GOLANGCI_LINT) run

##@ Check

.PHONY: test-long
test-long: ## Run every test with the race detector and more random worlds, then fuzz
	@$(call say,Control plane)
	@$(WITH_ASSETS) $(call say,Tests $(RACE)) && ENTRUSTMENT_LONG=1 CGO_ENABLED=$(if $(RACE),1,0) go test $(RACE) -count=1 -timeout=30m ./...
	@$(call say,Tests against the evaluator of others)
	@cd $(SECOND_OPINION) && ENTRUSTMENT_LONG=1 go test -count=1 -timeout=30m ./...
	@$(call say,Installation by Helm and by kustomize)
	@$(WITH_ASSETS) cd $(INSTALLATION) && ENTRUSTMENT_LONG=1 go test -count=1 -timeout=30m ./...
	@$(call say,Images)
	@cd $(IMAGES) && go test -count=1 ./...
	@$(MAKE) fuzz

# The race detector needs a C compiler. Where there is none, the tests run without it and the section's title shows it.
RACE = $(if $(shell command -v "$$(CGO_ENABLED=1 go env CC)"),-race)

.PHONY: browser
browser: ## Look at the pages of kubectl entrust in a real Chromium, which Debian and npm provide
	@$(call say,Pages in a browser)
	@test/browser/run.sh

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME (FUZZTIME=20s)
	@grep -ro --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' $(CODE) | \
	  while IFS=: read -r file name; do \
	    $(call say,$${name#func } for $(FUZZTIME)); \
	    go test -run '^$$' -fuzz "^$${name#func }$$" -fuzztime $(FUZZTIME) "./$$(dirname "$$file")" || exit 1; \
	  done

.PHONY: measure
measure: ## Run the benchmarks, some of them against a real API server
	@$(WITH_ASSETS) grep -rl --include='*_test.go' '^func Benchmark' $(CODE) | xargs -n1 dirname | sort -u | \
	  while read -r package; do \
	    $(call say,$$package); \
	    go test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) "./$$package" || exit 1; \
	  done

.PHONY: verify
verify: $(CONTROLLER_GEN) $(GOLANGCI_LINT) $(KUSTOMIZE) $(CRD_REF_DOCS) ## Check that generated files are current, and format, vet, lint and modules
	@GOLANGCI_LINT=$(GOLANGCI_LINT) KUSTOMIZE=$(KUSTOMIZE) TOOLS=$(TOOLS) hack/verify.sh

##@ Tidy up

.PHONY: clean
clean: ## Stop the local cluster and remove everything built here
	@[[ ! -d .local ]] || $(MAKE) down
	rm -rf bin dist coverage

# ---- What the targets above need ----------------------------------------------------------------------------------

# One rule for all tools: a tool is as old as the module file that pins it.
$(TOOLS)/%: hack/tools/go.mod hack/tools/go.sum
	@echo "Building $* (once)"
	@mkdir -p $(TOOLS)
	@cd hack/tools && go build -o $@ "$$(go list -f '{{.ImportPath}}' tool | grep -E '/$*(/v[0-9]+)?$$')"
	@touch $@

# Its module is its own, lest its dependencies hold back those of the tools.
$(CRD_REF_DOCS): hack/reference/go.mod hack/reference/go.sum
	@echo "Building crd-ref-docs (once)"
	@mkdir -p $(TOOLS)
	@go -C hack/reference build -o $(abspath $@) github.com/elastic/crd-ref-docs
	@touch $@

.PHONY: bin/local
bin/local:
	@go build -o $@ ./hack/local

.PHONY: bin/image
bin/image:
	@go -C hack/image build -o $(CURDIR)/$@ .
