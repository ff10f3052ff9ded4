// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace atomichost::treefile {

/// A place in a file, for error texts. Lines and columns count from 1; 0 is "the file as a whole".
struct Where {
  std::string file;
  int line = 0;
  int column = 0;
  /// "FILE:LINE:COL", or "FILE" for the whole.
  [[nodiscard]] std::string str() const;
};

/// One node of a parsed YAML or JSON document, with its place. Scalars keep their text as written.
struct Value {
  enum class Kind { Null, Bool, Int, Float, String, Sequence, Map };
  Kind kind = Kind::Null;
  Where where;
  std::string text;               ///< scalars
  std::vector<std::string> keys;  ///< maps: unique, as written, in file order
  std::vector<Where> key_where;   ///< maps: where each key stands
  std::vector<Value> items;       ///< sequences and maps

  /// Maps: the value of @p key, or nullptr.
  [[nodiscard]] const Value* find(std::string_view key) const noexcept;
  /// "a list", "the number 5", ...: what the user wrote, for error texts.
  [[nodiscard]] std::string describe() const;
  /// As JSON on one line, maps sorted by key: equal values give equal text.
  [[nodiscard]] std::string to_json() const;
};

/// Problems found in files, gathered so that a user sees them all at once.
class Problems {
 public:
  void add(const Where& where, const std::string& text);
  void add(const Error& error);  ///< whose text already says where
  void add(Problems&& others);
  [[nodiscard]] bool empty() const noexcept { return lines_.empty(); }
  /// @throws Error InvalidInput: one problem per line, in the order found; nothing if none.
  void throw_if_any() const;

 private:
  std::vector<std::string> lines_;
};

/// Largest file that is read, in bytes: far above any honest one.
inline constexpr std::size_t kMaxFileBytes = 4U << 20;

/// Whether @p path is read by YAML's rules (by its name: .yaml, .yml) rather than as JSON.
[[nodiscard]] bool is_yaml_name(const std::filesystem::path& path);

/// Parse one YAML document (JSON is read by the same parser) whose top is a map.
/// Duplicate keys, tags, several documents, aliases that blow up and nesting over 64 are errors.
/// @throws Error  InvalidInput "FILE:LINE:COL: ...".
[[nodiscard]] Value parse_document(const std::string& text, const std::string& name);

/// Read and parse @p path, which must be a regular file.
/// @throws Error  InvalidInput, NotFound, Denied.
[[nodiscard]] Value parse_file(const std::filesystem::path& path);

}  // namespace atomichost::treefile
