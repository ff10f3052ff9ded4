// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace atomichost::importer {

/// Reads the archive inside an RPM: cpio "newc" with or without checksums, and RPM's stripped form
/// for packages with files of 4 GiB and more, whose entries hold only an index into the header's
/// file list. Contents are handed out where they stand, without copies. Not thread-safe.
/// Source: cpio(5), "New ASCII Format"; rpm's lib/cpio.c for the stripped one.
class CpioReader {
 public:
  /// @param pull  the next piece of the unpacked stream, valid until the next call; "" at its end
  explicit CpioReader(std::function<std::string_view()> pull) : pull_(std::move(pull)) {}

  struct Entry {
    std::string name;                    ///< as in the archive: "./usr/bin/sh"; "" if stripped
    std::optional<std::uint32_t> index;  ///< stripped: place in the header's file list
    std::uint64_t size = 0;              ///< content bytes; a stripped entry does not say: 0
  };
  /// The next entry; what is left of the last one is skipped. @return false: the trailer.
  /// @throws Error Corrupt
  bool next(Entry& entry);
  /// How much content a stripped entry has; to be said before data().
  void expect(std::uint64_t size) noexcept { left_ = size; }
  /// The next piece of the entry's content, valid until the next call; "" at its end.
  [[nodiscard]] std::string_view data();

 private:
  [[nodiscard]] std::string_view take(std::size_t size);
  void align();
  std::function<std::string_view()> pull_;
  std::string_view block_;
  std::string carry_;
  std::uint64_t left_ = 0;
  std::uint64_t position_ = 0;
};

}  // namespace atomichost::importer
