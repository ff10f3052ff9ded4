// SPDX-License-Identifier: LGPL-2.1-or-later
#include "config.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/gptr.hpp"
#include "base/strings.hpp"

namespace atomichost::daemon {

Config Config::read(const std::filesystem::path& file) {
  Config config;
  const auto keys = adopt(g_key_file_new());
  GErrorSink error;
  if (!g_key_file_load_from_file(keys.get(), file.c_str(), G_KEY_FILE_NONE, error)) {
    if (g_error_matches(error.get(), G_FILE_ERROR, G_FILE_ERROR_NOENT)) return config;
    throw Error(ErrorCode::InvalidInput,
                fmt::format("{}: {}", file.string(), error.get()->message));
  }
  auto refuse = [&](const char* key, const std::string& why) {
    throw Error(ErrorCode::InvalidInput,
                fmt::format("{}: [Daemon] {}: {}", file.string(), key, why));
  };
  auto text = [&](const char* key) {
    const auto value = adopt(g_key_file_get_string(keys.get(), "Daemon", key, nullptr));
    return value ? std::string(trim(value.get())) : std::string();
  };
  auto seconds = [&](const char* key, std::chrono::seconds& into) {
    const auto value = text(key);
    if (value.empty()) return;
    if (value.size() > 6 || value.find_first_not_of("0123456789") != value.npos)
      refuse(key, "'" + value + "' is no number of seconds");
    into = std::chrono::seconds(std::stol(value));
  };
  if (const auto policy = text("AutomaticUpdatePolicy"); !policy.empty()) {
    constexpr std::array known{"none", "off", "check", "stage", "apply"};
    if (std::ranges::find(known, policy) == known.end())
      refuse("AutomaticUpdatePolicy", "'" + policy + "' is not one of none, check, stage, apply");
    config.automatic_update_policy = policy == "off" ? "none" : policy;
  }
  seconds("IdleExitTimeout", config.idle_exit);
  seconds("NetworkTimeout", config.network_timeout);
  if (config.network_timeout.count() == 0) refuse("NetworkTimeout", "must not be 0");
  config.is_layering_locked = text("LockLayering") == "true";
  return config;
}

}  // namespace atomichost::daemon
