# Brings the tools that the guards call, at pinned versions, into a cache that later runs find again; and the builds of
# our dependencies likewise.

BUF_VERSION=1.75.0
GRPCURL_VERSION=v1.9.4

cache=${XDG_CACHE_HOME:-$HOME/.cache}/jobstream-ci
tools=$cache/tools
mkdir -p "$tools"

# Builds of old dependencies pile up in the cache: start again beyond this size.
TARGET_MEBIBYTES_MAX=12000

# A fresh clone reuses the dependencies that an earlier run built, but nothing of our own crates: Cargo distinguishes the
# files of two clones by their age alone, and would take a file of one for that of the other. One run at a time has the
# cache; a concurrent run builds everything in its own clone.
use_cached_builds() {
  export CARGO_INCREMENTAL=0
  [ -z "${CARGO_TARGET_DIR:-}" ] || return
  exec 9>"$cache/target.lock"
  flock --nonblock 9 || { echo "another run has the cached builds: building in this clone"; return; }
  export CARGO_TARGET_DIR=$cache/target
  [ -d "$CARGO_TARGET_DIR" ] || return
  if [ "$(du -sm "$CARGO_TARGET_DIR" | cut -f1)" -gt "$TARGET_MEBIBYTES_MAX" ]; then
    rm -rf "$CARGO_TARGET_DIR"
  else
    cargo clean --quiet --package jobstream --package jobstream-bench
    cargo clean --quiet --package jobstream --release
  fi
}

# require COMMAND PACKAGE: installs the Debian package if the command is missing and this is a machine where we can.
require() {
  command -v "$1" >/dev/null && return
  if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$2"
  fi
  command -v "$1" >/dev/null || { echo "$1 is needed: install it (Debian: $2)"; return 1; }
}

rust_components() {
  command -v cargo >/dev/null || { echo "cargo is needed: install Rust with rustup"; return 1; }
  cargo fmt --version && cargo clippy --version || rustup component add rustfmt clippy
}

# What makes system calls of a server fail in tests; without it they are skipped.
install_strace() {
  require strace strace && strace -f -qq -e trace=fsync true
}

# What the pages about HTTP/JSON call.
curl_and_jq() {
  require curl curl && require jq jq
}

# The linter of the API, into $tools/buf.
install_buf() {
  local home=$tools/buf-$BUF_VERSION
  if [ ! -x "$home/node_modules/.bin/buf" ]; then
    require npm npm || return
    npm install --silent --no-audit --no-fund --prefix "$home" "@bufbuild/buf@$BUF_VERSION" || return
  fi
  ln -sfn "$home/node_modules/.bin/buf" "$tools/buf"
  "$tools/buf" --version
}

# What the clients are built with.
client_toolchains() {
  require go golang-go && require npm npm && require javac openjdk-17-jdk-headless && require mvn maven &&
    require gcc gcc
}

# What people type at the service by hand, into $tools/grpcurl.
install_grpcurl() {
  local home=$tools/grpcurl-$GRPCURL_VERSION
  if [ ! -x "$home/grpcurl" ]; then
    require go golang-go || return
    GOBIN=$home go install "github.com/fullstorydev/grpcurl/cmd/grpcurl@$GRPCURL_VERSION" || return
  fi
  ln -sfn "$home/grpcurl" "$tools/grpcurl"
}
