#!/bin/bash
# A private toolchain for guests (Rust std and C for wasm32-wasip1 and wasm32-wasip2) on a Debian machine whose rustup
# has no wasm targets. Everything is unpacked below PREFIX: nothing is installed, no root is needed, and rustup's own
# toolchains are only read (rust-lld, wasm-component-ld, cargo).
#
#   debian.sh PREFIX        idempotent; `cargo xtask toolchain` calls it
#
# A compiler and its std must be of one version, hence Debian's rustc with Debian's library sources.
set -euo pipefail
P=$(realpath -m "${1:?usage: debian.sh PREFIX}")
STAMP="$P/.done-2"                       # raise it when this script changes what it makes
TARGETS="wasm32-wasip1 wasm32-wasip2"
MIN_RUSTC=1.88                           # the third-party guests of the tests want at least this
[ -e "$STAMP" ] && exit 0

say() { echo "toolchain: $*" >&2; }
die() { say "$*"; exit 1; }
for tool in apt-get dpkg-deb rustc; do command -v "$tool" >/dev/null || die "$tool not found; on this machine run: rustup target add $TARGETS"; done
HOST=$(rustc -vV | sed -n 's/^host: //p')
ARCH_LIB=$(echo "$HOST" | sed 's/-unknown//')          # Debian's multiarch name, x86_64-linux-gnu

# PREFIX may be set on purpose to a directory that exists: only ever remove what an earlier run of this script made
if [ -e "$P" ] && [ ! -e "$P/.wasmpod-toolchain" ] && [ -n "$(ls -A "$P")" ]; then
  die "$P exists and is not a toolchain of this script: not touching it"
fi
rm -rf "$P"; mkdir -p "$P"/{debs,bin,root,apt/own/partial,apt/other/partial,apt/cache/archives/partial}
touch "$P/.wasmpod-toolchain"
A="$P/apt"

# 1. package lists of the machine's own sources, fetched afresh into a private directory: the machine's may be stale
own=(-q -o Dir::State::lists="$A/own" -o Dir::Cache="$A/cache" -o Acquire::Languages=none
     -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false)
[ "$(id -u)" -ne 0 ] || own+=(-o APT::Sandbox::User=root)      # apt's own user cannot write below PREFIX
say "fetching package lists"
apt-get "${own[@]}" update >/dev/null
cd "$P/debs"
v=$(apt-cache "${own[@]}" madison rustc-web | awk -F'|' '{gsub(/ /,"",$2);print $2}' | sort -Vr | head -1)
[ -n "$v" ] || die "no rustc-web package in this machine's sources"
mm=$(echo "$v" | cut -d. -f1,2)
[ "$(printf '%s\n%s\n' "$MIN_RUSTC" "$mm" | sort -V | head -1)" = "$MIN_RUSTC" ] || die "rustc $mm is too old, at least $MIN_RUSTC is needed"
say "downloading rustc $v and clang 19"
apt-get "${own[@]}" download "rustc-web=$v" "libstd-rust-web-$mm=$v" "libstd-rust-web-dev=$v" "rust-web-src=$v" \
  clang-19 lld-19 libclang-cpp19 libclang-common-19-dev libclang-rt-19-dev-wasm32 libllvm19 >/dev/null
llvm=$(dpkg-deb -f libstd-rust-web-"$mm"*.deb Depends | grep -o 'libllvm[0-9]*' | head -1)
[ "$llvm" = libllvm19 ] || apt-get "${own[@]}" download "$llvm" >/dev/null
# what LLVM links to, where a slim machine lacks it
while read -r so package; do
  /sbin/ldconfig -p | grep -qF "$so" || apt-get "${own[@]}" download "$package" >/dev/null
done <<'LIBRARIES'
libz3.so.4 libz3-4
libedit.so.2 libedit2
libbsd.so.0 libbsd0
libmd.so.0 libmd0
libxml2.so.2 libxml2
libicuuc.so.72 libicu72
libffi.so.8 libffi8
LIBRARIES

# 2. a wasi-libc that has wasip2: an arch-independent package of a newer suite from the same mirror. The one of trixie
#    itself fails reads and writes on sockets (EBADF), backports' is good.
other=("${own[@]}" -o Dir::Etc::sourcelist="$A/other.list" -o Dir::Etc::sourceparts=/dev/null -o Dir::State::lists="$A/other")
codename=$(. /etc/os-release; echo "$VERSION_CODENAME")
mirror=$(apt-get "${own[@]}" indextargets --format '$(REPO_URI)' "Codename: $codename" "Created-By: Packages" | head -1)
libc=
for suite in trixie-backports forky trixie; do
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" > "$A/other.list"
  apt-get "${other[@]}" update >/dev/null && apt-get "${other[@]}" download "wasi-libc/$suite" >/dev/null && { libc=$suite; break; }
done
[ -n "$libc" ] || die "no wasi-libc with wasip2 found"
for d in *.deb; do dpkg-deb -x "$d" "$P/root"; done
sha256sum -- *.deb > "$P/SHA256SUMS"

# 3. a rustc that finds its libraries, and the wasm linkers of the rustup toolchain (by symlink: rust-lld finds its own
#    libLLVM relative to itself)
U="$P/root/usr"; RL="$U/lib/rustlib"
wrap() { # wrap NAME PROGRAM: bin/NAME runs PROGRAM with the unpacked libraries
  printf '#!/bin/sh\nLD_LIBRARY_PATH="%s:%s${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" exec "%s" "$@"\n' \
    "$U/lib/$ARCH_LIB" "$U/lib/llvm-19/lib" "$2" > "$1"
  chmod +x "$1"
}
mv "$U/bin/rustc" "$U/bin/rustc.real"; wrap "$U/bin/rustc" "$U/bin/rustc.real"; ln -sf "$U/bin/rustc" "$P/bin/rustc"
S=$(rustc --print sysroot)
mkdir -p "$RL/$HOST/bin"
ln -sf "$S/lib/rustlib/$HOST/bin/rust-lld" "$S/lib/rustlib/$HOST/bin/wasm-component-ld" "$RL/$HOST/bin/"
CARGO="$S/bin/cargo"; ln -sf "$CARGO" "$U/bin/cargo"; ln -sf "$CARGO" "$P/bin/cargo"

# 4. libc and the C runtime start files, where rustc looks for its self-contained ones
for t in $TARGETS; do
  sc="$RL/$t/lib/self-contained"; mkdir -p "$sc"
  case $t in wasm32-wasip1) from=wasm32-wasi;; *) from=$t;; esac
  cp "$U/lib/$from"/{crt1-command.o,crt1-reactor.o,libc.a} "$sc/"
done

# 5. std itself, once, into the sysroot: the guests' own builds need no unstable flags
W="$P/stdbuild"; mkdir -p "$W/src"; cd "$W"
printf '[package]\nname="stdbuild"\nversion="0.0.0"\nedition="2021"\n[lib]\n[profile.release]\ndebug=0\n[workspace]\n' > Cargo.toml
: > src/lib.rs
for t in $TARGETS; do
  say "building std for $t"
  env -u CARGO_BUILD_TARGET -u RUSTC_WRAPPER RUSTC_BOOTSTRAP=1 RUSTC="$P/bin/rustc" \
    RUSTFLAGS="-Cembed-bitcode=yes --remap-path-prefix=$U/src=/usr/src" \
    __CARGO_TESTS_ONLY_SRC_ROOT="$(readlink -f "$RL/src/rust")/library" CARGO_TARGET_DIR="$W/target" \
    "$CARGO" build -q --release -Zbuild-std=std,panic_abort,test --target "$t"
  cp "$W/target/$t/release/deps/"*.rlib "$RL/$t/lib/"
  rm -f "$RL/$t/lib/"libstdbuild*
done

# 6. clang for C guests
wrap "$P/bin/wasm-ld" "$U/lib/llvm-19/bin/wasm-ld"; wrap "$P/bin/clang" "$U/lib/llvm-19/bin/clang"
mkdir -p "$P/c"; printf '#include <stdio.h>\nint main(void) { puts("ok"); return 0; }\n' > "$P/c/probe.c"
PATH="$P/bin:$PATH" "$P/bin/clang" --target=wasm32-wasi --sysroot="$U" -fuse-ld="$P/bin/wasm-ld" -O2 "$P/c/probe.c" -o "$P/c/probe.wasm"

cd /; rm -rf "$W" "$A" "$P/debs" "$P/c"
touch "$STAMP"
say "ready: $("$P/bin/rustc" -V), $("$P/bin/clang" --version | head -1)"
