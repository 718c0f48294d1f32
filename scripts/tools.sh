#!/bin/sh
# Installs the programs that tests start, where Debian's package manager is there
# and may be used. Elsewhere it says which tests will be skipped, and is content:
#   scripts/tools.sh redis-server
set -eu

# A font is no command.
has() {
  case $1 in
    fonts-*) ! command -v dpkg-query >/dev/null 2>&1 || dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed ;;
    *) command -v "$1" >/dev/null 2>&1 ;;
  esac
}

for tool; do
  has "$tool" && continue
  if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    echo "installing $tool"
    # RUNLEVEL=1 keeps Debian from starting it as a service: the tests start their own.
    if { apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$tool"; } >/dev/null 2>&1 &&
      has "$tool"; then
      continue
    fi
  fi
  echo "$tool is not installed: the tests that need it are skipped (on Debian: apt-get install $tool)"
done
