"""Runs the public FOCUS validator on the exports in a directory and judges what
it lists as failures against accepted.txt. The validator itself ends with 0
whatever it finds.

usage: judge.py VALIDATOR DIRECTORY ACCEPTED
"""

import csv
import glob
import os
import re
import subprocess
import sys

import focus_validator
import pyarrow
import pyarrow.parquet

LEAST_RULES = 300  # that must pass: fewer, and the rules did not run


def merged(directory):
    """Joins the exports of all scenarios to one file of each form."""
    rows, header = [], None
    for path in sorted(glob.glob(os.path.join(directory, "*.csv"))):
        with open(path, newline="") as file:
            lines = csv.reader(file)
            first = next(lines)
            if header not in (None, first):
                sys.exit(f"{path}: its columns are not those of the other files")
            header = first
            rows.extend(lines)
    whole = os.path.join(directory, "all")
    os.makedirs(whole, exist_ok=True)
    with open(os.path.join(whole, "all.csv"), "w", newline="") as file:
        out = csv.writer(file)
        out.writerow(header)
        out.writerows(rows)
    tables = [pyarrow.parquet.read_table(p) for p in sorted(glob.glob(os.path.join(directory, "*.parquet")))]
    table = pyarrow.concat_tables(tables)
    if table.num_rows != len(rows):
        sys.exit(f"{table.num_rows} rows in Parquet, {len(rows)} in CSV")
    pyarrow.parquet.write_table(table, os.path.join(whole, "all.parquet"))
    print(f"{len(tables)} exports, {len(rows)} rows")
    return [os.path.join(whole, "all.csv"), os.path.join(whole, "all.parquet")]


def validated(validator, path):
    """Returns the validator's counts, its failures with their messages, and why it skipped rules."""
    # It opens one of its own files by a path relative to where it is installed.
    home = os.path.dirname(os.path.dirname(focus_validator.__file__))
    done = subprocess.run(
        [validator, "--data-file", path, "--validate-version", "1.2", "--block-download", "--show-violations",
         "--applicability-criteria", "ALL"], cwd=home, capture_output=True, text=True)
    text = done.stdout
    found = re.search(r"Total: (\d+) \| Pass: (\d+) \| Fail: (\d+) \| Skipped: (\d+)", text)
    if done.returncode != 0 or not found:
        sys.exit(f"{path}: the validator did not run\n{text[-2000:]}\n{done.stderr[-4000:]}")
    failures = dict(re.findall(r"^❌ (\S+): FAIL \s*\((.*)\)$", text, re.M))
    detail = text[text.find("--- Failures ---"):] if failures else ""
    if len(failures) != int(found[3]):
        sys.exit(f"{path}: {found[3]} failures are counted and {len(failures)} listed")
    skipped = {}
    for reason in re.findall(r"SKIPPED .*?reason=(?:Rule skipped - )?([^,]*)", text):
        skipped[reason] = skipped.get(reason, 0) + 1
    return tuple(int(n) for n in found.groups()), failures, detail, skipped


def follows(message, accepted):
    """Whether a rule fails for nothing but accepted rules that it is made of."""
    parts = re.search(r"failed child rules: \[([^\]]*)\]", message)
    return parts is not None and all(name.strip() in accepted for name in parts[1].split(","))


def main():
    validator, directory, path = sys.argv[1:]
    with open(path) as file:
        lines = [line.split(None, 1) for line in file if line.strip() and not line.startswith("#")]
    listed = {line[0] for line in lines}
    if any(len(line) < 2 for line in lines):
        sys.exit(f"{path}: a rule is accepted without a reason")
    bad = False
    for file in merged(os.path.abspath(directory)):
        (total, passed, failed, _), failures, detail, skipped = validated(validator, file)
        accepted = set(listed)
        while True:
            more = {rule for rule, message in failures.items() if rule not in accepted and follows(message, accepted)}
            if not more:
                break
            accepted |= more
        print(f"{os.path.basename(file)}: {total} rules, {passed} pass, {failed} fail, of which {len(accepted & set(failures))} are accepted")
        for reason, count in sorted(skipped.items()):
            print(f"  {count} skipped: {reason}")
        wrong = sorted(set(failures) - accepted)
        for rule in wrong:
            print(f"  FAIL {rule}: {failures[rule]}")
        if wrong:
            print(detail)
        gone = sorted(listed - set(failures))
        for rule in gone:
            print(f"  {rule} no longer fails: take it out of {os.path.basename(path)}")
        bad = bad or bool(wrong or gone) or passed < LEAST_RULES
        if passed < LEAST_RULES:
            print(f"  only {passed} rules passed, at least {LEAST_RULES} must")
    sys.exit(1 if bad else 0)


main()
