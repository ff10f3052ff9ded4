// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>
#include <vector>

#include "base/gptr.hpp"
#include "pkgdiff/pkgdiff.hpp"
#include "rpm/nevra.hpp"
#include "sysroot/deployment.hpp"

namespace atomichost::daemon {

/// Builds an a{sv}. Values may be floating.
class Dict {
 public:
  Dict() : builder_(adopt(g_variant_builder_new(G_VARIANT_TYPE_VARDICT))) {}
  Dict& add(const char* key, GVariant* value) {
    g_variant_builder_add(builder_.get(), "{sv}", key, value);
    return *this;
  }
  /// Text from disk may be anything; the bus takes UTF-8.
  Dict& add(const char* key, const std::string& text);
  Dict& add_flag(const char* key, bool value) { return add(key, g_variant_new_boolean(value)); }
  [[nodiscard]] GPtr<GVariant> end() { return sink(g_variant_builder_end(builder_.get())); }

 private:
  GPtr<GVariantBuilder> builder_;
};

/// As docs/dbus.md describes an element of Deployments.
[[nodiscard]] GPtr<GVariant> deployment_dict(const sysroot::Deployment& deployment);
/// The common part of CachedUpdate and of the details of a difference: a commit that is here but
/// not deployed, hence without "id".
[[nodiscard]] Dict commit_details(const std::string& stateroot, const sysroot::CommitInfo& commit,
                                  const std::string& refspec);

[[nodiscard]] pkgdiff::Diff package_diff(const std::vector<rpm::Nevra>& from,
                                         const std::vector<rpm::Nevra>& to);
/// The a(sua{sv}) of package differences, sorted by kind and name; floating.
[[nodiscard]] GVariant* package_diff_variant(const pkgdiff::Diff& diff);
/// The same as "rpm-diff" of CachedUpdate has it: an a{sv} with upgraded, downgraded, removed and
/// added.
[[nodiscard]] GPtr<GVariant> cached_diff_variant(const pkgdiff::Diff& diff);

}  // namespace atomichost::daemon
