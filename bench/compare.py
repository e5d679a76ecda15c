"""Two files that scaling.py has written, cell by cell.

    python bench/compare.py OLD.json NEW.json

A change is marked where it is larger than both spreads together (half the distance between the quartiles of repeated
calls); machines that are shared drift by more than that, so look at the other rows before you believe one.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any


def figures(path: Path) -> tuple[dict[str, str], dict[tuple[str, int, str], dict[str, Any]]]:
    result = json.loads(path.read_text())
    cells = {(c["panel"], c["x"], f["who"]): f for c in result["cells"] for f in c["figures"]}
    return result["machine"], cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    options = parser.parse_args()
    (old_machine, old), (new_machine, new) = figures(options.old), figures(options.new)
    for name in old_machine.keys() | new_machine.keys():
        if old_machine.get(name) != new_machine.get(name):
            print(f"{name}: {old_machine.get(name)} -> {new_machine.get(name)}")
    print(f"\n{'cell':32} {'who':18} {'old us':>12} {'new us':>12} {'new/old':>8}")
    for key in old:
        if key not in new:
            continue
        panel, x, who = key
        before, after = old[key], new[key]
        beyond = abs(after["seconds"] - before["seconds"]) > before["spread"] + after["spread"]
        ratio = after["seconds"] / before["seconds"]
        mark = ("slower" if ratio > 1 else "faster") if beyond else ""
        times = f"{before['seconds'] * 1e6:12,.3f} {after['seconds'] * 1e6:12,.3f}"
        print(f"{f'{panel} = {x}':32} {who:18} {times} {ratio:8.2f} {mark}")
    for title, lost in (
        ("only in the old file", old.keys() - new.keys()),
        ("only in the new file", new.keys() - old.keys()),
    ):
        if lost:
            print(f"{title}: " + ", ".join(f"{panel} = {x} {who}" for panel, x, who in sorted(lost)))


if __name__ == "__main__":
    main()
