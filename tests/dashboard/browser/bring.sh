#!/usr/bin/env bash
# Bring Debian's chromium for the tests that look at the dashboard in a real browser. Where one is there, nothing is
# done; where none can be brought, it says why and ends with 1, and those tests are skipped by name.
set -euo pipefail

for name in chromium chromium-browser google-chrome google-chrome-stable; do
  if command -v "$name" >/dev/null; then
    exit 0
  fi
done

cannot() {
  echo "make browser: no chromium here, and $1: the tests in a browser are skipped" >&2
  exit 1
}

command -v apt-get >/dev/null || cannot "no apt-get to bring one"
if [ "$(id -u)" -eq 0 ]; then
  may=()
elif command -v sudo >/dev/null && sudo --non-interactive true 2>/dev/null; then
  may=(sudo --non-interactive)
else
  cannot "this user may not install packages"
fi

# An index of its own: what is on the machine may be old or damaged, and stays as it is.
lists=$(mktemp -d)
trap 'rm -rf "$lists" 2>/dev/null || "${may[@]}" rm -rf "$lists"' EXIT
chmod 755 "$lists"
mkdir "$lists/partial"
apt() {
  "${may[@]}" env DEBIAN_FRONTEND=noninteractive timeout --kill-after=10 "$@"
}
options=(-qq -o "Dir::State::lists=$lists" -o Acquire::Retries=1 -o Acquire::http::Timeout=20 -o DPkg::Lock::Timeout=60)
apt 180 apt-get "${options[@]}" update || cannot "apt-get update failed"
apt 900 apt-get "${options[@]}" install --yes --no-install-recommends chromium fonts-liberation >/dev/null ||
  cannot "apt-get install failed"
command -v chromium >/dev/null || cannot "the package has brought none"
