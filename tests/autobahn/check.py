#!/usr/bin/env python3
"""Judges the reports of one wstest run: `check.py REPORTS_DIR`; exits 1 and lists what is wrong.

wstest itself always exits 0, also when no server answered, and calls a case "OK" that stood still
for 100 s. Here every case of sections 1-7, 9 and 10 must have run, be strictly right in behaviour
and in closing (NON-STRICT is a failure), and end within STALL_MS.
"""

import json
import pathlib
import sys

# Cases per section of autobahntestsuite 25.10.1 (section 8 is empty, 12 and 13 are compression).
CASES = {1: 16, 2: 11, 3: 7, 4: 10, 5: 20, 6: 145, 7: 37, 9: 54, 10: 1}
# The suite only observes in these: there is no right or wrong.
INFORMATIONAL = {"7.1.6", "7.13.1", "7.13.2"}
STALL_MS = 30_000


def faults_of(case, result):
    """Everything wrong with one case's result, as text."""
    faults = []
    for field in ("behavior", "behaviorClose"):
        value = result.get(field)
        good = value == "OK" or (value == "INFORMATIONAL" and case in INFORMATIONAL)
        if not good:
            faults.append(f"{case}: {field} is {value}")
    if result.get("duration", STALL_MS + 1) > STALL_MS:
        faults.append(f"{case}: took {result.get('duration')} ms, the limit is {STALL_MS}")
    return faults


def judge(index):
    """All faults of an index.json that holds one agent."""
    if len(index) != 1:
        return [f"expected the results of one server, found {len(index)}: was it up?"]
    (results,) = index.values()
    ran = dict.fromkeys(CASES, 0)
    for case in results:
        section = int(case.split(".")[0])
        ran[section] = ran.get(section, 0) + 1
    faults = [
        f"section {section}: {ran.get(section, 0)} cases ran, expected {CASES.get(section, 0)}"
        for section in sorted(ran)
        if ran[section] != CASES.get(section, 0)
    ]
    for case in results:
        faults += faults_of(case, results[case])
    return faults


def main():
    path = pathlib.Path(sys.argv[1]) / "index.json"
    if not path.exists():
        print(f"{path} is not there: wstest was ended before its reports were written")
        return 1
    faults = judge(json.loads(path.read_text()))
    print("\n".join(faults) if faults else f"{sum(CASES.values())} cases, all strictly right")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
