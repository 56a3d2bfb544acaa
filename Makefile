# The habits. `make image` and `make test` need nothing prepared but a Rust toolchain.

export PATH := $(HOME)/.cargo/bin:$(PATH)
target := $(or $(CARGO_TARGET_DIR),target)
bakehouse := $(target)/release/bakehouse

.PHONY: image test test-fast lint bench clean

# A bootable Debian web server in output/debian, baked from templates/debian.
image:
	scripts/need image
	cargo build --release
	base=$$(templates/debian/base.sh) && $(bakehouse) build -force -var "base_image=$$base" templates/debian
	templates/debian/check.sh output/debian/debian.qcow2

# Everything, real guests included.
test: lint
	tests/guest/tiny.sh
	templates/debian/base.sh
	scripts/test --run-ignored all

# What needs no guest.
test-fast:
	scripts/need image
	scripts/test

lint:
	scripts/need test
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

bench:
	scripts/need bench
	templates/debian/base.sh
	cargo build --release
	cargo bench --bench compare

clean:
	cargo clean
	rm -rf output
