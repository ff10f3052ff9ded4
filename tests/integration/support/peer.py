# SPDX-License-Identifier: LGPL-2.1-or-later
"""Somebody else's D-Bus library as client: python's dbus, on the bus and on a transaction's peer
connection."""
import dbus
import dbus.connection
import dbus.mainloop.glib
from gi.repository import GLib

TRANSACTION = "org.projectatomic.rpmostree1.Transaction"


class Peer:
    def __init__(self, address):
        self.loop = GLib.MainLoop()
        self.signals = []
        self.finished = None
        self.connection = dbus.connection.Connection(
            address, mainloop=dbus.mainloop.glib.DBusGMainLoop())
        self.connection.add_message_filter(self._take)
        self.object = self.connection.get_object(object_path="/", introspect=False)

    def _take(self, connection, message):
        if message.get_interface() == TRANSACTION and message.get_type() == 4:
            self.signals.append(message.get_member())
            if message.get_member() == "Finished":
                self.finished = tuple(message.get_args_list())
                self.loop.quit()
        elif message.get_member() == "Disconnected":
            self.loop.quit()
        return dbus.lowlevel.HANDLER_RESULT_NOT_YET_HANDLED

    def start(self):
        return bool(self.object.Start(dbus_interface=TRANSACTION))

    def wait(self, timeout=300):
        """@return (success, text) of Finished."""
        if self.finished is None:
            source = GLib.timeout_add_seconds(timeout, self.loop.quit)
            self.loop.run()
            GLib.source_remove(source)
        return self.finished

    def close(self):
        self.connection.close()
