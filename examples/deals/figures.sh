#!/bin/sh
# Regenerates every figure of docs/deals.md. A difference shows in git. Solves end
# at their gap, not at a time, so that the same figures come out of any machine.
set -eu
cd "$(dirname "$0")/../.."
yard=${YARD:-"go run ./cmd/yard"}
state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
mkdir -p docs/deals
plan() { # DATE FILE [more flags]
	date=$1 out=$2
	shift 2
	$yard plan examples/deals/portfolio.yaml --as-of "$date" --gap 0.003 --time-limit 30m --state-dir "$state" --out "$state/$out.json" "$@" >/dev/null
	$yard plan show "$state/$out.json" >"docs/deals/$out.txt"
}
plan 2025-12-17 2025-12-17
plan 2026-11-21 2026-11-21
$yard stress "$state/2025-12-17.json" --gap 0.01 --time-limit 30m --state-dir "$state" >docs/deals/stress.txt
$yard leverage "$state/2025-12-17.json" --gap 0.005 --time-limit 30m --state-dir "$state" >docs/deals/leverage.txt
