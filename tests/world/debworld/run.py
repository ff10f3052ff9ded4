"""Running other programs, with errors that say which program failed and how."""

import shutil
import subprocess

from . import WorldError

# program -> Debian package that has it
TOOLS = {
    "apt-get": "apt",
    "apt-cache": "apt",
    "bwrap": "bubblewrap",
    "createrepo_c": "createrepo-c",
    "dpkg-deb": "dpkg",
    "gpg": "gnupg",
    "gpgconf": "gpgconf",
    "openssl": "openssl",
    "rpm": "rpm",
    "rpmbuild": "rpm",
    "rpmsign": "rpm",
}


def require_tools(tools=tuple(TOOLS)):
    """Fail at once, and completely, when programs are missing."""
    missing = [tool for tool in tools if not shutil.which(tool)]
    if missing:
        packages = " ".join(sorted({TOOLS.get(tool, tool) for tool in missing}))
        raise WorldError(f"missing programs: {', '.join(missing)}; try: apt-get install {packages}")


def run(argv, doing, **kwargs):
    """Run argv and return its standard output; on failure show the last lines it said."""
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, errors="replace", check=False, **kwargs)
    except OSError as error:
        raise WorldError(f"{doing}: {argv[0]}: {error.strerror}") from error
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip().splitlines()[-12:]
        command = " ".join(argv) if len(argv) < 12 else f"{' '.join(argv[:4])} ... {argv[-1]}"
        raise WorldError(f"{doing}: {command}: exit {done.returncode}\n    "
                         + "\n    ".join(said))
    return done.stdout
