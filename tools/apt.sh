#!/bin/sh
# apt.sh [-u] PACKAGE...: install the Debian packages that are missing; silent when none is.
# With -u also bring those that are installed up to date.
# Elsewhere than on Debian it names what is missing and fails, so that a caller can say why it skips.
set -eu

upgrade=
[ "$1" != -u ] || { upgrade=yes; shift; }
missing=
for p in "$@"; do
    [ -z "$upgrade" ] && dpkg -s "$p" 2>/dev/null | grep -q '^Status: install ok installed' || missing="$missing $p"
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "apt.sh: not a Debian machine; install yourself what Debian calls:$missing" >&2
    exit 1
fi
as_root=
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { echo "apt.sh: root or sudo is needed for:$missing" >&2; exit 1; }
    as_root=sudo
fi
echo "apt-get install$missing" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# The lists first: a fresh machine has none, or old ones that lead to old versions. A mirror that does
# not answer is no reason to stop while the packages can still be had.
$as_root apt-get update >"$log" 2>&1 || cat "$log" >&2
# shellcheck disable=SC2086  # a list of names
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing >"$log" 2>&1 ||
    { cat "$log" >&2; exit 1; }
