// SPDX-License-Identifier: LGPL-2.1-or-later
#include "api/names.hpp"

#include <array>
#include <utility>

namespace atomichost::api {
namespace {

constexpr std::array<std::pair<ErrorCode, const char*>, 10> kErrors{{
    {ErrorCode::Failed, "org.projectatomic.rpmostreed.Error.Failed"},
    {ErrorCode::InvalidInput, "org.projectatomic.rpmostreed.Error.InvalidArgument"},
    {ErrorCode::NotFound, "org.projectatomic.rpmostreed.Error.NotFound"},
    {ErrorCode::Unsolvable, "org.projectatomic.rpmostreed.Error.Unsolvable"},
    {ErrorCode::Untrusted, "org.projectatomic.rpmostreed.Error.Untrusted"},
    {ErrorCode::Corrupt, "org.projectatomic.rpmostreed.Error.Corrupt"},
    {ErrorCode::Busy, "org.projectatomic.rpmostreed.Error.UpdateInProgress"},
    {ErrorCode::NoSpace, "org.projectatomic.rpmostreed.Error.NoSpace"},
    {ErrorCode::Denied, "org.projectatomic.rpmostreed.Error.NotAuthorized"},
    {ErrorCode::Unreachable, "org.projectatomic.rpmostreed.Error.Unreachable"},
}};

}  // namespace

const char* error_name(ErrorCode code) noexcept {
  for (const auto& [known, name] : kErrors)
    if (known == code) return name;
  return kErrors[0].second;
}

ErrorCode error_code(std::string_view name) noexcept {
  for (const auto& [code, known] : kErrors)
    if (name == known) return code;
  return ErrorCode::Failed;
}

std::string path_element(std::string_view name) {
  constexpr char hex[] = "0123456789ABCDEF";
  std::string path;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_')
      path += c;
    else if (c == '-' || c == '/')
      path += '_';
    else
      path += {'_', hex[byte >> 4U], hex[byte & 15U]};
  }
  return path;
}

}  // namespace atomichost::api
