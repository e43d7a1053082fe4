# Brings the tools that the guards call, at pinned versions, into a cache that later runs find again.

BUF_VERSION=1.75.0
GRPCURL_VERSION=v1.9.4

cache=${XDG_CACHE_HOME:-$HOME/.cache}/jobstream-ci
tools=$cache/tools
mkdir -p "$tools"

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

# What people type at the service by hand, into $tools/grpcurl.
install_grpcurl() {
  local home=$tools/grpcurl-$GRPCURL_VERSION
  if [ ! -x "$home/grpcurl" ]; then
    require go golang-go || return
    GOBIN=$home go install "github.com/fullstorydev/grpcurl/cmd/grpcurl@$GRPCURL_VERSION" || return
  fi
  ln -sfn "$home/grpcurl" "$tools/grpcurl"
}
