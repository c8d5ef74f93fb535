#!/usr/bin/env bash
# Holds our FOCUS exports to the public validator (make focus-validate). It is
# installed into a directory of its own, from requirements.txt. It needs Python
# 3.12 or later: without one this is skipped, loudly, and in CI it fails.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=$PWD/tools/focus

python=
for candidate in "${PYTHON:-}" python3 python3.13 python3.12 "$HOME"/.pyenv/versions/3.1[2-9]*/bin/python /usr/bin/python3; do
	[ -n "$candidate" ] || continue
	# 3.14 and later lack wheels of what the validator pins.
	if "$candidate" -c 'import sys; sys.exit(not (3, 12) <= sys.version_info < (3, 14))' 2>/dev/null; then
		python=$candidate
		break
	fi
done
skip() {
	echo "focus-validate: $1"
	[ "${CI:-}" = true ] && exit 1
	echo "focus-validate: SKIPPED: the FOCUS exports were NOT held to the public validator"
	exit 0
}
[ -n "$python" ] || skip "no Python 3.12 or 3.13 was found (set PYTHON)"

venv=${XDG_CACHE_HOME:-$HOME/.cache}/switchyard/focus-$(cksum <"$here/requirements.txt" | cut -d' ' -f1)
if [ ! -e "$venv/ready" ]; then
	rm -rf "$venv"
	"$python" -m venv "$venv"
	"$venv/bin/pip" install -q --disable-pip-version-check -r "$here/requirements.txt" || skip "the validator could not be installed"
	touch "$venv/ready"
fi

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
${GO:-go} test -count=1 ./internal/cli -run '^TestFocusExports$' -focus.out "$out"
"$venv/bin/python" "$here/judge.py" "$venv/bin/focus-validator" "$out" "$here/accepted.txt"
