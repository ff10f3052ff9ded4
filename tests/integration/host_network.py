# SPDX-License-Identifier: LGPL-2.1-or-later
"""What servers and crashes do to an upgrade: nothing wrong is deployed, nothing is lost, and the
next run with a good server works."""
import os
import signal
import unittest

from support.host import HostTest
from support.programs import TIMEOUT


class Network(HostTest):
    def setUp(self):
        super().setUp()
        self.remote.write("usr/share/big", os.urandom(300_000))
        for number in range(20):
            self.remote.write(f"usr/share/files/{number}", f"release 2, file {number}\n")
        self.release2 = self.publish(2)

    def good_run(self):
        """The host is whole, and with a good server comes to release 2."""
        self.host.fsck()
        self.host.configure()
        self.host.atomic("reload")
        self.host.atomic("upgrade")
        self.assertEqual([c for _, c, _ in self.host.deployments()], [self.release2, self.release1])
        self.host.fsck()
        self.assertEqual([p for p in (self.host.repo / "tmp").iterdir()
                          if p.name.startswith("staging-")], [], "litter")

    def unchanged(self):
        self.assertEqual([c for _, c, _ in self.host.deployments()], [self.release1])
        ref = self.host.ostree("rev-parse", "origin:os/x86_64/stable").stdout.strip()
        self.assertEqual(ref, self.release1)

    def fails(self, *parts):
        self.assertFails(self.host.atomic("upgrade", check=False), "os/x86_64/stable", *parts)
        self.unchanged()

    def test_errors_of_the_server(self):
        self.server.status(404, ".dirtree")
        self.fails("404")
        self.server.status(500, ".filez")
        self.fails("500")
        self.server.truncate(".filez")
        self.fails()
        self.server.fault = None
        self.good_run()

    def test_no_server_at_all(self):
        self.host.ostree("remote", "add", "gone", "http://127.0.0.1:1/", "--no-gpg-verify")
        self.host.atomic("reload")
        self.assertFails(self.host.atomic("rebase", "gone:os/x86_64/stable", check=False),
                         "remote 'gone'")
        self.unchanged()
        self.good_run()

    def test_tampered_objects(self):
        objects = [p for p in self.remote.repo.glob("objects/*/*.filez")
                   if p.stat().st_size > 200_000]
        [big] = objects
        good = big.read_bytes()
        bad = bytearray(good)
        bad[len(bad) // 2] ^= 1
        big.write_bytes(bad)
        self.fails()
        big.write_bytes(good)
        self.good_run()

    def test_delta_is_used_and_announced(self):
        self.remote.delta(self.release1, self.release2)
        self.server.requests.clear()
        text = self.host.atomic("upgrade").stdout
        self.assertRegex(text, r"Delta: [0-9.]+ [kM]?B to fetch, [0-9.]+ [kM]?B unpacked")
        self.assertEqual([p for p in self.server.requests if p.endswith(".filez")], [],
                         "no single objects")
        self.assertEqual(len(self.host.deployments()), 2)
        self.host.fsck()

    def test_tampered_delta(self):
        self.remote.delta(self.release1, self.release2)
        for part in self.remote.repo.glob("deltas/*/*/0"):
            data = bytearray(part.read_bytes())
            data[len(data) // 2] ^= 1
            part.write_bytes(data)
        self.fails()
        self.remote.delta(self.release1, self.release2)
        self.good_run()

    def test_objects_where_no_delta_fits(self):
        release3 = self.publish(3)
        self.remote.delta(self.release2, release3)
        self.host.atomic("upgrade")
        self.assertEqual(self.host.deployments()[0][1], release3)

    def test_a_silent_server_is_given_up(self):
        self.host.configure(NetworkTimeout="1")
        self.host.atomic("reload")
        self.server.stall(".filez")
        self.fails("sent nothing for 1 s")
        self.server.release()
        self.good_run()

    def test_a_server_that_is_silent_from_the_start(self):
        self.host.configure(NetworkTimeout="1")
        self.host.atomic("reload")
        self.server.stall("summary")
        self.fails("sent nothing for 1 s")
        self.server.release()
        self.good_run()

    def test_what_was_fetched_is_not_fetched_again(self):
        seen = []

        def fault(path, handler):
            if path.endswith(".filez"):
                if len(seen) >= 10:
                    handler.send_error(500)
                    return True
                seen.append(path)
            return False
        self.server.fault = fault
        self.fails()
        self.server.fault = None
        self.server.requests.clear()
        self.host.atomic("upgrade")
        again = set(seen) & set(self.server.requests)
        self.assertLessEqual(len(again), len(seen) // 2, "fetched again: " + str(again))
        self.assertEqual(self.host.deployments()[0][1], self.release2)
        self.host.fsck()

    def start_stalled(self):
        self.server.stall(".filez")
        upgrade = self.host.spawn("upgrade")
        self.server.wait_until_stalled()
        return upgrade

    def test_cancel_works_while_the_server_is_silent(self):
        upgrade = self.start_stalled()
        text = self.host.atomic("cancel").stdout
        self.assertIn("Cancelling transaction: upgrade", text)
        _, errors = upgrade.communicate(timeout=TIMEOUT)
        self.assertEqual(upgrade.returncode, 1)
        self.assertIn("error: Cancelled", errors)
        self.unchanged()
        self.assertIn("No active transaction.", self.host.atomic("cancel").stdout)
        self.server.release()
        self.good_run()

    def test_ctrl_c_stops_the_transaction(self):
        upgrade = self.start_stalled()
        upgrade.send_signal(signal.SIGINT)
        _, errors = upgrade.communicate(timeout=TIMEOUT)
        self.assertIn("error: Cancelled", errors)
        self.assertIn("State: idle", self.host.atomic("status").stdout)
        self.server.release()
        self.good_run()

    def test_the_transaction_outlives_its_client(self):
        upgrade = self.start_stalled()
        upgrade.kill()
        upgrade.communicate()
        self.assertIn("State: busy", self.host.atomic("status").stdout)
        self.server.release()
        # Joins the one that runs, and sees its end.
        self.host.atomic("upgrade")
        self.assertEqual(self.host.deployments()[0][1], self.release2)

    def test_the_daemon_killed_in_the_middle(self):
        upgrade = self.start_stalled()
        self.host.stop(signal.SIGKILL)
        _, errors = upgrade.communicate(timeout=TIMEOUT)
        self.assertEqual(upgrade.returncode, 1)
        self.assertIn("The daemon went away", errors)
        self.server.release()
        self.unchanged()
        self.host.start()
        self.assertIn("State: idle", self.host.atomic("status").stdout)
        self.good_run()

    def test_the_daemon_stopped_in_the_middle(self):
        upgrade = self.start_stalled()
        self.assertEqual(self.host.stop(signal.SIGTERM), 0)
        upgrade.communicate(timeout=TIMEOUT)
        self.assertEqual(upgrade.returncode, 1)
        self.server.release()
        self.unchanged()
        self.host.start()
        self.good_run()

    def test_status_of_many_clients_during_an_upgrade(self):
        upgrade = self.start_stalled()
        clients = [self.host.spawn("status", "--json") for _ in range(50)]
        for client in clients:
            text, errors = client.communicate(timeout=TIMEOUT)
            self.assertEqual(client.returncode, 0, errors)
            self.assertIn('"transaction" : [', text)
        self.server.release()
        _, errors = upgrade.communicate(timeout=TIMEOUT)
        self.assertEqual(upgrade.returncode, 0, errors)

    def test_others_wait_in_line_or_are_told_who_runs(self):
        upgrade = self.start_stalled()
        result = self.host.atomic("rollback", "--no-wait", check=False)
        self.assertFails(result, "Transaction in progress: upgrade", "started by client(id:cli",
                         f"pid:{upgrade.pid} uid:0")
        cleanup = self.host.spawn("cleanup", "--base")
        self.assertIn("Waiting: Transaction in progress: upgrade", cleanup.stderr.readline())
        self.server.release()
        upgrade.communicate(timeout=TIMEOUT)
        cleanup.communicate(timeout=TIMEOUT)
        self.assertEqual((upgrade.returncode, cleanup.returncode), (0, 0))
        self.assertEqual(self.host.deployments()[0][1], self.release2)


if __name__ == "__main__":
    unittest.main(verbosity=2)
