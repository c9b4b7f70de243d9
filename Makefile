# make help lists the targets. setup, which the others need, installs what is missing (packages, Go) on Debian 12.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

# A Go unpacked by hand is often not in root's PATH.
export PATH := $(PATH):/usr/local/go/bin
export GOTOOLCHAIN ?= auto
# A checkout owned by another user, or without git, still builds.
export GOFLAGS := $(GOFLAGS) -buildvcs=false
export CGO_ENABLED := 0

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
DEADCODE := golang.org/x/tools/cmd/deadcode@v0.52.0
GOTESTSUM := gotestsum@v1.13.0
BINARY := bin/migrate-init
BUDGET := 11000000
FUZZTIME ?= 20s
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

GODIRS := boot cmd cpio pkg qemu-tests
UNIT := ./boot/... ./cmd/... ./cpio/... ./pkg/...
# What decides and spells must not lean on one system. survey does: its parser of mountinfo exists for Linux only.
PURE := ./boot/... ./cpio/... $(addsuffix /...,$(addprefix ./pkg/,plan md lvm gpt probe fstab conf kmod elf mkfs rootfs))

.PHONY: help setup build check test demo qemu-tests fuzz bench gobench clean

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what is missing: Debian packages, Go
	@.ci/setup

build: ## the static binary, bin/migrate-init
	@echo "build: $(BINARY) $(VERSION)"
	@go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o $(BINARY) ./cmd/migrate-init

check: setup build ## gofmt, vet, staticcheck, dead code, tidy, import law, portability, size, static link
	@echo "check: gofmt"
	@bad=$$("$$(go env GOROOT)/bin/gofmt" -l $(GODIRS)); [ -z "$$bad" ] || { echo "not formatted:"; echo "$$bad"; exit 1; }
	@echo "check: go vet"
	@go vet ./...
	@go vet -tags cuttest ./cmd/...
	@echo "check: staticcheck ($(STATICCHECK))"
	@GOTOOLCHAIN=$$(go env GOVERSION) go run $(STATICCHECK) ./...
	@echo "check: dead code ($(DEADCODE), .ci/deadcode.allow)"
	@GOTOOLCHAIN=$$(go env GOVERSION) .ci/deadcode $(DEADCODE)
	@echo "check: go mod tidy"
	@go mod tidy -diff
	@echo "check: import law (pkg/rooms_test.go)"
	@go test -count=1 -timeout 5m ./pkg
	@echo "check: pure rooms under GOOS=darwin"
	@GOOS=darwin go vet $(PURE)
	@size=$$(stat -c %s $(BINARY)); echo "check: size $$size of $(BUDGET) bytes"; [ $$size -le $(BUDGET) ]
	@echo "check: nothing of the test build that cuts the power (pkg/cut)"
	@! grep -q -e migrate.cut -e MIGRATE_INIT_CUT $(BINARY)
	@echo "check: static link"
	@out=$$(ldd $(BINARY) 2>&1 || true); echo "$$out"; grep -q 'not a dynamic executable' <<<"$$out"

# go test alone does not say what was skipped; gotestsum lists it at the end, with the reasons. Kept, since go run would ask
# the module proxy every time.
.cache/$(GOTESTSUM)/gotestsum: | setup
	@echo "setup: $(GOTESTSUM)"
	@GOBIN=$(abspath $(@D)) GOTOOLCHAIN=$$(go env GOVERSION) go install gotest.tools/$(GOTESTSUM)

test: setup .cache/$(GOTESTSUM)/gotestsum ## unit tests, command line, fuzz seeds, and the quick scenarios in QEMU
	@echo "test: unit tests, command line, fuzz seeds"
	@.cache/$(GOTESTSUM)/gotestsum --format standard-quiet -- -count=1 -timeout 15m $(UNIT)
	@echo "test: quick scenarios in QEMU (software emulation; disks are made once and kept in .cache)"
	@MIGRATE_INIT_QEMU=1 go test -v -count=1 -p 1 -timeout 60m ./qemu-tests/...

SVG ?=
demo: setup ## the story of one migration, on a real Debian in QEMU, to [UU]; SVG=docs/demo.svg draws its picture there
	@mkdir -p .cache; go build -o .cache/demo ./qemu-tests/demo
	@.cache/demo $(if $(SVG),-svg $(SVG))

qemu-tests: setup ## every scenario in QEMU: several hours
	@echo "qemu-tests: every scenario (software emulation; disks are made once and kept in .cache)"
	@MIGRATE_INIT_QEMU=full go test -v -count=1 -p 1 -timeout 8h ./qemu-tests/...

# Without -fuzzminimizetime 1x Go spends the time on making inputs smaller.
fuzz: setup ## every fuzz target for FUZZTIME (20s)
	@for pkg in $$(go list $(UNIT)); do \
		for f in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "fuzz: $$pkg $$f, $(FUZZTIME)"; \
			go test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x -parallel=1 -timeout 60m $$pkg; \
		done; \
	done

# SCALE=0.05 ROUNDS=1 for a quick look; BENCHFLAGS as of qemu-tests/bench. The tables in docs are for scale 1 only.
SCALE ?= 1
ROUNDS ?= 3
BENCHFLAGS ?=
bench: setup ## the copy engines against cp, rsync, tar, partclone, e2image (root; 50 GB, an hour; SCALE=0.05 is quick)
	@echo "bench: scale $(SCALE), $(ROUNDS) rounds, on this machine as it is"
	@go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o $(BINARY) ./cmd/migrate-init
	@go build -o bin/bench ./qemu-tests/bench
	@go test -c -o bin/bench-driver ./qemu-tests/bench
	@bin/bench -scale $(SCALE) -rounds $(ROUNDS) $(if $(filter 1,$(SCALE)),-o docs/benchmarks.md) $(BENCHFLAGS)

gobench: setup ## Go benchmarks of every room
	@echo "gobench: every benchmark, on this machine as it is"
	@go test -run '^$$' -bench . -benchmem -timeout 2h $(UNIT)

clean: ## remove what was built and the lab's cache
	@echo "clean: bin, .cache"
	@rm -rf bin .cache
