// SPDX-License-Identifier: LGPL-2.1-or-later
#include "fields.hpp"

namespace atomichost::client {

GPtr<GVariant> Fields::value(const char* key, const char* type) const {
  return adopt(g_variant_lookup_value(dictionary_.get(), key, G_VARIANT_TYPE(type)));
}
std::string Fields::text(const char* key) const {
  const auto found = value(key, "s");
  return found ? g_variant_get_string(found.get(), nullptr) : "";
}
std::uint64_t Fields::number(const char* key) const {
  const auto found = value(key, "t");
  return found ? g_variant_get_uint64(found.get()) : 0;
}
bool Fields::flag(const char* key) const {
  const auto found = value(key, "b");
  return found && g_variant_get_boolean(found.get());
}
bool Fields::is_empty() const {
  return g_variant_n_children(dictionary_.get()) == 0;
}

std::vector<Fields> fields_of(GVariant* list) {
  std::vector<Fields> all;
  for (gsize i = 0; i < g_variant_n_children(list); ++i)
    all.emplace_back(adopt(g_variant_get_child_value(list, i)));
  return all;
}

CallOptions& CallOptions::flag(const char* key, bool value) {
  if (value) g_variant_builder_add(builder_.get(), "{sv}", key, g_variant_new_boolean(TRUE));
  return *this;
}
CallOptions& CallOptions::text(const char* key, const std::string& value) {
  if (!value.empty())
    g_variant_builder_add(builder_.get(), "{sv}", key, g_variant_new_string(value.c_str()));
  return *this;
}
CallOptions& CallOptions::unset(const char* key) {
  g_variant_builder_add(builder_.get(), "{sv}", key, g_variant_new_boolean(FALSE));
  return *this;
}
CallOptions& CallOptions::pair(const char* key, const std::string& first,
                               const std::string& second) {
  g_variant_builder_add(builder_.get(), "{sv}", key,
                        g_variant_new("(ss)", first.c_str(), second.c_str()));
  return *this;
}
CallOptions& CallOptions::list(const char* key, const std::vector<std::string>& values) {
  if (!values.empty()) g_variant_builder_add(builder_.get(), "{sv}", key, string_list(values));
  return *this;
}

GVariant* string_list(const std::vector<std::string>& values) {
  const auto builder = adopt(g_variant_builder_new(G_VARIANT_TYPE_STRING_ARRAY));
  for (const auto& text : values) g_variant_builder_add(builder.get(), "s", text.c_str());
  return g_variant_builder_end(builder.get());
}

}  // namespace atomichost::client
