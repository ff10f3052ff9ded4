// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon_client.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "api/names.hpp"
#include "base/error.hpp"
#include "base/strings.hpp"
#include "wire/message.hpp"

namespace atomichost::client {
namespace {

constexpr char kProperties[] = "org.freedesktop.DBus.Properties";
constexpr std::chrono::minutes kPersonTakesAtMost{6};  // polkit may ask somebody

Error from_bus(const sdbus::Error& e) {
  const std::string& name = e.getName();
  if (name == "org.freedesktop.DBus.Error.ServiceUnknown" ||
      name == "org.freedesktop.DBus.Error.NameHasNoOwner")
    return {ErrorCode::NotFound,
            fmt::format("The daemon is not available on the bus ({}); is atomicd installed?",
                        e.getMessage())};
  if (name == "org.freedesktop.DBus.Error.AccessDenied")
    return {ErrorCode::Denied, "The bus refuses: " + e.getMessage()};
  if (name == "org.freedesktop.DBus.Error.NoReply" ||
      name == "org.freedesktop.DBus.Error.Disconnected")
    return {ErrorCode::Failed, "The daemon went away; 'journalctl -u atomicd' may say why"};
  return {api::error_code(name), e.getMessage()};
}

}  // namespace

DaemonClient::DaemonClient(const Context& context) {
  connect(context);
  (void)call(api::kSysrootPath, api::kSysrootInterface, "RegisterClient",
             g_variant_new("(@a{sv})", CallOptions().text("id", "cli").end()));
}

void DaemonClient::connect(const Context& context) {
  std::string wanted;
  if (context.sysroot) {
    std::error_code error;
    wanted = std::filesystem::absolute(*context.sysroot, error).lexically_normal();
    while (wanted.size() > 1 && wanted.back() == '/') wanted.pop_back();
    if (!std::filesystem::is_directory(wanted, error))
      throw Error(ErrorCode::NotFound, fmt::format("--sysroot: {} is no folder", wanted));
  }
  try {
    connection_ = sdbus::createSystemBusConnection();
  } catch (const sdbus::Error& e) {
    if (wanted.empty())
      throw Error(
          ErrorCode::NotFound,
          fmt::format("There is no system bus ({}); --sysroot=/ does without", e.getMessage()));
  }
  if (wanted.empty()) return;
  if (connection_) {
    try {  // does the daemon that runs, if one does, serve just this one?
      const auto has =
          call_on("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                  "NameHasOwner", g_variant_new("(s)", api::kBusName));
      gboolean is_running = FALSE;
      g_variant_get(has.get(), "(b)", &is_running);
      if (wanted == "/" || (is_running && sysroot_properties().text("Path") == wanted)) return;
    } catch (const Error&) {
    }
    connection_.reset();
  }
  private_bus_.emplace(wanted);
  try {
    connection_ = sdbus::createSessionBusConnectionWithAddress(private_bus_->address());
  } catch (const sdbus::Error& e) {
    throw Error(ErrorCode::Failed, "Connecting to the daemon: " + e.getMessage());
  }
}

GPtr<GVariant> DaemonClient::call_on(const std::string& service, const std::string& path,
                                     const std::string& interface, const std::string& method,
                                     GVariant* arguments) {
  const auto held = sink(arguments);
  try {
    const auto proxy = sdbus::createProxy(*connection_, service, path);
    auto message = proxy->createMethodCall(interface, method);
    wire::append_arguments(message, held.get());
    auto reply = proxy->callMethod(message, kPersonTakesAtMost);
    return wire::read_arguments(reply);
  } catch (const sdbus::Error& e) {
    throw from_bus(e);
  }
}

GPtr<GVariant> DaemonClient::call(const std::string& path, const std::string& interface,
                                  const std::string& method, GVariant* arguments) {
  return call_on(api::kBusName, path, interface, method, arguments);
}

GPtr<GVariant> DaemonClient::call_os(const std::string& method, GVariant* arguments) {
  return call(os_path_, api::kOsInterface, method, arguments);
}

std::string DaemonClient::call_for_address(const std::string& method, GVariant* arguments) {
  const auto reply = call_os(method, arguments);
  const char* address = nullptr;
  g_variant_get(reply.get(), "(&s)", &address);
  return address;
}

namespace {
Fields properties(DaemonClient& client, const std::string& path, const char* interface) {
  const auto reply = client.call(path, kProperties, "GetAll", g_variant_new("(s)", interface));
  return Fields(adopt(g_variant_get_child_value(reply.get(), 0)));
}
}  // namespace

Fields DaemonClient::sysroot_properties() {
  return properties(*this, api::kSysrootPath, api::kSysrootInterface);
}
Fields DaemonClient::os_properties() {
  return properties(*this, os_path_, api::kOsInterface);
}
std::vector<Fields> DaemonClient::deployments() {
  const auto list = sysroot_properties().value("Deployments", "aa{sv}");
  return list ? fields_of(list.get()) : std::vector<Fields>();
}

void DaemonClient::choose_os(const std::optional<std::string>& name) {
  const auto reply = call(api::kRootPath, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects",
                          g_variant_new("()"));
  const auto objects = adopt(g_variant_get_child_value(reply.get(), 0));
  std::vector<std::pair<std::string, std::string>> known;  // name, path
  std::string booted = "/";
  GVariantIter iter;
  g_variant_iter_init(&iter, objects.get());
  const char* path = nullptr;
  GVariant* interfaces = nullptr;
  while (g_variant_iter_next(&iter, "{&o@a{sa{sv}}}", &path, &interfaces)) {
    const auto held = adopt(interfaces);
    if (const auto os =
            adopt(g_variant_lookup_value(interfaces, api::kOsInterface, G_VARIANT_TYPE_VARDICT)))
      known.emplace_back(Fields(adopt(g_variant_ref(os.get()))).text("Name"), path);
    if (const auto sysroot = adopt(
            g_variant_lookup_value(interfaces, api::kSysrootInterface, G_VARIANT_TYPE_VARDICT)))
      if (const auto o = Fields(adopt(g_variant_ref(sysroot.get()))).value("Booted", "o"))
        booted = g_variant_get_string(o.get(), nullptr);
  }
  std::vector<std::string> names;
  for (const auto& [known_name, ignored] : known) names.push_back(known_name);
  auto choose = [&](const std::pair<std::string, std::string>& os) {
    std::tie(stateroot_, os_path_) = os;
  };
  if (name) {
    for (const auto& os : known)
      if (os.first == *name) return choose(os);
    throw Error(ErrorCode::NotFound,
                fmt::format("There is no stateroot '{}'{}", *name, did_you_mean(*name, names)));
  }
  for (const auto& os : known)
    if (os.second == booted) return choose(os);
  if (known.size() == 1) return choose(known[0]);
  if (known.empty())
    throw Error(ErrorCode::NotFound,
                "This sysroot has no stateroot yet; 'ostree admin os-init NAME' makes one");
  std::ranges::sort(names);
  throw Error(ErrorCode::InvalidInput,
              fmt::format("Nothing is booted from this sysroot; choose a stateroot with "
                          "--stateroot: {}",
                          join(names, ", ")));
}

void DaemonClient::wait_until_idle() {
  auto is_idle = [this] { return sysroot_properties().text("ActiveTransactionPath").empty(); };
  const auto sysroot = sdbus::createProxy(*connection_, api::kBusName, api::kSysrootPath);
  const auto bus =
      sdbus::createProxy(*connection_, "org.freedesktop.DBus", "/org/freedesktop/DBus");
  // The subscription comes first, so that no end is missed between question and waiting.
  sysroot->registerSignalHandler(kProperties, "PropertiesChanged",
                                 [this](sdbus::Signal&) { connection_->leaveEventLoop(); });
  bus->registerSignalHandler("org.freedesktop.DBus", "NameOwnerChanged", [this](sdbus::Signal& s) {
    const auto arguments = wire::read_arguments(s);
    const char* name = nullptr;
    g_variant_get(arguments.get(), "(&s&s&s)", &name, nullptr, nullptr);
    if (std::string_view(name) == api::kBusName) connection_->leaveEventLoop();
  });
  sysroot->finishRegistration();
  bus->finishRegistration();
  while (!is_idle()) connection_->enterEventLoop();
}

}  // namespace atomichost::client
