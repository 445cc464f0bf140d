# Everything that is done to this project, each under one name. Needs Go and make;
# what a test needs beyond that, test/setup.sh installs or names.

GO ?= go
# Modules of their own: the checking tools, and tests whose dependencies the
# program must not have.
MODULES := . tools $(patsubst %/go.mod,%,$(wildcard test/*/go.mod))

.PHONY: build demo test check bench clean

build: ## build bin/pedigree, and bin/pedigree-layout, which it starts to draw
	$(GO) build -trimpath -o bin/ ./cmd/pedigree ./cmd/pedigree-layout

demo: build ## a real pipeline, verified and attacked, in ./demo
	./bin/pedigree demo --dir demo

test: ## everything the project can check about itself
	./test/setup.sh
	$(GO) test ./...
	@for m in $(filter-out . tools,$(MODULES)); do echo "cd $$m && $(GO) test ./..."; (cd $$m && $(GO) test ./...) || exit 1; done

check: ## formatting, vet, staticcheck, tidy modules
	@echo gofmt -l .; out=$$(gofmt -l .); if [ -n "$$out" ]; then echo "not formatted:"; echo "$$out"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool -modfile=tools/go.mod staticcheck ./...
	@for m in $(MODULES); do echo "cd $$m && $(GO) mod tidy -diff"; (cd $$m && $(GO) mod tidy -diff) || exit 1; done

bench: export PEDIGREE_BENCH_MIB ?= 2048
bench: ## benchmarks, each beside its limit
	$(GO) test -run '^$$' -bench . -benchmem ./...

clean: ## remove what was built
	rm -rf bin demo
