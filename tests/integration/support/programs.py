# SPDX-License-Identifier: LGPL-2.1-or-later
"""Running programs."""
import os
import subprocess

ATOMIC = os.environ["ATOMIC"]
ATOMICD = os.environ["ATOMICD"]
TIMEOUT = 300  # for any one command; a bound, never waited out


class Failed(AssertionError):
    pass


def run(*argv, check=True, env=None, stdin=None, cwd=None, user=None):
    """Run to the end; the result has returncode, stdout, stderr (text)."""
    result = subprocess.run([str(a) for a in argv], input=stdin, capture_output=True,
                            timeout=TIMEOUT, env={**os.environ, **(env or {})}, cwd=cwd, user=user,
                            text=True, errors="surrogateescape")
    if check and result.returncode != 0:
        raise Failed(f"{' '.join(map(str, argv))}: exit status {result.returncode}\n"
                     f"{result.stdout}{result.stderr}")
    return result


def output(*argv, **kwargs):
    return run(*argv, **kwargs).stdout
