# `make` lists the targets.
.DEFAULT_GOAL := help
GO ?= go
STATICCHECK = $(GO) tool -modfile=tools/go.mod staticcheck

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z][a-z0-9-]*:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

.PHONY: build
build: ## build yard into bin/
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/yard ./cmd/yard

.PHONY: solver
solver: ## fetch HiGHS (WebAssembly, from npm) so that yard embeds it
	cd internal/lp/highs && $(GO) run ./fetch

.PHONY: kubernetes
kubernetes: ## build the Kubernetes that tests run into the user's cache (once, some minutes)
	$(GO) test -count=1 -timeout 60m -run TestPrograms ./internal/lab/kubelab

LAB ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/switchyard-lab

.PHONY: bloblab
bloblab: ## fetch servers of S3 (a Go module) and Azure Blob (from npm) for the tests
	test -x $(LAB)/bloblab/versitygw || GOBIN=$(LAB)/bloblab $(GO) install github.com/versity/versitygw/cmd/versitygw@v1.8.0
	test -d $(LAB)/bloblab/node_modules/azurite || npm install --prefix $(LAB)/bloblab --no-audit --no-fund azurite@3.35.0

.PHONY: e2e-kubernetes
e2e-kubernetes: kubernetes ## a real cluster of five nodes: a gang trains, a node dies, the run resumes
	$(GO) test -v -count=1 -timeout 30m -run TestTrain ./e2e/kubernetes -e2e

.PHONY: e2e-pytorch
e2e-pytorch: kubernetes ## torchrun on two pods of a real Kubernetes (gloo): one is taken away, the losses are those of torchrun alone
	$(GO) test -v -count=1 -timeout 30m -run "TestPyTorch|TestManifests" ./e2e/kubernetes -e2e

.PHONY: e2e-kubernetes-scale
e2e-kubernetes-scale: kubernetes ## 3,000 pods in gangs of 8 to 512 on 1,000 fake nodes
	$(GO) test -v -count=1 -timeout 30m -run TestScale ./e2e/kubernetes -e2e

.PHONY: e2e-kubernetes-at-once
e2e-kubernetes-at-once: kubernetes ## the same 3,000 pods, all submitted at the beginning
	$(GO) test -v -count=1 -timeout 40m -run TestAllAtOnce ./e2e/kubernetes -e2e

.PHONY: e2e-kueue
e2e-kueue: kubernetes ## gangs through a real Kueue and as sets of a real JobSet (builds both: five minutes of a core, once; then about five minutes)
	$(GO) test -v -count=1 -timeout 90m -run 'TestOperators|TestConformanceWithOperators' ./internal/engine/kubernetes -operators

.PHONY: test
test: ## run all tests
	$(GO) test ./...

.PHONY: check
check: fmt vet lint arch generated race vector cross ## everything that must be green before a commit lands

.PHONY: fmt
fmt: ## fail on code that gofmt would change
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$unformatted" || { echo "run gofmt -w on:"; echo "$$unformatted"; exit 1; }

.PHONY: vet
vet: ## go vet, also of the vector path of the example
	$(GO) vet ./...
	GOEXPERIMENT=simd $(GO) vet ./examples/...

.PHONY: lint
lint: ## staticcheck
	$(STATICCHECK) ./...

.PHONY: arch
arch: ## the layers and the package comments
	$(GO) test -count=1 ./internal/arch

.PHONY: race
race: ## all tests under the race detector (needs a C compiler)
	$(GO) test -race -short ./...

.PHONY: vector
vector: ## the tests of the example's vector path (amd64)
	GOEXPERIMENT=simd $(GO) test -short ./examples/...

.PHONY: cross
cross: ## build for the other platforms
	GOOS=darwin GOARCH=arm64 CGO_ENABLED=0 $(GO) build -o /dev/null ./cmd/yard
	GOOS=windows GOARCH=amd64 CGO_ENABLED=0 $(GO) build -o /dev/null ./cmd/yard

.PHONY: focus-validate
focus-validate: ## hold the FOCUS exports to the public validator (needs Python 3.12)
	GO="$(GO)" tools/focus/validate.sh

.PHONY: tour
tour: ## record the output in docs/tour.md anew
	$(GO) test ./internal/cli -run TestTour -update-tour

.PHONY: generate
generate: ## regenerate the files that are made from code
	$(GO) generate ./...

.PHONY: generated
generated: ## fail where a generated file is out of date
	@before=$$(git status --porcelain); $(GO) generate ./... && after=$$(git status --porcelain); \
	test "$$before" = "$$after" || { echo "generated files were out of date:"; git status --short; exit 1; }

.PHONY: bench
bench: ## benchmarks, as ratios within one run
	$(GO) test -run '^$$' -bench . -benchtime 1s ./internal/...
	GOEXPERIMENT=simd $(GO) run ./examples/gpt bench

.PHONY: calibrate
calibrate: ## fit the estimator's constants to the shipped rows
	$(GO) run ./internal/estimate/calibrate/run

.PHONY: accuracy
accuracy: ## write docs/accuracy.md and its plots
	$(GO) run ./internal/estimate/accuracy/run

.PHONY: bench-planner
bench-planner: ## the planner against what people do now, into docs/planner-bench.md
	$(GO) test -count=1 -timeout 90m -run TestBenchPlanner ./internal/planner -planner.bench $(CURDIR)/docs/planner-bench.md

.PHONY: bench-planner-size
bench-planner-size: ## plans of the size of a large lab: gap against time, into docs/planner-size.txt
	$(GO) test -count=1 -timeout 90m -run TestPlannerSize ./internal/planner -planner.size $(CURDIR)/docs/planner-size.txt

.PHONY: bench-reconcile
bench-reconcile: ## the control plane at 5,000 live runs: share of a core, resident memory
	$(GO) test -count=1 -v -run TestReconcileAtScale ./internal/daemon -scale 60s

.PHONY: deals
deals: ## the figures of docs/deals.md, into docs/deals/
	sh examples/deals/figures.sh

.PHONY: e2e-slurm
e2e-slurm: ## yard on a real Slurm of four nodes: gang, preemption, time limit, lost nodes, accounting (root; packages of .ci/run)
	$(GO) test -count=1 -timeout 30m -v ./e2e/slurm -e2e

.PHONY: e2e-move
e2e-move: kubernetes ## a run on a real Kubernetes loses a node, moves to a real Slurm and ends there (root)
	$(GO) test -v -count=1 -timeout 60m ./e2e/move -e2e
