// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <compare>
#include <string>
#include <string_view>

namespace atomichost::rpm {

/// Name, epoch, version, release and architecture of a package: its identity for people.
struct Nevra {
  std::string name;
  std::string epoch = "0";  ///< decimal; "0" when the package has none
  std::string version;
  std::string release;
  std::string arch;

  /// "name-[epoch:]version-release.arch"; epoch 0 is left out.
  [[nodiscard]] std::string str() const;
  /// "[epoch:]version-release"; epoch 0 is left out.
  [[nodiscard]] std::string evr() const;
  /// "[epoch:]version-release.arch"; epoch 0 is left out.
  [[nodiscard]] std::string evra() const;
  /// Bytewise by field, for sorting by name; says nothing about newer or older: compare_evr().
  auto operator<=>(const Nevra&) const = default;

  /// The reverse of str(); "epoch:name-version-release.arch" is accepted too.
  /// @throws Error InvalidInput: no arch, version or release, or the epoch is no number.
  [[nodiscard]] static Nevra parse(std::string_view text);
};

/// Older, equal or newer (negative, 0, positive), as RPM compares epoch, version and release.
/// Names and architectures do not count.
[[nodiscard]] int compare_evr(const Nevra& a, const Nevra& b);
/// The same for "[epoch:]version[-release]" text; a missing epoch is 0; a missing release is equal
/// to every release.
[[nodiscard]] int compare_evr(std::string_view a, std::string_view b);

}  // namespace atomichost::rpm
