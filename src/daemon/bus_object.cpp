// SPDX-License-Identifier: LGPL-2.1-or-later
#include "bus_object.hpp"

#include <stdexcept>

#include "api/names.hpp"
#include "interface_xml.hpp"
#include "wire/message.hpp"

namespace atomichost::daemon {

const char* interface_xml() noexcept {
  return kInterfaceXml;
}

GDBusInterfaceInfo* interface_info(const std::string& name) {
  static const auto node = [] {
    GErrorSink error;
    auto parsed = adopt(g_dbus_node_info_new_for_xml(kInterfaceXml, error));
    error.check(parsed != nullptr, "Reading the built-in interface description");
    return parsed;
  }();
  GDBusInterfaceInfo* info = g_dbus_node_info_lookup_interface(node.get(), name.c_str());
  if (!info) throw std::logic_error("no interface " + name);
  return info;
}

namespace {

std::string signature_of(GDBusArgInfo** args, std::vector<std::string>& names) {
  std::string signature;
  for (; args && *args; ++args) {
    signature += (*args)->signature;
    names.emplace_back((*args)->name);
  }
  return signature;
}

void run(const BusObject::Method& method, sdbus::MethodCall message) {
  std::optional<Call> call;
  try {
    call.emplace(std::move(message));
    method(*call);
  } catch (const Error& e) {
    if (call) call->fail(e);
  } catch (const std::exception& e) {
    if (call) call->fail(Error(ErrorCode::Failed, e.what()));
  }
}

}  // namespace

BusObject::BusObject(sdbus::IConnection& connection, const std::string& path,
                     const std::string& interface, std::map<std::string, Method> methods,
                     std::map<std::string, Property> properties)
    : interface_(interface),
      properties_(std::move(properties)),
      object_(sdbus::createObject(connection, path)) {
  GDBusInterfaceInfo* info = interface_info(interface);
  for (GDBusMethodInfo** m = info->methods; m && *m; ++m) {
    const auto handler = methods.find((*m)->name);
    if (handler == methods.end())
      throw std::logic_error(std::string("no handler for ") + (*m)->name);
    std::vector<std::string> in_names, out_names;
    const auto in = signature_of((*m)->in_args, in_names);
    const auto out = signature_of((*m)->out_args, out_names);
    object_->registerMethod(interface, (*m)->name, in, in_names, out, out_names,
                            [method = std::move(handler->second)](sdbus::MethodCall message) {
                              run(method, std::move(message));
                            });
    methods.erase(handler);
  }
  if (!methods.empty()) throw std::logic_error("not in the XML: " + methods.begin()->first);
  for (GDBusPropertyInfo** p = info->properties; p && *p; ++p) {
    const auto getter = properties_.find((*p)->name);
    if (getter == properties_.end())
      throw std::logic_error(std::string("no getter for ") + (*p)->name);
    object_->registerProperty(interface, (*p)->name, (*p)->signature,
                              [get = getter->second](sdbus::PropertyGetReply& reply) {
                                try {
                                  wire::append(wire::raw(reply), get().get());
                                } catch (const Error& e) {  // C code calls this
                                  throw sdbus::Error(api::error_name(e.code()), e.what());
                                }
                              });
  }
  object_->finishRegistration();
  for (const auto& [name, get] : properties_) sent_[name] = get();
  object_->emitInterfacesAddedSignal();
}

BusObject::~BusObject() {
  try {
    object_->emitInterfacesRemovedSignal();
  } catch (const std::exception&) {  // the bus is gone
  }
}

void BusObject::signal_changes() {
  std::vector<std::string> changed;
  for (const auto& [name, get] : properties_) {
    auto now = get();
    if (g_variant_equal(now.get(), sent_[name].get())) continue;
    sent_[name] = std::move(now);
    changed.push_back(name);
  }
  if (!changed.empty()) object_->emitPropertiesChangedSignal(interface_, changed);
}

void BusObject::signal_all() {
  std::vector<std::string> all;
  for (const auto& [name, get] : properties_) {
    sent_[name] = get();
    all.push_back(name);
  }
  object_->emitPropertiesChangedSignal(interface_, all);
}

}  // namespace atomichost::daemon
