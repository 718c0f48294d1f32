#!/bin/sh
# Runs the unmodified Voice SDK in Debian's Chromium against the emulated voice
# edge. Needs Go and Node 20; installs Chromium where it is missing and may.
set -eu
cd "$(dirname "$0")"

chromium=${CHROMIUM:-$(command -v chromium || true)}
if [ -z "$chromium" ]; then
  apt-get update && apt-get install -y --no-install-recommends chromium
  chromium=$(command -v chromium)
fi
[ -d node_modules/@twilio/voice-sdk ] || npm ci --no-audit --no-fund

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
go build -buildvcs=false -o "$work/edge" ./edge
EDGE_BINARY="$work/edge" CHROMIUM="$chromium" node --test --test-timeout=120000 call.test.mjs
