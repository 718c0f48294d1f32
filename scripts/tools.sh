#!/bin/sh
# Installs the programs that tests start, where Debian's package manager is there
# and may be used. Elsewhere it says which tests will be skipped, and is content:
#   scripts/tools.sh redis-server
set -eu
for tool; do
  command -v "$tool" >/dev/null 2>&1 && continue
  if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    echo "installing $tool"
    # RUNLEVEL=1 keeps Debian from starting it as a service: the tests start their own.
    if { apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$tool"; } >/dev/null 2>&1 &&
      command -v "$tool" >/dev/null 2>&1; then
      continue
    fi
  fi
  echo "$tool is not installed: the tests that need it are skipped (on Debian: apt-get install $tool)"
done
