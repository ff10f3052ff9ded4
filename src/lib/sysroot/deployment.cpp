// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sysroot/deployment.hpp"

#include <fmt/format.h>

#include "format/names.hpp"
#include "sysroot/sysroot.hpp"

namespace atomichost::sysroot {

std::string Origin::remote() const {
  const auto colon = refspec.rfind(':');
  return colon == std::string::npos ? "" : refspec.substr(0, colon);
}

std::string Origin::branch() const {
  const auto colon = refspec.rfind(':');
  return colon == std::string::npos ? refspec : refspec.substr(colon + 1);
}

bool Origin::is_checksum() const {
  return sysroot::is_checksum(refspec);
}

std::string Deployment::id() const {
  return fmt::format("{}-{}.{}", stateroot, checksum, serial);
}

bool is_checksum(std::string_view text) noexcept {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == text.npos;
}

namespace {

std::string get(GKeyFile* file, const char* key) {
  const auto text = adopt(g_key_file_get_string(file, format::kOriginGroup, key, nullptr));
  return text ? text.get() : "";
}

void put(GKeyFile* file, const char* key, const std::string& value) {
  if (value.empty()) {
    g_key_file_remove_key(file, format::kOriginGroup, key, nullptr);
  } else {
    g_key_file_set_string(file, format::kOriginGroup, key, value.c_str());
  }
}

}  // namespace

Origin origin_from(GKeyFile* file) {
  Origin origin;
  if (!file) return origin;
  origin.refspec = get(file, format::kOriginRefspec);
  if (origin.refspec.empty()) origin.refspec = get(file, format::kOriginBaseRefspec);
  origin.override_commit = get(file, format::kOriginOverride);
  origin.container_reference = get(file, format::kOriginContainer);
  origin.custom_url = get(file, format::kOriginCustomUrl);
  origin.custom_description = get(file, format::kOriginCustomDescription);
  return origin;
}

GPtr<GKeyFile> origin_to(const Origin& origin, GKeyFile* previous) {
  auto file = adopt(g_key_file_new());
  if (previous) {
    const auto text = adopt(g_key_file_to_data(previous, nullptr, nullptr));
    g_key_file_load_from_data(file.get(), text.get(), static_cast<gsize>(-1), G_KEY_FILE_NONE,
                              nullptr);
    ostree_deployment_origin_remove_transient_state(file.get());  // a pin is not inherited
  }
  g_key_file_remove_key(file.get(), format::kOriginGroup, format::kOriginBaseRefspec, nullptr);
  put(file.get(), format::kOriginRefspec, origin.refspec);
  put(file.get(), format::kOriginOverride, origin.override_commit);
  put(file.get(), format::kOriginContainer, origin.container_reference);
  put(file.get(), format::kOriginCustomUrl, origin.custom_url);
  put(file.get(), format::kOriginCustomDescription, origin.custom_description);
  return file;
}

Origin origin_for(const std::string& refspec) {
  Origin origin;
  origin.refspec = refspec;
  if (is_checksum(refspec)) return origin;
  GErrorSink error;
  if (!ostree_parse_refspec(refspec.c_str(), nullptr, nullptr, error))
    throw Error(ErrorCode::InvalidInput,
                fmt::format("'{}' is no refspec: it must be REMOTE:BRANCH, BRANCH or a commit "
                            "checksum of 64 hex digits",
                            refspec));
  return origin;
}

Roles roles_of(const std::vector<Deployment>& all, const std::string& stateroot) {
  Roles roles;
  std::optional<std::size_t> booted_any;
  for (std::size_t i = 0; i < all.size(); ++i)
    if (all[i].is_booted) booted_any = i;
  std::vector<std::size_t> own;
  for (std::size_t i = 0; i < all.size(); ++i)
    if (all[i].stateroot == stateroot) own.push_back(i);
  if (booted_any && all[*booted_any].stateroot == stateroot) roles.booted = booted_any;
  if (own.empty()) return roles;
  if (!booted_any) {
    roles.newest = own[0];
    if (own.size() > 1) roles.rollback = own[1];
    return roles;
  }
  for (const auto i : own) {
    if (i < *booted_any && !roles.pending) roles.pending = i;
    if (i > *booted_any && !roles.rollback) roles.rollback = i;
  }
  roles.newest = roles.pending  ? roles.pending
                 : roles.booted ? roles.booted
                                : std::optional<std::size_t>(own[0]);
  return roles;
}

}  // namespace atomichost::sysroot
