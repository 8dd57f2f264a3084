# Sourced by the other scripts: where things are, and which tool versions this project builds with.
# shellcheck shell=bash
# shellcheck disable=SC2034 # used by the scripts that source this

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

cache="${XDG_CACHE_HOME:-$HOME/.cache}/atomfeed-console"
tools="$cache/tools"

# 0.3.11 needs Rust 1.96, which is newer than this project requires.
cargo_leptos_version=0.3.10
cargo_deny_version=0.20.2
# The tool and the crate must have the same version, or the browser refuses the module: it is read from the lock file.
wasm_bindgen_version=$(sed -n '/^name = "wasm-bindgen"$/{n;s/^version = "\(.*\)"$/\1/p;}' Cargo.lock)
# Packages of scripts/site/. Their wasm-opt comes first in PATH, because Debian 12's (binaryen 108) breaks modules of
# current Rust.
site_packages="$tools/site"

export PATH="$tools/bin:$site_packages/node_modules/.bin:$PATH"

# Intermediate build files (some GB) are kept outside the clone, so that a fresh clone does not compile 300 crates
# again. Final files (the binaries, the site) are in the clone's own target/, so that clones never run each other's. A
# cargo older than 1.91 ignores the setting and keeps everything in target/.
export CARGO_BUILD_BUILD_DIR="${CARGO_BUILD_BUILD_DIR:-$cache/build}"

# Makes gcc compile for musl instead of the C library it belongs to: a file of Debian's musl-dev for arm64.
musl_arm64=/usr/lib/aarch64-linux-musl/musl-gcc.specs

console_version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$root/Cargo.toml" | head -n 1)

binary="${CARGO_TARGET_DIR:-$root/target}/release/atomfeed-console"

say() { printf '%s\n' "$*" >&2; }

fail() {
    say "$*"
    exit 1
}
