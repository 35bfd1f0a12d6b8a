"""Whether template.yaml, samconfig.toml, env.example.json and events/ keep their promises (rows.py), and whether that
would be seen if they did not (mutants.py)."""

import pathlib
import sys

from mutants import MUTANTS, mutated
from project import Project
from rows import ROWS


def found(actual, project):
    try:
        return actual(project)
    except (AssertionError, KeyError, IndexError, StopIteration, TypeError, ValueError, AttributeError) as error:
        return f"{type(error).__name__}: {error}"  # what is asked about is not there


project = Project.read(pathlib.Path(__file__).parents[2])
broken = 0
for sentence, actual, expected in ROWS:
    answer = found(actual, project)
    if answer != expected:
        broken += 1
        print(f"BROKEN: {sentence}\n  expected {expected!r}\n  found    {answer!r}")

rows = {sentence: (actual, expected) for sentence, actual, expected in ROWS}
untested = set(rows) - {sentence for sentence, *_ in MUTANTS}
survivors = [m for m in MUTANTS if found(rows[m[0]][0], mutated(project, *m[1:])) == rows[m[0]][1]]
for sentence in sorted(untested):
    print(f"UNTESTED: no mutant is for {sentence!r}")
for sentence, place, old, new in survivors:
    print(f"SURVIVED: {sentence!r} holds with {new!r} for {old!r} in {place}")

print(
    f"{len(ROWS) - broken} of {len(ROWS)} promises kept; {len(MUTANTS) - len(survivors)} of {len(MUTANTS)} broken on purpose were seen"
)
sys.exit(bool(broken or untested or survivors or len(rows) != len(ROWS)))
