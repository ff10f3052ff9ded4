# SPDX-License-Identifier: LGPL-2.1-or-later
"""A host that runs from its sysroot: updates are staged and become real at shutdown. The daemon
runs with the deployment as its root, in a mount namespace; reboots go to a stand-in."""
import os
import subprocess
import unittest

from support.host import NAME, HostTest
from support.programs import ATOMICD, run

# What the initramfs does, and a /usr with the programs that the tests need.
BOOT = r"""
set -e
cd "$DEPLOYMENT"
mount --bind . .
cd "$DEPLOYMENT"
mount --bind "$SYSROOT" sysroot
mount --bind "$SYSROOT/boot" boot
mount --bind "$SYSROOT/ostree/deploy/small/var" var
mount --rbind /usr usr
mount --rbind /dev dev
mount -t proc proc proc
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mkdir -p run/ostree run/programs run/stand-ins ".$FOLDER"
touch run/ostree-booted
mount --bind "$FOLDER" ".$FOLDER"
mount --bind "$PROGRAMS" run/programs
printf '#!/bin/sh\necho "$*" >> %s/systemctl.log\n' "$FOLDER" > run/stand-ins/systemctl
chmod +x run/stand-ins/systemctl
export PATH=/run/stand-ins:/usr/bin:/usr/sbin
exec chroot . /run/programs/atomicd --config="$FOLDER/host/daemon.conf" \
  --runtime-directory="$FOLDER/host/run"
"""


@unittest.skipUnless(os.geteuid() == 0, "needs root, for mounts")
class Booted(HostTest):
    def setUp(self):
        super().setUp()
        self.boot()

    def boot(self):
        """Run the first deployment."""
        self.host.stop()
        self.host.log = open(self.host.folder / "daemon.log", "ab")
        self.host.daemon = subprocess.Popen(
            ["unshare", "--mount", "--propagation=private", "sh", "-c", BOOT],
            env={**os.environ, **self.host.env,
                 "OSTREE_SYSROOT_DEBUG": "mutable-deployments,test-staged-path",
                 "DEPLOYMENT": str(self.host.deployment_path()), "SYSROOT": str(self.host.sysroot),
                 "FOLDER": str(self.folder), "PROGRAMS": os.path.dirname(ATOMICD)},
            stdout=self.host.log, stderr=self.host.log)
        run("gdbus", "wait", "--system", "--timeout=120", NAME, env=self.host.env)

    def inside(self, *argv, **kwargs):
        """Run a program on the booted host."""
        return run("nsenter", f"--target={self.host.daemon.pid}", "--mount", "--root", "--wd=/",
                   *argv, env={"OSTREE_SYSROOT_DEBUG": "mutable-deployments"}, **kwargs)

    def shut_down(self):
        """What ostree-finalize-staged.service does; then the next boot."""
        if "staged" in self.inside("ostree", "admin", "status").stdout:
            # It looks at process 1, which is not always ours to look at.
            self.inside("unshare", "--pid", "--fork", "--mount-proc",
                        "ostree", "admin", "finalize-staged")
        self.boot()

    def systemctl(self):
        log = self.folder / "systemctl.log"
        return log.read_text().splitlines() if log.exists() else []

    def flags(self):
        return [(d["version"], d["booted"], d["staged"]) for d in self.host.status()["deployments"]]

    def test_an_update_is_staged_and_real_after_the_next_boot(self):
        self.assertEqual(self.flags(), [("1.0", True, False)])
        self.assertIn("* origin:", self.host.atomic("status", env={"LC_ALL": "C"}).stdout)
        self.assertEqual(self.host.atomic("status", "--pending-exit-77").returncode, 0)
        release2 = self.publish(2)
        text = self.host.atomic("upgrade").stdout
        self.assertIn('Run "systemctl reboot" to start a reboot', text)
        self.assertEqual(self.flags(), [("2.0", False, True), ("1.0", True, False)])
        self.assertEqual(self.host.atomic("status", "--pending-exit-77", check=False).returncode, 77)
        self.assertIn("(staged)", self.inside("ostree", "admin", "status").stdout)
        self.assertEqual(len(self.host.status("--booted")["deployments"]), 1)
        # The merge takes what is in /etc at shutdown.
        (self.host.deployment_path() / "etc/late").write_text("late\n")
        self.assertFails(self.host.atomic("rollback", check=False),
                         "Staged deployment (remove with cleanup -p)")
        self.shut_down()
        self.assertEqual(self.flags(), [("2.0", True, False), ("1.0", False, False)])
        self.assertEqual(self.host.deployments()[0][1], release2)
        self.assertEqual((self.host.deployment_path() / "etc/late").read_text(), "late\n")
        self.host.atomic("rollback")
        self.assertEqual(self.flags(), [("1.0", False, False), ("2.0", True, False)])
        self.host.atomic("rollback")
        self.assertEqual(self.flags()[0], ("2.0", True, False), "twice is an undo")
        self.host.fsck()

    def test_a_staged_update_can_be_dropped(self):
        self.publish(2)
        self.host.atomic("upgrade")
        self.host.atomic("cleanup", "-p")
        self.assertEqual(self.flags(), [("1.0", True, False)])
        self.assertFails(self.host.atomic("pin", "1", check=False), "'1'")
        self.shut_down()
        self.assertEqual(self.flags(), [("1.0", True, False)])

    def test_finalization_can_be_locked(self):
        release2 = self.publish(2)
        self.host.atomic("upgrade", "--lock-finalization")
        self.assertTrue(self.host.status()["deployments"][0]["finalization-locked"])
        self.assertFails(self.host.atomic("finalize-deployment", check=False), "CHECKSUM")
        self.assertFails(self.host.atomic("finalize-deployment", "0" * 64, check=False),
                         "Expected staged base checksum", release2)
        self.assertEqual(self.systemctl(), [])
        self.host.atomic("finalize-deployment", release2, check=False)
        self.assertEqual(self.systemctl(), ["reboot"])
        self.shut_down()
        self.assertEqual(self.flags()[0], ("2.0", True, False))
        self.assertFails(self.host.atomic("finalize-deployment", release2, check=False),
                         "No staged deployment")

    def test_reboot_when_all_is_in_place(self):
        self.publish(2)
        self.host.atomic("upgrade", "--reboot", check=False)
        self.assertEqual(self.systemctl(), ["reboot"])
        self.assertEqual(self.flags()[0], ("2.0", False, True))

    def test_no_reboot_after_a_failure(self):
        self.remote.write("usr/etc/thing/inside", "")
        self.publish(2)
        (self.host.deployment_path() / "etc/thing").write_text("")
        self.assertFails(self.host.atomic("upgrade", "--reboot", check=False), "/etc/thing")
        self.assertEqual(self.systemctl(), [])
        self.assertEqual(self.flags(), [("1.0", True, False)])

    def test_kernel_arguments(self):
        self.host.atomic("kargs", "--append=new=1")
        self.assertEqual([f[1:] for f in self.flags()], [(False, True), (True, False)])
        self.shut_down()
        self.assertIn("new=1", self.host.atomic("kargs").stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)
