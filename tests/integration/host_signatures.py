# SPDX-License-Identifier: LGPL-2.1-or-later
"""GPG: signed commits are taken and shown, all others refused with nothing left behind."""
import unittest

from support.gpg import Key
from support.host import HostTest
from support.programs import run


class Signatures(HostTest):
    def setUp(self):
        self.key = Key("release@example.com")
        self.addCleanup(self.key.close)
        super().setUp()

    def publish(self, number, sign=True, **kwargs):
        return super().publish(number, sign=self.key if sign is True else sign or None, **kwargs)

    def install(self):
        public = self.key.public(self.folder / "key.asc")
        self.host.install("small", self.server.url,
                          options=("--set=gpg-verify=true", f"--gpg-import={public}"))

    def refused(self, *parts):
        self.assertFails(self.host.atomic("upgrade", check=False), *parts)
        self.assertEqual([c for _, c, _ in self.host.deployments()], [self.release1])
        ref = self.host.ostree("rev-parse", "origin:os/x86_64/stable").stdout.strip()
        self.assertEqual(ref, self.release1)

    def test_a_good_signature_is_taken_and_shown(self):
        release2 = self.publish(2)
        self.host.atomic("upgrade")
        self.assertEqual(self.host.deployments()[0][1], release2)
        text = self.host.atomic("status").stdout
        self.assertEqual(text.count(f"GPGSignature: Valid signature by {self.key.key}"), 2)
        deployment = self.host.status()["deployments"][0]
        self.assertTrue(deployment["gpg-enabled"])
        [signature] = deployment["signatures"]
        self.assertEqual((signature[0], signature[5], signature[11]),
                         (True, self.key.key, "release@example.com"))

    def test_unsigned(self):
        self.publish(2, sign=False)
        self.refused("GPG")

    def test_signed_by_somebody_else(self):
        other = Key("other@example.com")
        self.addCleanup(other.close)
        self.publish(2, sign=other)
        self.refused("public key not found")

    def test_an_expired_key(self):
        # Made and used when it was valid, looked at later.
        self.key.gpg("--quick-set-expire", self.key.key, "seconds=1")
        self.publish(2)
        public = self.key.public(self.folder / "expired.asc")
        run("touch", "-d", "2001-01-01", public)
        keyring = self.host.repo / "origin.trustedkeys.gpg"
        keyring.unlink()
        self.host.ostree("remote", "gpg-import", "origin", "-k", public)
        self.wait_until_expired()
        self.host.atomic("reload")
        self.refused("expired")

    def wait_until_expired(self):
        for _ in range(1000):
            if ":e:" in "".join(line[:8] for line in self.key.gpg(
                    "--list-keys", "--with-colons").stdout.splitlines()):
                return
        self.fail("the key never expires")

    def test_an_unsigned_commit_that_is_deployed_already_is_shown_as_such(self):
        self.publish(2, sign=False)
        self.host.ostree("remote", "add", "plain", self.server.url, "--no-gpg-verify")
        self.host.ostree("pull", "plain", "os/x86_64/stable")
        self.host.ostree("refs", "--create=origin:os/x86_64/stable", "--force",
                         "plain:os/x86_64/stable")
        self.host.admin("deploy", "--os=small", "origin:os/x86_64/stable")
        self.host.atomic("reload")
        self.assertIn("GPGSignature: (unsigned)", self.host.atomic("status").stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)
