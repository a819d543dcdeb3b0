#!/bin/bash
# Tests products by AMX on a CPU that has it: one that Bochs emulates, under a Linux that runs the test
# program and nothing else. Needs Rust (cargo, rustc) and Debian's g++, binutils, make, python3, xz-utils,
# genisoimage, isolinux and syslinux-common; fetches the sources of Bochs and a kernel from Debian's newer
# releases and builds in a folder (AMX_DIR, else target/amx): three minutes the first time, one minute then.
# Installs nothing. Skips, saying why, where something is missing. Arguments go to the test program; without
# any the tests named "tiles" run.
#
# What is odd about Bochs 3.0:
# - It takes the signed bytes of tiles for unsigned, and has no XFD, by which Linux sees that a program
#   begins to use tiles. Both are put right before it is built; `setcpuid=324` (Linux 6.15 or later) says
#   that there is XFD.
# - It does not always see that code which it has decoded was patched: `spectre_v2=retpoline tsc=unstable`
#   patches less.
# - Its management mode and 57-bit addresses do not go together: `no5lvl acpi=off`.
set -euo pipefail
dir=$(realpath -m "${AMX_DIR:-$(dirname "$0")/../../target/amx}") # before cd: it may be relative
cd "$(dirname "$0")"
skip() { echo "skipped: $1"; exit 0; }
for tool in cargo rustc strip apt-get dpkg g++ make python3 xz genisoimage; do
    command -v $tool > /dev/null || skip "no $tool"
done
loader=/usr/lib/ISOLINUX/isolinux.bin
menu=/usr/lib/syslinux/modules/bios/ldlinux.c32
[ -e $loader ] && [ -e $menu ] || skip "no isolinux or no syslinux-common"
[ "$(uname -m)" = x86_64 ] || skip "not x86-64"
mkdir -p "$dir"

# Fetches Debian's packages by apt, its own lists and settings left alone.
fetch() {
    local archive=$1 apt=$dir/apt
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/parts"
    touch "$apt/status"
    local key=/usr/share/keyrings/debian-archive-keyring.gpg
    for suite in trixie sid; do
        echo "deb [signed-by=$key] $archive $suite main"
    done > "$apt/sources.list"
    echo "deb-src [signed-by=$key] $archive trixie main" >> "$apt/sources.list"
    cat > "$apt/apt.conf" << END
Dir::Etc::SourceList "$apt/sources.list";
Dir::Etc::SourceParts "$apt/parts";
Dir::State::Lists "$apt/lists";
Dir::State::status "$apt/status";
Dir::Cache "$apt/cache";
APT::Sandbox::User "root";
END
    export APT_CONFIG=$apt/apt.conf
    apt-get -qq update
    local kernel
    kernel=$(apt-cache depends linux-image-cloud-amd64/sid | grep -o 'linux-image-[0-9][^ ]*' | head -1)
    apt-get -qq download "${kernel/image/binary}" bochsbios/trixie vgabios/trixie
    # A description that is not to be had is no matter.
    apt-get -qq source --download-only bochs/trixie || true
    unset APT_CONFIG
    [ -e bochs_3.0+dfsg.orig.tar.xz ]
}

build_bochs() {
    tar xf bochs_3.0+dfsg.orig.tar.xz
    cd bochs-3.0
    # Signed bytes are signed.
    sed -i -E 's/Bit32s\(([xy]byte\[[0-3]\])\)/Bit32s(Bit8s(\1))/g' cpu/avx/amx.cc
    # XFD: two registers, and the exception at the first use of a tile.
    sed -i -E '/^bool .*handle_unknown_rdmsr/,/^\{/ s/^\{/{\n  if (index == 0x1c4) { *msr = amx_xfd; return true; }\n  if (index == 0x1c5) { *msr = amx_xfd_err; return true; }/
        /^bool .*handle_unknown_wrmsr/,/^\{/ s/^\{/{\n  if (index == 0x1c4) { amx_xfd = val_64; return true; }\n  if (index == 0x1c5) { amx_xfd_err = val_64; return true; }/
        0,/^#define LOG_THIS.*/ s//&\nBit64u amx_xfd, amx_xfd_err;/' cpu/msr.cc
    sed -i -E '/::(TILELOADD|TILESTORED|TILEZERO|check_tiles)/,/^\{/ s/^\{/{\n  if (amx_xfd >> 18 \& 1) { amx_xfd_err = 1 << 18; exception(BX_NM_EXCEPTION, 0); }/
        0,/^#define LOG_THIS.*/ s//&\nextern Bit64u amx_xfd, amx_xfd_err;/' cpu/avx/amx.cc
    CXXFLAGS=-O2 ./configure --with-nogui --disable-docbook --disable-plugins --enable-cpu-level=6 \
        --enable-x86-64 --enable-fpu --enable-avx --enable-evex --enable-amx --enable-cet --enable-uintr \
        --enable-protection-keys --enable-perfmon --enable-memtype --enable-vmx=2 \
        --enable-all-optimizations --enable-cdrom --enable-pci > ../configure.log 2>&1
    make -j2 > ../make.log 2>&1
    cd ..
    cp bochs-3.0/bochs .
    rm -r bochs-3.0
}

# The first program: runs the tests, says how they ended, and ends, at which Linux stops and so does Bochs.
make_init() {
    cat > init.rs << 'END'
use std::{env, process::Command, thread::sleep, time::Duration};

fn main() {
    let ended = Command::new("/test").args(env::args().skip(1)).status();
    println!("\ntest_amx.sh: {}", ended.map_or_else(|e| e.to_string(), |e| e.to_string()));
    sleep(Duration::from_secs(2));
}
END
    rustc -O -C target-feature=+crt-static --target x86_64-unknown-linux-gnu init.rs
}

# Files for the kernel to begin with: /dev/console, the first program, the tests.
pack() {
    python3 - "$1" iso/initrd << 'END'
import sys
from pathlib import Path


def entry(number, name, mode, data=b"", device=(0, 0)):
    fields = [number, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0]
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    return head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)


Path(sys.argv[2]).write_bytes(
    entry(1, "dev", 0o40755)
    + entry(2, "dev/console", 0o20600, device=(5, 1))
    + entry(3, "init", 0o100755, Path("init").read_bytes())
    + entry(4, "test", 0o100755, Path(sys.argv[1]).read_bytes())
    + entry(0, "TRAILER!!!", 0)
)
END
}

export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS="-C target-feature=+crt-static"
test=$(cargo test --package puna-cpu --lib --target x86_64-unknown-linux-gnu --no-run \
    --message-format=json | grep -o '"executable":"[^"]*"' | cut -d'"' -f4 | tail -1)

archive=$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' | awk '$1 == "Debian" { print $2; exit }')
cd "$dir"
if ! [ -x bochs ]; then
    [ -n "$archive" ] && fetch "$archive" || skip "Bochs 3.0 and a kernel are not to be had"
    for package in ./*.deb; do dpkg -x "$package" files; done
    build_bochs
fi
mkdir -p iso
make_init
strip -o test "$test"
pack test
cp $loader $menu iso/
cp files/usr/lib/modules/*/vmlinuz iso/vmlinuz
cat > iso/isolinux.cfg << END
default tests
prompt 0
label tests
 kernel vmlinuz
 append initrd=initrd console=ttyS0 panic=-1 reboot=t nokaslr setcpuid=324 no5lvl acpi=off spectre_v2=retpoline tsc=unstable -- --test-threads=1 --nocapture ${*:-tiles}
END
genisoimage -quiet -o amx.iso -b isolinux.bin -no-emul-boot -boot-load-size 4 -boot-info-table iso
cat > bochsrc << END
megs: 512
romimage: file=$dir/files/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=$dir/files/usr/share/vgabios/vgabios.bin
cpu: model=sapphire_rapids, count=1, ips=100000000, reset_on_triple_fault=0, ignore_bad_msrs=1
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path=$dir/amx.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=$dir/serial.txt
log: $dir/bochs.log
panic: action=fatal
error: action=ignore
display_library: nogui
END
# A boot may end at a breakpoint that Linux has long taken away; at another time of day it does not.
for time in 1 2 3; do
    rm -f serial.txt
    timeout 1200 ./bochs -q -f bochsrc "clock: sync=none, time0=${time}00000000" > bochs.out 2>&1 < /dev/null || true
    if grep -q '^running' serial.txt; then break; fi
done
tr -d '\r' < serial.txt | sed -n '/^running/,/^test_amx.sh/p'
grep -q '^test_amx.sh: exit status: 0' serial.txt
