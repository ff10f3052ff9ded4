// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <gio/gio.h>

#include <concepts>
#include <memory>
#include <string>

#include "base/error.hpp"

namespace atomichost {

template <auto Free>
struct FreeWith {
  template <typename T>
  void operator()(T* p) const noexcept {
    Free(p);
  }
};
template <typename T>
struct GFree;  // no default: a type that is not listed does not compile
template <>
struct GFree<GVariant> : FreeWith<g_variant_unref> {};
template <>
struct GFree<GVariantBuilder> : FreeWith<g_variant_builder_unref> {};
template <>
struct GFree<GBytes> : FreeWith<g_bytes_unref> {};
template <>
struct GFree<GKeyFile> : FreeWith<g_key_file_unref> {};
template <>
struct GFree<GHashTable> : FreeWith<g_hash_table_unref> {};
template <>
struct GFree<GPtrArray> : FreeWith<g_ptr_array_unref> {};
template <>
struct GFree<GFile> : FreeWith<g_object_unref> {};
template <>
struct GFree<GCancellable> : FreeWith<g_object_unref> {};
template <>
struct GFree<GInputStream> : FreeWith<g_object_unref> {};
template <>
struct GFree<char> : FreeWith<g_free> {};
template <>
struct GFree<char*> : FreeWith<g_strfreev> {};

/// Exactly one owned reference. Modules that own a library add GFree<> for its types.
template <typename T>
using GPtr = std::unique_ptr<T, GFree<T>>;

template <typename T>
[[nodiscard]] GPtr<T> adopt(T* p) noexcept {  // (transfer full)
  return GPtr<T>(p);
}
/// A floating or borrowed GVariant becomes one owned reference.
[[nodiscard]] inline GPtr<GVariant> sink(GVariant* v) noexcept {
  return adopt(v ? g_variant_ref_sink(v) : nullptr);
}
template <typename T>
requires std::derived_from<GFree<T>, FreeWith<g_object_unref>>
[[nodiscard]] GPtr<T> share(T* p) noexcept {
  return adopt(p ? static_cast<T*>(g_object_ref(p)) : nullptr);
}

/// Takes one GError** and turns it into an Error.
class GErrorSink {
 public:
  GErrorSink() = default;
  GErrorSink(const GErrorSink&) = delete;
  GErrorSink& operator=(const GErrorSink&) = delete;
  ~GErrorSink() { g_clear_error(&error_); }
  operator GError**() noexcept { return &error_; }
  /// @throws Error "<doing>: <GError message>" unless @p ok; Cancelled for G_IO_ERROR_CANCELLED.
  void check(bool ok, const std::string& doing) const;
  [[nodiscard]] const GError* get() const noexcept { return error_; }

 private:
  GError* error_ = nullptr;
};

}  // namespace atomichost
