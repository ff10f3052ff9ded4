// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/gptr.hpp"

namespace atomichost::client {

/// Reads an a{sv} from the bus. A key that is missing or of another type gives the empty value.
class Fields {
 public:
  explicit Fields(GPtr<GVariant> dictionary) : dictionary_(std::move(dictionary)) {}
  [[nodiscard]] std::string text(const char* key) const;
  [[nodiscard]] std::uint64_t number(const char* key) const;
  [[nodiscard]] bool flag(const char* key) const;
  [[nodiscard]] GPtr<GVariant> value(const char* key, const char* type) const;
  [[nodiscard]] bool is_empty() const;
  [[nodiscard]] GVariant* variant() const noexcept { return dictionary_.get(); }

 private:
  GPtr<GVariant> dictionary_;
};

/// The elements of an aa{sv}.
[[nodiscard]] std::vector<Fields> fields_of(GVariant* list);

/// Builds the a{sv} of options for a call.
class CallOptions {
 public:
  CallOptions() : builder_(adopt(g_variant_builder_new(G_VARIANT_TYPE_VARDICT))) {}
  /// Only what is set is sent.
  CallOptions& flag(const char* key, bool value);
  CallOptions& unset(const char* key);  ///< sent as false
  CallOptions& text(const char* key, const std::string& value);
  CallOptions& pair(const char* key, const std::string& first, const std::string& second);
  CallOptions& list(const char* key, const std::vector<std::string>& values);
  [[nodiscard]] GVariant* end() { return g_variant_builder_end(builder_.get()); }

 private:
  GPtr<GVariantBuilder> builder_;
};

[[nodiscard]] GVariant* string_list(const std::vector<std::string>& values);  ///< floating

}  // namespace atomichost::client
