# The habits of the house. `make image` and `make test` are the two commands of the README.

export PATH := $(HOME)/.cargo/bin:$(PATH)
image    := output/debian/debian.qcow2
target   := $(or $(CARGO_TARGET_DIR),target)
program  := $(target)/release/bakehouse

# Tests that boot guests stand behind this feature.
vm       := --features bakehouse/vm-tests,bakehouse-qemu/vm-tests,bakehouse-virtualbox/vm-tests

.PHONY: image box cloud test test-fast lint bench fuzz clean build \
  need-image need-box need-cloud need-test need-bench need-fuzz

# A bootable Debian disk with a small web service, baked and then booted once.
image: need-image build
	base=$$(templates/debian/base.sh) && \
	  $(program) build -force -only=qemu.debian -var base_image=$$base templates/debian
	templates/debian/check.sh $(image)

# A Vagrant box and its catalog, which `vagrant up` boots; `make box version=1.1.0` adds a version.
box: need-box build
	base=$$(templates/debian/base.sh) && \
	  $(program) build -force -var base_image=$$base $(if $(version),-var version=$(version)) templates/vagrant

# An EC2 endpoint on loopback whose instances are guests, to try the amazon builders on without an account.
cloud: need-cloud
	tests/cloud/try

build:
	cargo build --release --quiet

# Everything: style, lints, unit tests, and the tests that boot real guests.
test: need-test lint
	tests/cloud/venv >/dev/null
	@# Status 75: VirtualBox cannot be had any more. It was said, and its tests do nothing.
	tests/virtualbox/root.sh >/dev/null || [ $$? = 75 ]
	BAKEHOUSE_TINY=$$(tests/guest/tiny.sh) BAKEHOUSE_DEBIAN=$$(templates/debian/base.sh) \
	  BAKEHOUSE_INSTALLER=$$(tests/installer/installer.sh) scripts/run-tests

# Without virtual machines: under two minutes once compiled.
test-fast:
	scripts/run-tests --fast

lint:
	cargo fmt --all --check
	cargo clippy --quiet --workspace --all-targets $(vm) -- -D warnings

# Against Debian's packer 1.6.6 and others, in turn: ratios, and target/bench/results.json.
bench: need-bench build
	BENCH_OURS=$(abspath $(program)) BENCH_PACKER=/usr/bin/packer BENCH_BASE=$$(templates/debian/base.sh) \
	  BENCH_COLDSNAP=$${BAKEHOUSE_CACHE:-$${XDG_CACHE_HOME:-$$HOME/.cache}/bakehouse}/coldsnap-0.12.0/bin/coldsnap \
	  cargo run --quiet --release -p bakehouse-bench -- $(only)

# Each target for FUZZ_SECONDS, from its seeds and what earlier runs found: make fuzz only=hcl FUZZ_SECONDS=600
FUZZ_SECONDS ?= 60
fuzz: need-fuzz
	for target in $(or $(only),hcl json interpolate boot_command fmt); do \
	  mkdir -p fuzz/corpus/$$target && \
	  cargo fuzz run -s none $$target fuzz/corpus/$$target fuzz/seeds/$$target -- \
	    -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 || exit; \
	done

clean:
	cargo clean
	rm -rf output

need-image need-box need-cloud need-test need-bench need-fuzz: need-%:
	scripts/need $*
