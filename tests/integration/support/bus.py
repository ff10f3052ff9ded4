# SPDX-License-Identifier: LGPL-2.1-or-later
"""A message bus of the test's own, which every program takes for the system bus."""
import os
import pathlib
import subprocess

CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>custom</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <servicedir>{services}</servicedir>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow receive_sender="*"/>
  </policy>
  {limits}
</busconfig>
"""


class Bus:
    def __init__(self, folder, limits=""):
        folder = pathlib.Path(folder)
        self.services = folder / "services"
        self.services.mkdir()
        config = folder / "bus.conf"
        config.write_text(CONFIG.format(socket=folder / "bus", services=self.services,
                                        limits=limits))
        self.process = subprocess.Popen(
            ["dbus-daemon", f"--config-file={config}", "--nofork", "--print-address"],
            stdout=subprocess.PIPE, text=True,
            # For what it starts.
            env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={folder / 'bus'}"})
        self.address = self.process.stdout.readline().strip()  # printed once it listens
        assert self.address, "dbus-daemon did not start"
        self.env = {"DBUS_SYSTEM_BUS_ADDRESS": self.address}

    def activate(self, name, command):
        """Have @p command started when somebody calls @p name."""
        (self.services / f"{name}.service").write_text(
            f"[D-BUS Service]\nName={name}\nExec={command}\nUser={os.geteuid()}\n")

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
