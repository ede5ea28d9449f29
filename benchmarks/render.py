"""Takes measured figures into the documentation: JSON of gpu_campaign.py and run.py -> tables between two markers.

    python benchmarks/render.py logs/gpu_campaign/campaign.json
    python benchmarks/render.py all.json peers.json

The campaign's figures stand between `<!-- figures: gpu_campaign -->` and `<!-- end of figures -->` in
docs/benchmarks.md, those of run.py between `<!-- figures: run -->` and the same end. What stands there is replaced.
A rehearsal's figures (--tiny) are refused.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

if not __package__:  # run as a file: the packages are one folder up
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from utils.cli import exit_code, start
from utils.errors import UserError
from utils.files import write_file

PAGE = Path(__file__).resolve().parents[1] / "docs/benchmarks.md"
END = "<!-- end of figures -->"
HIDDEN = {"state", "right"}  # of a row, told by what stands in it or beside it
Row = Mapping[str, Any]


def markdown(rows: Sequence[Row]) -> str:
    """A table with the columns of all rows, in the order in which they come."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(text(row.get(key, "")) for key in columns) + " |" for row in rows]
    return "\n".join(lines)


def text(value: Any) -> str:
    """A cell: three digits of a number."""
    if isinstance(value, bool) or not isinstance(value, float):
        return str(value).replace("|", "/")
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def pair_row(result: Row) -> Row:
    """The row of a pair that run.py measures: the other side's figure, then ours."""
    sides = result["baseline"], result["ours"]
    about = (result["what"], result.get("arch", ""), result.get("dtype", ""), "x".join(map(str, result["size"])))
    shares = (f"{100 * side['share']:.0f} %" if "share" in side else "-" for side in sides)
    return {
        "what": " ".join(filter(None, about)),
        "against": result["against"],
        "ms": _ms(sides[0]),
        "ours": _ms(sides[1]),
        "ratio": result["ratio"],
        "MiB / ours": " / ".join(map(_mib, sides)),
        "of the machine's best / ours": " / ".join(shares),
    }


def _ms(side: Row) -> str:
    low, median, high = (1e3 * side[key] for key in ("low", "median", "high"))
    return f"{median:.4g} ({low:.4g} to {high:.4g})"


def _mib(side: Row) -> str:
    return f"{side['memory'] / 2**20:.0f}" if side["memory"] else "-"


def hardware(found: Row) -> str:
    """A line on what the figures depend on."""
    return ", ".join(f"{key} {value}" for key, value in found.items())


def of_pairs(results: Iterable[Row]) -> str:
    """The table of what run.py has measured, with hardware and commands."""
    pairs = [one for one in results if "ratio" in one]
    lines = [markdown([pair_row(one) for one in pairs]), ""]
    clocks = " and ".join(dict.fromkeys(one.get("clock", "wall") for one in pairs))
    lines.append(f"Median (quartiles) of a unit of work, in {clocks} time; ratio of the medians.")
    lines += [f"{line}." for line in dict.fromkeys(hardware(one["hardware"]) for one in pairs)]
    commands = dict.fromkeys(one["command"] for one in pairs if one.get("command"))
    return "\n".join([*lines, "", "```", *(f"python {command}" for command in commands), "```"])


def of_campaign(record: Row) -> str:
    """The tables of a campaign, one a stage, with hardware and date."""
    parts = [f"{record['started'][:10]}, {hardware(record['hardware'])}."]
    for stage, rows in record["stages"].items():
        done = {name: row for name, row in rows.items() if row["state"] == "done"}
        pairs = [pair_row(row) for row in done.values() if "baseline" in row]
        plain = [{"": name, **_shown(row)} for name, row in done.items() if "baseline" not in row]
        parts += [f"**{stage}**", *(markdown(part) for part in (pairs, plain) if part)]
        missing = [f"{name}: {row['state']}, {row['why']}" for name, row in rows.items() if row["state"] != "done"]
        parts += ["Not measured: " + "; ".join(missing) + "."] if missing else []
    return "\n\n".join(parts)


def _shown(row: Row) -> Row:
    wrong = {"verdict": "wrong"} if row.get("right") is False else {}
    return {key: value for key, value in row.items() if key not in HIDDEN} | wrong


def placed(page: str, name: str, figures: str) -> str:
    """The page with `figures` between the markers of `name`; UserError where they are not there."""
    begin = f"<!-- figures: {name} -->"
    before, found, rest = page.partition(begin)
    _, ended, after = rest.partition(END)
    if not found or not ended:
        raise UserError(f"the page has no lines {begin!r} and {END!r} behind it: write them where the figures belong")
    return f"{before}{begin}\n\n{figures}\n\n{END}{after}"


def read(files: Sequence[Path]) -> dict[str, str]:
    """{markers' name: figures} of JSON files. UserError for a rehearsal, or another file."""
    pairs: list[Row] = []
    found = {}
    for file in files:
        record = json.loads(file.read_text(encoding="utf-8"))
        if "campaign" in record:
            if record["tiny"]:
                raise UserError(f"{file} is a rehearsal (--tiny): its figures say nothing of a GPU")
            found["gpu_campaign"] = of_campaign(record)
        elif "results" in record or "ratio" in record:
            pairs += record.get("results", [record])
        else:
            raise UserError(f"{file} is neither of benchmarks/run.py nor of benchmarks/gpu_campaign.py")
    return found | ({"run": of_pairs(pairs)} if pairs else {})


def render(files: Sequence[Path], page: Path) -> None:
    """Write the figures of the files into the page."""
    old = page.read_text(encoding="utf-8")
    for name, figures in read(files).items():
        old = placed(old, name, figures)
        print(f"{page}: the figures of {name} are in")
    write_file(page, old.encode())


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line: 0, or 2 with one line for a user's mistake."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("files", type=Path, nargs="+", help="JSON of run.py --out or gpu_campaign.py")
    flags.add_argument("--page", type=Path, default=PAGE, help="page to write into [docs/benchmarks.md]")
    args = flags.parse_args(argv)
    return exit_code(lambda: render(args.files, args.page))


if __name__ == "__main__":
    sys.exit(start(main))
