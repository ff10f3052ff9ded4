# SPDX-License-Identifier: LGPL-2.1-or-later
"""The D-Bus interface, seen by other people's tools."""
import os
import pathlib
import pwd
import signal
import subprocess
import sys
import unittest
import xml.etree.ElementTree as xml

import dbus
import dbus.service
import dbus.mainloop.glib

from support.host import NAME, HostTest
from support.peer import Peer
from support.programs import ATOMIC, ATOMICD, TIMEOUT, output, run

ROOT = "/org/projectatomic/rpmostree1"
SYSROOT = "org.projectatomic.rpmostree1.Sysroot"
OS = "org.projectatomic.rpmostree1.OS"
CONTRACT = pathlib.Path(__file__).parents[2] / "src/daemon/org.projectatomic.rpmostree1.xml"


def members(interface):
    """What an interface's XML says, without order and annotations."""
    found = set()
    for member in interface:
        if member.tag == "annotation":
            continue
        arguments = tuple((a.get("name"), a.get("type"), a.get("direction") or "out")
                          for a in member.findall("arg"))
        found.add((member.tag, member.get("name"), member.get("type"), member.get("access"),
                   arguments))
    return found


def interfaces(text):
    return {i.get("name"): members(i) for i in xml.fromstring(text).findall("interface")}


class Bus(HostTest):
    def setUp(self):
        super().setUp()
        os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = self.bus.address
        self.connection = dbus.bus.BusConnection(self.bus.address)
        self.addCleanup(self.connection.close)

    def proxy(self, path=None, interface=OS):
        return dbus.Interface(self.connection.get_object(NAME, path or self.host.os_path()),
                              interface)

    def peer(self, address):
        peer = Peer(address)
        self.addCleanup(peer.close)
        return peer

    def assertRefused(self, name, function, *arguments, **kwargs):
        with self.assertRaises(dbus.DBusException) as caught:
            function(*arguments, **kwargs)
        self.assertEqual(caught.exception.get_dbus_name(), name, caught.exception)
        return caught.exception.get_dbus_message()

    def test_introspection_is_the_checked_in_contract(self):
        contract = interfaces(CONTRACT.read_text())
        for path, name in ((ROOT + "/Sysroot", SYSROOT), (self.host.os_path(), OS)):
            text = self.proxy(path, "org.freedesktop.DBus.Introspectable").Introspect()
            self.assertEqual(interfaces(text)[name], contract[name])
        address = self.proxy().RefreshMd({})
        peer = self.peer(address)
        text = peer.object.Introspect(dbus_interface="org.freedesktop.DBus.Introspectable")
        name = "org.projectatomic.rpmostree1.Transaction"
        self.assertEqual(interfaces(text)[name], contract[name])
        peer.start()
        self.assertEqual(peer.wait(), (True, ""))

    def test_objects_and_properties(self):
        objects = self.proxy(ROOT, "org.freedesktop.DBus.ObjectManager").GetManagedObjects()
        self.assertEqual(objects[ROOT + "/Sysroot"][SYSROOT]["Path"], str(self.host.sysroot))
        default = objects[self.host.os_path()][OS]["DefaultDeployment"]
        self.assertEqual(default["checksum"], self.release1)
        self.assertEqual(objects[self.host.os_path()][OS]["Name"], "small")
        self.assertEqual(objects[ROOT + "/Sysroot"][SYSROOT]["Booted"], "/")
        self.assertEqual(self.proxy(ROOT + "/Sysroot", SYSROOT).GetOS("small"), self.host.os_path())

    def test_upgrade_by_python(self):
        release2 = self.publish(2)
        peer = self.peer(self.proxy().Upgrade({}))
        self.assertTrue(peer.start())
        self.assertFalse(peer.start(), "it runs already")
        self.assertEqual(peer.wait(), (True, ""))
        self.assertIn("DownloadProgress", peer.signals)
        self.assertEqual(self.host.deployments()[0][1], release2)
        # All is fresh at once after the end.
        sysroot = self.proxy(ROOT + "/Sysroot", "org.freedesktop.DBus.Properties")
        self.assertEqual(sysroot.Get(SYSROOT, "Deployments")[0]["checksum"], release2)
        self.assertEqual(sysroot.Get(SYSROOT, "ActiveTransaction"), ("", "", ""))
        diff = self.proxy().GetDeploymentsRpmDiff(f"small-{self.release1}.0", f"small-{release2}.0")
        self.assertEqual([(str(n), int(k)) for n, k, _ in diff],
                         [("new", 0), ("gone", 1), ("bash", 2), ("kernel", 2), ("older", 3)])
        self.assertEqual(tuple(diff[4][2]["PreviousPackage"]), ("older", "1:2.0-1", "x86_64"))
        self.assertEqual(tuple(diff[4][2]["NewPackage"]), ("older", "1:1.9-1", "x86_64"))

    def test_a_late_start_hears_the_end_again(self):
        address = self.proxy().RefreshMd({})
        first, second = self.peer(address), self.peer(address)
        first.start()
        self.assertEqual(first.wait(), (True, ""))
        self.assertFalse(second.start())
        self.assertEqual(second.wait(), (True, ""))

    def test_busctl_and_gdbus(self):
        """They leave the bus before Start(): their transaction goes with them, by the protocol."""
        self.publish(2)
        text = self.host.busctl("call", NAME, self.host.os_path(), OS, "Upgrade", "a{sv}", "1",
                                "allow-downgrade", "b", "true").stdout
        self.assertTrue(text.startswith('s "unix:path='), text)
        text = run("gdbus", "call", "--system", f"--dest={NAME}",
                   f"--object-path={self.host.os_path()}", f"--method={OS}.Rollback", "{}",
                   env=self.host.env).stdout
        self.assertTrue(text.startswith("('unix:path="), text)
        self.assertIn("Sysroot", self.host.busctl("tree", NAME).stdout)
        self.host.atomic("upgrade")
        self.assertEqual(len(self.host.deployments()), 2)

    def test_the_web_console_s_way(self):
        """Cockpit: register, reload, check, look at the difference, deploy by checksum."""
        release2 = self.publish(2)
        sysroot = self.proxy(ROOT + "/Sysroot", SYSROOT)
        sysroot.RegisterClient({"id": "cockpit-ostree"})
        sysroot.ReloadConfig()
        peer = self.peer(self.proxy().DownloadUpdateRpmDiff())
        peer.start()
        self.assertEqual(peer.wait(), (True, ""))
        properties = self.proxy(interface="org.freedesktop.DBus.Properties")
        cached = properties.Get(OS, "CachedUpdate")
        self.assertEqual((cached["osname"], cached["checksum"], cached["origin"]),
                         ("small", release2, "origin:os/x86_64/stable"))
        self.assertTrue(properties.Get(OS, "HasCachedUpdateRpmDiff"))
        diff, details = self.proxy().GetCachedUpdateRpmDiff("")
        self.assertEqual(len(diff), 5)
        self.assertEqual(details["version"], "2.0")
        peer = self.peer(self.proxy().Deploy(release2, {}))
        peer.start()
        self.assertEqual(peer.wait(), (True, ""))
        self.assertEqual(properties.Get(OS, "CachedUpdate"), {})
        testing = self.remote.commit("3.0", branch="os/x86_64/testing",
                                     packages=self.packages[1])
        peer = self.peer(self.proxy().DownloadRebaseRpmDiff("origin:os/x86_64/testing",
                                                            dbus.Array([], "s")))
        peer.start()
        self.assertEqual(peer.wait(), (True, ""))
        diff, details = self.proxy().GetCachedRebaseRpmDiff("origin:os/x86_64/testing",
                                                            dbus.Array([], "s"))
        self.assertEqual((details["checksum"], details["origin"]),
                         (testing, "origin:os/x86_64/testing"))
        peer = self.peer(self.proxy().UpdateDeployment(
            dbus.Dictionary({}, "sv"), {"no-layering": True, "no-overrides": True}))
        peer.start()
        self.assertTrue(peer.wait()[0])

    def test_failures_come_through_finished(self):
        peer = self.peer(self.proxy().Rebase({}, "nowhere:x", dbus.Array([], "s")))
        peer.start()
        success, text = peer.wait()
        self.assertFalse(success)
        self.assertIn("nowhere", text)

    def test_same_call_joins_another_is_told(self):
        self.server.stall("summary")
        first = self.proxy().Upgrade({"allow-downgrade": True})
        self.assertEqual(self.proxy().Upgrade({"allow-downgrade": True}), first)
        text = self.assertRefused("org.projectatomic.rpmostreed.Error.UpdateInProgress",
                                  self.proxy().Upgrade, {})
        self.assertIn("Transaction in progress: upgrade, started by client(dbus:", text)
        peer = self.peer(first)
        peer.object.Cancel(dbus_interface="org.projectatomic.rpmostree1.Transaction")
        self.assertEqual(peer.wait(), (False, "Cancelled"))
        self.proxy().Upgrade({})
        self.server.release()

    def test_a_caller_that_leaves_before_start_takes_its_transaction_along(self):
        other = dbus.bus.BusConnection(self.bus.address)
        proxy = dbus.Interface(other.get_object(NAME, self.host.os_path()), OS)
        proxy.Upgrade({})
        other.close()
        self.host.atomic("cleanup", "--base")  # waits for its turn if it has to

    def test_wrong_types_and_unknown_options(self):
        invalid = "org.projectatomic.rpmostreed.Error.InvalidArgument"
        proxy = self.proxy()
        blind = dbus.Interface(self.connection.get_object(NAME, self.host.os_path(),
                                                          introspect=False), OS)
        self.assertRefused("org.freedesktop.DBus.Error.InvalidArgs", blind.Upgrade, "text")
        self.assertRefused("org.freedesktop.DBus.Error.InvalidArgs", blind.Deploy, 7, True)
        self.assertRefused("org.freedesktop.DBus.Error.UnknownMethod", blind.Nonsense)
        text = self.assertRefused(invalid, proxy.Upgrade, {"allow-downgrad": True})
        self.assertIn("allow-downgrade", text)
        self.assertRefused(invalid, proxy.Upgrade, {"allow-downgrade": "yes"})
        self.assertRefused(invalid, proxy.Cleanup, ["everything"])
        self.assertRefused(invalid, proxy.Rebase, {}, "origin:x", ["bash"])
        self.assertRefused(invalid, proxy.Rollback, {"reboot": True})
        self.assertRefused(invalid, proxy.UpdateDeployment, {"install-packages": ["x"]}, {})
        self.assertRefused(invalid, proxy.FinalizeDeployment, {})
        self.assertRefused("org.projectatomic.rpmostreed.Error.NotFound",
                           proxy.GetDeploymentsRpmDiff, "a", "b")
        self.assertRefused("org.projectatomic.rpmostreed.Error.NotFound",
                           self.proxy(ROOT + "/Sysroot", SYSROOT).GetOS, "nothing")
        deep = dbus.String("x", variant_level=60)
        with self.assertRaises(dbus.DBusException):
            proxy.Upgrade({"allow-downgrade": deep})
        with open(os.devnull) as file:
            self.assertRefused(invalid, proxy.UpdateDeployment,
                               {"install-local-packages": [dbus.types.UnixFd(file)]}, {})
        self.assertEqual(self.host.status()["transaction"], None)

    def test_changes_are_signalled_with_their_values(self):
        self.publish(2)
        monitor = subprocess.Popen(
            ["gdbus", "monitor", "--system", f"--dest={NAME}", f"--object-path={ROOT}/Sysroot"],
            env={**os.environ, **self.bus.env}, stdout=subprocess.PIPE, text=True)
        self.addCleanup(monitor.stdout.close)
        self.addCleanup(monitor.wait)
        self.addCleanup(monitor.kill)
        for line in monitor.stdout:  # it says when it has found the daemon
            if "is owned by" in line:
                break
        # By another tool, nobody asks the daemon to look.
        self.host.ostree("pull", "origin", "os/x86_64/stable")
        self.host.admin("deploy", "--os=small", "origin:os/x86_64/stable")
        for line in monitor.stdout:
            if "PropertiesChanged" in line and "Deployments" in line and "'2.0'" in line:
                break

    def test_idle_exit_and_activation(self):
        self.host.stop()
        self.host.configure(IdleExitTimeout="1")
        self.bus.activate(NAME, " ".join(self.host.daemon_command()))
        self.assertIn("State: idle", self.host.atomic("status").stdout)
        bus = self.connection.get_object("org.freedesktop.DBus", "/org/freedesktop/DBus",
                                         introspect=False)
        pid = bus.GetConnectionUnixProcessID(NAME, dbus_interface="org.freedesktop.DBus")
        with open(f"/proc/{pid}/cmdline") as file:
            self.assertIn("atomicd", file.read())
        handle = os.pidfd_open(pid)
        import select
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        self.assertTrue(poll.poll(TIMEOUT * 1000), "it does not exit when idle")
        os.close(handle)
        self.assertIn("State: idle", self.host.atomic("status").stdout)


class Others(HostTest):
    """Callers that are not root."""

    def as_nobody(self, *argv, **kwargs):
        return self.host.atomic(*argv, user="nobody", check=False, **kwargs)

    def test_without_polkit_they_may_look_and_nothing_else(self):
        if os.geteuid() != 0:
            self.skipTest("needs root, to become somebody else")
        result = self.as_nobody("status")
        self.assertIn("State: idle", result.stdout, result.stderr)
        for words in (["upgrade"], ["rollback"], ["cleanup", "-b"], ["kargs", "--append=x"],
                      ["reload"], ["pin", "0"], ["config", "diff"], ["upgrade", "--check"]):
            with self.subTest(words=words):
                self.assertFails(self.as_nobody(*words), "Not authorized", "polkit")
        self.assertEqual(len(self.host.deployments()), 1)

    def test_polkit_decides(self):
        if os.geteuid() != 0:
            self.skipTest("needs root, to become somebody else")
        program = self.folder / "polkit.py"
        program.write_text(POLKIT)
        polkit = subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, text=True,
                                  env={**os.environ, **self.bus.env})
        self.addCleanup(polkit.stdout.close)
        self.addCleanup(polkit.wait)
        self.addCleanup(polkit.kill)
        self.assertEqual(polkit.stdout.readline().strip(), "ready")
        self.publish(2)
        self.assertFails(self.as_nobody("rollback"),
                         "Not authorized for org.projectatomic.rpmostree1.rollback")
        result = self.as_nobody("upgrade")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(len(self.host.deployments()), 2)


# The part of polkit that answers: upgrades and looking for them for everybody, nothing else.
POLKIT = '''
import dbus, dbus.service, dbus.mainloop.glib
from gi.repository import GLib

class Authority(dbus.service.Object):
    @dbus.service.method("org.freedesktop.PolicyKit1.Authority", in_signature="(sa{sv})sa{ss}us",
                         out_signature="(bba{ss})")
    def CheckAuthorization(self, subject, action, details, flags, cancellation):
        assert subject[0] == "system-bus-name" and subject[1]["name"].startswith(":")
        good = action.rpartition(".")[2] in ("upgrade", "repo-refresh")
        return (good, False, {})

dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
bus = dbus.SystemBus()
name = dbus.service.BusName("org.freedesktop.PolicyKit1", bus)
authority = Authority(bus, "/org/freedesktop/PolicyKit1/Authority")
print("ready", flush=True)
GLib.MainLoop().run()
'''


if __name__ == "__main__":
    unittest.main(verbosity=2)
