# Everything that is done to this project, each under one name. Needs Go and make;
# what a test needs beyond that, test/setup.sh installs or names.

GO ?= go
# BUILDTAGS=pkcs11 builds a program that signs with keys in hardware modules. It needs a
# C compiler, and is not static.
BUILDTAGS ?=
# Modules of their own: the checking tools, and tests whose dependencies the program must
# not have. Not test/*/tool: these hold no code, only the versions of programs that tests
# build, and to tidy them is to download gigabytes of what those programs are tested with.
MODULES := . tools $(patsubst %/go.mod,%,$(wildcard test/*/go.mod))

.PHONY: build demo demo-keyless test test-kube check bench bench-kube clean

build: ## build bin/pedigree, and bin/pedigree-layout, which it starts to draw
	$(GO) build -trimpath -tags '$(BUILDTAGS)' -o bin/ ./cmd/pedigree ./cmd/pedigree-layout

demo: build ## a real pipeline, verified and attacked, in ./demo
	./bin/pedigree demo --dir demo

demo-keyless: build ## the same without key files, against a private Sigstore on loopback, in ./demo-keyless
	$(GO) build -C test/e2e -o ../../bin/ ./cmd/demo-keyless
	cd test/e2e && ../../bin/demo-keyless --dir ../../demo-keyless --pedigree ../../bin/pedigree

test: ## everything the project can check about itself
	./test/setup.sh
	$(GO) test ./...
	@if [ "$$($(GO) env CGO_ENABLED)" != 1 ]; then echo "left out: keys in hardware modules, because there is no C compiler" >&2; [ "$$CI" != true ]; \
	else set -x; $(GO) test -tags pkcs11 ./internal/pkcs11 && $(GO) test -tags pkcs11 -run 'TestScripts/pkcs11' ./internal/cli; fi
	@echo "left out: the deploy gate with a real Kubernetes API server; make test-kube builds one" >&2
	@for m in $(filter-out . tools test/kube,$(MODULES)); do echo "cd $$m && $(GO) test ./..."; (cd $$m && $(GO) test ./...) || exit 1; done

# Apart from test, because the servers take about seven minutes to build once, and two
# gigabytes of memory to link. Not from the cache of results: what is tested is a program
# that this module does not import.
test-kube: ## the deploy gate with a real Kubernetes API server, which is built first
	cd test/kube && { $(GO) run ./cmd/kube-servers || [ "$$CI" != true ]; } && $(GO) test -count=1 ./...

# staticcheck looks at test/kube beside the program, because what that compiles is compiled
# for the program anyway; the other tests' dependencies are several times as much.
check: ## formatting, vet, staticcheck, tidy modules
	@echo gofmt -l .; out=$$(gofmt -l .); if [ -n "$$out" ]; then echo "not formatted:"; echo "$$out"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool -modfile=tools/go.mod staticcheck ./...
	cd test/kube && $(GO) vet ./... && $(GO) tool -modfile=../../tools/go.mod staticcheck ./...
	@for m in $(MODULES); do echo "cd $$m && $(GO) mod tidy -diff"; (cd $$m && $(GO) mod tidy -diff) || exit 1; done

bench: export PEDIGREE_BENCH_MIB ?= 2048
bench: ## benchmarks, each beside its limit
	$(GO) test -run '^$$' -bench . -benchmem ./...

# The median of rounds, and their span. A round takes minutes; PEDIGREE_ROUNDS=1 is enough to
# see that it runs.
bench-kube: export PEDIGREE_ROUNDS ?= 5
bench-kube: ## what the gate adds to the making of a pod, through a real Kubernetes API server
	cd test/kube && $(GO) run ./cmd/kube-servers && $(GO) test -run '^$$' -bench Latency -benchtime 1x -timeout 60m .

clean: ## remove what was built
	rm -rf bin demo demo-keyless
