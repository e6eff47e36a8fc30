# devid: build, install, test, show. `make help` lists the targets.
CARGO ?= cargo
PREFIX ?= /usr/local
DESTDIR ?=
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man
DOCDIR ?= $(PREFIX)/share/doc/devid

# What is built: `make FEATURES=crypto-rust,http PROFILE=small TARGET=aarch64-unknown-linux-gnu`; and `make install` with the same words.
TARGET ?=
PROFILE ?= release
FEATURES ?=
comma := ,
BUILD := --locked --profile $(PROFILE) $(if $(TARGET),--target $(TARGET)) \
	$(if $(FEATURES),--no-default-features --features $(FEATURES))

# The C in the library (AWS-LC) is built with stack protectors and checked copies; empty for compilers that have neither.
HARDENING ?= -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2

# Code for AVX-512 processors is 0.8 MB of it, most of that AES-GCM, and a device's messages are short: AWS-LC's own option leaves it out and
# takes what it has for AVX2 (where there is AVX-512, an RSA-2048 signature then takes 587 microseconds instead of 231). Nothing unwinds
# through its C, so it has no tables for that (90 KB); what a debugger needs comes with -g. Empty for all of it. packaging/debian/rules has
# the same words.
AWS_LC_FLAGS ?= -DMY_ASSEMBLER_IS_TOO_OLD_FOR_512AVX -fno-asynchronous-unwind-tables

# With frame pointers the tables that unwinding needs are a sixth smaller, and the code no larger; and profilers find their way. Empty: without.
FRAME_POINTERS ?= -C force-frame-pointers=yes

OUT := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)
RELEASE := $(OUT)/$(if $(TARGET),$(TARGET)/)$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))
DEBUG := $(OUT)/debug
# Where `make demo` installs to.
STAGE := $(CURDIR)/build/stage

.PHONY: all release command install header test test-dependencies test-rust test-c test-header test-abi test-install test-python test-messages test-interop \
	demo interop openssl-suite pkits bench faults fleet fuzz cross lint clean help build-dir setup-build setup-test setup-demo setup-interop

all: release

help:
	@echo "make            release libraries in target/release"
	@echo "make command    the command devid in target/release"
	@echo "make small      the smallest library: P-256 and HTTP, its own standard library, a panic ends the process; target/TRIPLE/small-abort"
	@echo "make small-test the same, and C programs with it enrol, install and validate against the test CA"
	@echo "make sizes      builds the library with each set of features and writes docs/sizes.md; an hour, SETS=\"small\": less"
	@echo "make install    PREFIX=$(PREFIX) DESTDIR= : header, shared and static library, devid.pc"
	@echo "                both take TARGET=triple PROFILE=release|small|small-abort FEATURES=crypto-rust,http"
	@echo "make deb        packages for Debian in build/deb; make try-packages installs and uses them as a stranger does"
	@echo "make wheels     wheels for PyPI in build/wheels (manylinux_2_17 and musllinux_1_2 on x86-64 and aarch64; the package and the test CA),"
	@echo "                TARGET=TRIPLE: for that alone; make try-wheels uses them; make sdist: the sources"
	@echo "make docs       the book under docs/book: links, commands and settings in it are looked at; HTML in build/book"
	@echo "make notices    licences of all linked crates, and an SBOM (CycloneDX)"
	@echo "make demo       a device gets its identity, checks a peer and renews, against a test CA on this machine"
	@echo "make test       every test; parts: test-rust test-c test-header test-abi test-install test-python test-messages test-interop"
	@echo "make header     writes the headers and the golden lists anew"
	@echo "make interop    against OpenSSL, Siemens' CmpRaComponent and Bouncy Castle"
	@echo "make openssl-suite  OpenSSL's tests of its command cmp, with ours; data from Debian's source package"
	@echo "make pkits      NIST's path validation suite, fetched from PyPI"
	@echo "make bench      against OpenSSL and rustls-webpki, in the same run; SHORT=1: less of it"
	@echo "make faults     device memory stopped, failing, without power at every call; prints the points tried"
	@echo "make decade     devices live for five years with a CA that refuses, waits, dies, changes its keys: prints what got stuck; DEVICES=40"
	@echo "make fleet      a million devices renew for four years: writes docs/fleet.svg and the figures in docs/fleet.md"
	@echo "make fuzz       every parser and the operation, FUZZ_SECONDS each (60); SHORT=1: seconds, or without a fuzzer the seeds"
	@echo "make mutants    one-line changes in decisions that no test notices: COUNT=40 SEED=1"
	@echo "make sanitize   AddressSanitizer, ThreadSanitizer and Miri, with a nightly compiler; PART=address|thread|miri"
	@echo "make adversary  the adversary over 20,000 PKIs"
	@echo "make cross      the portable provider's tests on 32-bit and big-endian machines, C programs for armv7, aarch64, riscv64, i686 and"
	@echo "                musl, all under qemu; and baremetal. TARGET=TRIPLE: C programs for that machine alone"
	@echo "make tpm        a device whose keys are in a TPM 2.0 (swtpm)"
	@echo "make msrv       compiles everything with Debian 13's own Rust, in a root made for it"
	@echo "make reproducible  builds and installs twice, in places of different names, and compares; PROFILE, FEATURES"
	@echo "make baremetal  firmware for a Cortex-M4 enrols and validates under qemu; prints its flash, heap and stack"
	@echo "make lint       formatting and clippy"

build-dir:
	@mkdir -p build

setup-build: build-dir
	@bash scripts/setup.sh build

setup-test: build-dir
	@bash scripts/setup.sh test

setup-demo: build-dir
	@bash scripts/setup.sh demo

setup-interop: build-dir
	@bash scripts/setup.sh interop

# What is measured is what is built.
release command bench: export CFLAGS := $(strip $(CFLAGS) $(HARDENING) $(AWS_LC_FLAGS))
release command bench small wheels: export RUSTFLAGS := $(strip $(RUSTFLAGS) $(FRAME_POINTERS))

release: setup-build
	sh scripts/anywhere.sh $(CARGO) build $(BUILD) -p devid-capi

# The smallest library, for devices where a panic may end the process: scripts/small.sh. It lands in target/TRIPLE/small-abort, from where
# `make install PROFILE=small-abort TARGET=TRIPLE` takes it.
.PHONY: small
small: setup-build
	FEATURES="$(or $(FEATURES),crypto-rust-p256$(comma)http)" TARGET="$(TARGET)" CARGO="$(CARGO)" bash scripts/small.sh

# What that has built enrols, installs and validates, by C programs against the test CA. Not part of `make test`: it compiles a standard
# library and everything once more.
.PHONY: small-test
small-test: small
	$(CARGO) build --locked -p devid-testca
	bash tests/c/small.sh $(OUT)/$(or $(TARGET),$(shell rustc -vV | sed -n 's/^host: //p'))/small-abort $(DEBUG)/devid-testca

# How large the library is with what in it: writes docs/sizes.md. SETS="small default": these alone.
.PHONY: sizes
sizes:
	python3 scripts/sizes.py $(SETS)

# The command, beside the libraries.
command: setup-build
	sh scripts/anywhere.sh $(CARGO) build --locked --profile $(PROFILE) $(if $(TARGET),--target $(TARGET)) -p devid-cli

# What `make` has built with the same words is installed as it is: nothing is compiled as root.
install:
	@[ -e "$(RELEASE)/libdevid.a" ] || { echo "make install: there is no $(RELEASE)/libdevid.a: make first, with the same words" >&2; exit 1; }
	PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" LIBDIR="$(LIBDIR)" INCLUDEDIR="$(INCLUDEDIR)" MANDIR="$(MANDIR)" DOCDIR="$(DOCDIR)" TARGET="$(TARGET)" \
		sh bindings/c/install.sh "$(RELEASE)"

# Packages for Debian, built from the committed tree with its crates beside it, without a network. BUILT=FOLDER takes programs and
# libraries that are there, to try the packaging itself.
.PHONY: deb try-packages notices wheels sdist
deb: build-dir
	bash packaging/deb.sh $(BUILT)

# A stranger's way: the packages installed, five commands of the tutorial, the short program linked by pkg-config and CMake.
try-packages: build-dir
	bash packaging/try.sh build/deb

# For PyPI: against glibc 2.17 and musl 1.2, x86-64 and aarch64, by zig (from PyPI too); TARGET: one of them. And the sources, from which
# pip builds.
wheels: export CFLAGS := $(strip $(CFLAGS) $(AWS_LC_FLAGS))
wheels: build-dir
	PROFILE="$(PROFILE)" bash packaging/wheels.sh $(TARGET)

# As a stranger uses them, in a fresh environment; those for other machines under qemu.
.PHONY: try-wheels
try-wheels:
	bash packaging/try_wheels.sh

sdist: build-dir
	bash packaging/wheels.sh sdist

# The book, looked at, and as HTML in build/book, with the reference of C and Python.
.PHONY: docs test-docs
docs: build-dir
	bash scripts/setup.sh docs
	$(CARGO) build --locked --quiet -p devid-cli
	python3 scripts/book.py --devid $(DEBUG)/devid --build build/book

test-docs: build-dir
	$(CARGO) build --locked --quiet -p devid-cli -p devid-testca
	rm -rf build/book
	python3 scripts/book.py --devid $(DEBUG)/devid --build build/book --run
	python3 scripts/reference.py
	bash packaging/check.sh

# The licences of everything that is linked, and a list of it (CycloneDX).
notices: build-dir
	python3 packaging/notices.py build/notices
	python3 packaging/notices.py build/notices/devid-cli --package devid-cli
	python3 packaging/notices.py build/notices/devid-testca --package devid-testca

header:
	$(CARGO) run --quiet -p devid-header
	bash scripts/check-abi.sh --update
	python3 bindings/python/tools/generate_abi.py

test: export DEVID_LEFT_OUT := $(CURDIR)/build/left-out
test: setup-test new-left-out test-dependencies test-rust test-header test-abi test-c test-install test-docs test-python test-messages test-interop
	@sort -u build/left-out
	@echo "make test: all parts passed$$(test ! -s build/left-out || echo ', but for what is left out')"

# What this machine lacks a tool for: `make test` ends with it.
.PHONY: new-left-out
new-left-out: build-dir
	@: > build/left-out

test-dependencies: notices
	python3 scripts/check_dependencies.py

# The test CA keeps one of each shape of the messages that it gets, for `test-messages`.
test-rust: build-dir
	rm -rf build/messages
	DEVID_TESTCA_RECORD=$(CURDIR)/build/messages $(CARGO) test --locked --workspace --features devid/pkcs11,devid-capi/pkcs11

test-header: build-dir
	bash scripts/check-header.sh

test-abi: debug-libraries
	bash scripts/check-abi.sh build/debug/libdevid.so

test-c: debug-libraries
	PANIC_LIBRARY=build/panic/libdevid.so bash tests/c/run.sh build/debug
	bash tests/c/examples.sh build/debug $(DEBUG)/devid-testca
	@if [ -n "$$DEVID_VECTORS" ]; then DEVID_LIBRARY=build/debug/libdevid.so PYTHONPATH=bindings/python/src \
		PYTHONDONTWRITEBYTECODE=1 python3 tests/conformance/worker.py --check "$$DEVID_VECTORS"; fi

test-install: debug-libraries
	bash tests/c/install.sh build/debug

test-python: debug-libraries
	@if [ -x bindings/python/test.sh ]; then bash bindings/python/test.sh build/debug; fi

# What the tests have sent, read by a decoder that others wrote; with the tools of `test-python`.
test-messages:
	build/python/bin/python interop/decode.py build/messages

test-interop: debug-libraries
	@if [ -x interop/run.sh ]; then bash interop/run.sh --short; fi

# The tests' libraries: quick to build, with overflow checks, with PKCS#11. The one that panics on demand is built first, as cargo keeps
# one file of that name.
.PHONY: debug-libraries
debug-libraries: build-dir
	@mkdir -p build/debug build/panic
	$(CARGO) build --locked -p devid-capi --features capi-panic-injection
	cp $(DEBUG)/libdevid.so build/panic/
	$(CARGO) build --locked -p devid-capi -p devid-testca --features devid-capi/pkcs11
	cp $(DEBUG)/libdevid.so build/debug/
	sh bindings/c/pack.sh $(DEBUG)/libdevid.a build/debug/libdevid.a

demo: setup-demo
	@bash scripts/demo.sh

interop: setup-interop debug-libraries openssl-suite
	bash interop/run.sh

# OpenSSL's own tests of its command `cmp`, run with ours; the data come from Debian's source package.
openssl-suite: build-dir
	$(CARGO) build --locked --quiet -p devid-cli
	python3 interop/openssl_suite.py --program $(DEBUG)/devid

pkits: build-dir
	bash scripts/pkits.sh

bench: setup-test
	sh scripts/anywhere.sh python3 benches/run.py $(if $(SHORT),--short)
	$(if $(SHORT),,bash scripts/check_size.sh)

# Minutes. Fails if anything is lost, mixed or left over anywhere.
faults: build-dir
	$(CARGO) test --locked --quiet --test store -- --ignored --exact faults::every_point --nocapture

# Five seconds of processor time a device. Fails if one is stuck, spins, or loses its identity.
decade: build-dir
	CARGO_PROFILE_DEV_OPT_LEVEL=1 DEVID_DECADE_DEVICES=$(or $(DEVICES),40) $(CARGO) test --locked --quiet --test enrolment -- --ignored --exact decade::many_devices --nocapture

fuzz: build-dir
	bash scripts/fuzz.sh $(if $(SHORT),--short)

# Changes one line at a time in decisions and asks whether a test notices: COUNT of them, drawn by SEED.
.PHONY: mutants sanitize
mutants: build-dir
	python3 scripts/mutants.py --count $(or $(COUNT),40) --seed $(or $(SEED),1)

# With a nightly compiler: AddressSanitizer over sequences of C calls, ThreadSanitizer over eight threads, Miri over what it can run.
sanitize: build-dir
	bash scripts/sanitize.sh $(PART)

# Not part of `make test`: it compiles everything once more for each machine.
# TARGET: C programs for that machine alone.
cross: build-dir
ifeq ($(TARGET),)
	$(MAKE) baremetal
	bash scripts/cross.sh
endif
	bash scripts/cross_c.sh $(TARGET)

.PHONY: tpm msrv reproducible
# Two builds in folders of other names are equal. PROFILE and FEATURES as for `make`; without them the small ones.
reproducible: build-dir
	PROFILE="$(if $(filter command,$(origin PROFILE)),$(PROFILE))" FEATURES="$(FEATURES)" bash scripts/reproducible.sh

tpm: build-dir
	bash scripts/tpm.sh

msrv: build-dir
	bash scripts/debian13.sh

# The engine without an operating system, run on an emulated Cortex-M4; prints flash, heap and stack.
.PHONY: baremetal
baremetal: build-dir
	bash scripts/baremetal.sh

# The planner is quick enough in a debug build.
fleet: build-dir
	$(CARGO) run --locked --quiet --example fleet

lint:
	bash scripts/msrv.sh
	@if $(CARGO) fmt --version >/dev/null 2>&1; then $(CARGO) fmt --all --check; else echo "lint: rustfmt is not installed, skipped"; fi
	@if $(CARGO) clippy --version >/dev/null 2>&1; then $(CARGO) clippy --locked --workspace --all-targets -- -D warnings && bash scripts/features.sh; \
	else echo "lint: clippy is not installed, skipped"; fi
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --quiet -p devid --features pkcs11

clean:
	$(CARGO) clean
	rm -rf build

# The adversary's properties over many generated PKIs; `test-rust` runs a thousand.
.PHONY: adversary
adversary:
	DEVID_ADVERSARY_PKIS=$${DEVID_ADVERSARY_PKIS:-20000} $(CARGO) test --locked -p devid --features devid/pkcs11 --test adversary -- --nocapture
