// SPDX-License-Identifier: LGPL-2.1-or-later
#include "authority.hpp"

#include <fmt/format.h>

#include <chrono>

#include "api/names.hpp"
#include "wire/message.hpp"

namespace atomichost::daemon {
namespace {

constexpr char kPolkitInterface[] = "org.freedesktop.PolicyKit1.Authority";
constexpr std::uint32_t kAllowUserInteraction = 1;
constexpr std::chrono::minutes kPersonTakesAtMost{5};

}  // namespace

Authority::Authority(sdbus::IConnection& connection)
    : polkit_(sdbus::createProxy(connection, "org.freedesktop.PolicyKit1",
                                 "/org/freedesktop/PolicyKit1/Authority")) {
  polkit_->finishRegistration();
}

void Authority::require(const Call& call, std::vector<std::string> actions,
                        std::function<void()> granted) {
  if (actions.empty() || call.sender_uid() == 0) return granted();
  const std::string action = std::string(api::kBusName) + "." + actions.back();
  actions.pop_back();
  auto message = polkit_->createMethodCall(kPolkitInterface, "CheckAuthorization");
  const auto subject =
      sink(g_variant_new_parsed("('system-bus-name', {'name': <%s>})", call.sender().c_str()));
  const auto details = sink(g_variant_new_parsed("@a{ss} {}"));
  wire::append(wire::raw(message), subject.get());
  wire::append(wire::raw(message), sink(g_variant_new_string(action.c_str())).get());
  wire::append(wire::raw(message), details.get());
  wire::append(wire::raw(message), sink(g_variant_new_uint32(kAllowUserInteraction)).get());
  wire::append(wire::raw(message), sink(g_variant_new_string("")).get());
  auto decide = [this, call, action, rest = std::move(actions), granted = std::move(granted)](
                    sdbus::MethodReply& reply, const sdbus::Error* error) {
    try {
      if (error)
        throw Error(ErrorCode::Denied,
                    fmt::format("Not authorized for {}: you are not root, and polkit cannot be "
                                "asked ({})",
                                action, error->getMessage()));
      const auto answer = wire::read_arguments(reply);
      if (!g_variant_is_of_type(answer.get(), G_VARIANT_TYPE("((bba{ss}))")))
        throw Error(ErrorCode::Denied, "polkit gave an answer that cannot be understood");
      gboolean is_authorized = FALSE;
      g_variant_get(answer.get(), "((bb@a{ss}))", &is_authorized, nullptr, nullptr);
      if (!is_authorized)
        throw Error(ErrorCode::Denied, fmt::format("Not authorized for {}: polkit says no; run it "
                                                   "as root or as an administrator",
                                                   action));
      require(call, rest, granted);
    } catch (const Error& e) {
      call.fail(e);
    } catch (const std::exception& e) {
      call.fail(Error(ErrorCode::Failed, e.what()));
    }
  };
  polkit_->callMethod(message, decide, kPersonTakesAtMost);
}

}  // namespace atomichost::daemon
