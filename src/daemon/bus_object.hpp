// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <gio/gio.h>
#include <sdbus-c++/sdbus-c++.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "call.hpp"

namespace atomichost {
template <>
struct GFree<GDBusNodeInfo> : FreeWith<g_dbus_node_info_unref> {};
}  // namespace atomichost

namespace atomichost::daemon {

/// The checked-in XML, parsed. It is the contract: methods, argument names and types that objects
/// register are taken from it. Lives as long as the program.
[[nodiscard]] GDBusInterfaceInfo* interface_info(const std::string& name);
/// The XML text as it was built in.
[[nodiscard]] const char* interface_xml() noexcept;

/// An object on the bus with one interface of the XML. Handlers run on the thread of the event
/// loop; an exception of theirs becomes the error reply.
class BusObject {
 public:
  using Method = std::function<void(const Call&)>;
  using Property = std::function<GPtr<GVariant>()>;

  /// @throws std::logic_error: a member of the XML has no handler, or the other way round.
  BusObject(sdbus::IConnection& connection, const std::string& path, const std::string& interface,
            std::map<std::string, Method> methods, std::map<std::string, Property> properties);
  BusObject(const BusObject&) = delete;
  BusObject& operator=(const BusObject&) = delete;
  ~BusObject();

  /// Compare every property with what was last sent and signal those that differ.
  void signal_changes();
  /// Signal all, changed or not.
  void signal_all();
  [[nodiscard]] std::string path() const { return object_->getObjectPath(); }

 private:
  std::string interface_;
  std::map<std::string, Property> properties_;
  std::map<std::string, GPtr<GVariant>> sent_;
  std::unique_ptr<sdbus::IObject> object_;
};

}  // namespace atomichost::daemon
