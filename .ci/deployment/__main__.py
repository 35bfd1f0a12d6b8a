"""Checks that the files of a deployment agree with each other and with the code, and that each check can fail.

Every check (checks.py) comes with a mutant: one edit that breaks what it checks. A check that passes on its mutant
does not check anything, so that is an error too.
"""

import pathlib
import sys

from checks import CHECKS
from files import Files


MISSING = (AssertionError, AttributeError, LookupError, OSError, StopIteration, TypeError, ValueError)


def run(check, files):
    """Returns the problems that a check finds. A file or key that is missing is a problem, not a crash."""
    try:
        return check(files)
    except MISSING as error:
        return [f"{type(error).__name__}: {error}"]


files = Files(pathlib.Path(__file__).parents[2])
failed = 0
for check, mutant in CHECKS:
    problems = run(check, files)
    if not problems:
        path, old, _ = mutant
        if old not in files.text(path):
            problems = [f"its mutant does not apply: {old!r} is not in {path}"]
        elif not run(check, files.with_mutant(*mutant)):
            problems = [f"it passes on its mutant: {mutant}"]
    if problems:
        failed += 1
        print(f"FAILED {check.__name__}: {check.__doc__}")
        print(*(f"  {problem}" for problem in problems), sep="\n")
print(f"{len(CHECKS) - failed} of {len(CHECKS)} checks of the deployment passed, each with its mutant caught")
sys.exit(bool(failed))
