#!/usr/bin/env python3
"""Print how many tests passed and failed in the last `meson test` runs of the given build folders."""
import json
import pathlib
import sys

passed = failed = 0
for folder in sys.argv[1:]:
    for log in sorted(pathlib.Path(folder, "meson-logs").glob("testlog*.json")):
        for line in log.read_text().splitlines():
            result = json.loads(line).get("result")
            if result in ("OK", "EXPECTEDFAIL"):
                passed += 1
            else:
                failed += 1
print(f"{passed} passed, {failed} failed")
sys.exit(failed != 0)
