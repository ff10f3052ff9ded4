# SPDX-License-Identifier: LGPL-2.1-or-later
"""Keys made for one test."""
import os
import pathlib
import tempfile

from .programs import run


class Key:
    def __init__(self, mail, expire="0"):
        # Sockets of gpg-agent need a short path.
        self._folder = tempfile.TemporaryDirectory(prefix="gpg-", dir="/tmp")
        self.home = pathlib.Path(self._folder.name)
        os.chmod(self.home, 0o700)
        self.gpg("--quick-generate-key", f"Test <{mail}>", "ed25519", "sign", expire)
        listing = self.gpg("--list-keys", "--with-colons").stdout
        self.key = next(line.split(":")[9] for line in listing.splitlines()
                        if line.startswith("fpr:"))

    def gpg(self, *argv, **kwargs):
        return run("gpg", "--homedir", self.home, "--batch", "--yes", "--passphrase", "", "--quiet",
                   *argv, **kwargs)

    def public(self, path):
        path.write_text(self.gpg("--armor", "--export").stdout)
        return path

    def close(self):
        run("gpgconf", "--homedir", self.home, "--kill", "all", check=False)
        self._folder.cleanup()
