#!/usr/bin/env bash
# Installs what the tests use beyond Go: git and a shell for the demonstration,
# openssl to read our keys with somebody else's program, docker-registry as a real
# registry without the referrers API, chromium to open drawings in a real browser,
# Graphviz's dot to read them, and SoftHSM, OpenSC's pkcs11-tool and a C compiler for keys
# in hardware modules. Most are Debian packages of the same name.
# Where it cannot install, it says what will be left out; the tests skip those
# parts by name, and fail where CI=true asks for everything.
set -euo pipefail

if [ ! -d "${PEDIGREE_CONFORMANCE:-../shared/conformance}/sigstore/bundle-verify" ]; then
	echo "left out: what verify-bundle says of the public suite sigstore-conformance, which is not here (PEDIGREE_CONFORMANCE names its folder)" >&2
fi
if [ "$(id -u)" -eq 0 ]; then
	echo "left out: the test of unreadable files, because root reads everything" >&2
fi

missing=()
for program in git openssl docker-registry chromium dot:graphviz softhsm2-util:softhsm2 pkcs11-tool:opensc cc:build-essential; do
	command -v "${program%%:*}" >/dev/null || missing+=("${program##*:}")
done
if [ ${#missing[@]} -eq 0 ]; then
	exit 0
fi
if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
	echo "installing: ${missing[*]}"
	if apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"; then
		exit 0
	fi
fi
echo "left out, because it cannot be installed here: the tests that need ${missing[*]}" >&2
