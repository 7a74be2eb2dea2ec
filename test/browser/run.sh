#!/usr/bin/env bash
#
# Looks at the pages of kubectl entrust in a real Chromium. Installs what it needs and says so: Chromium and node from Debian as
# root, two npm packages of pinned versions into this directory. What cannot be had makes it fail and say what is missing.

set -euo pipefail
cd "$(dirname "$0")"

missing() {
  echo "The pages were not looked at: $1." >&2
  exit 1
}

packages=()
chromium=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}
[[ -n $chromium ]] || packages+=(chromium)
command -v node >/dev/null || packages+=(nodejs)
command -v npm >/dev/null || packages+=(npm)
if ((${#packages[@]})); then
  command -v apt-get >/dev/null && ((EUID == 0)) || missing "${packages[*]} is not installed, and only root on Debian can install it here"
  echo "Installing ${packages[*]}"
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${packages[@]}" fonts-dejavu-core; } >/dev/null ||
    missing "apt-get could not install ${packages[*]}"
  chromium=${chromium:-$(command -v chromium)}
fi
if [[ package-lock.json -nt node_modules/.package-lock.json ]]; then
  echo "Installing the npm packages of test/browser"
  npm ci --no-audit --no-fund --silent || missing "npm could not install the packages of test/browser"
fi

pages=$(mktemp -d)
trap 'rm -rf "$pages"' EXIT
(cd ../.. && go run ./test/browser/pages "$pages")
PAGES=$pages CHROMIUM=$chromium node --test --test-reporter=spec browser.test.js
