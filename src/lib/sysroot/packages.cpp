// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sysroot/packages.hpp"

#include <fcntl.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/file.hpp"
#include "format/names.hpp"
#include "ostree/gptr.hpp"
#include "rpm/rpmdb.hpp"

namespace atomichost::sysroot {
namespace {

std::vector<rpm::Nevra> from_list(GVariant* list, const std::string& commit) {
  if (!g_variant_is_of_type(list, G_VARIANT_TYPE("a(sssss)")))
    throw Error(ErrorCode::Corrupt, "The package list of commit " + commit + " is damaged");
  std::vector<rpm::Nevra> packages;
  GVariantIter iter;
  g_variant_iter_init(&iter, list);
  const char *name, *epoch, *version, *release, *arch;
  while (g_variant_iter_next(&iter, "(&s&s&s&s&s)", &name, &epoch, &version, &release, &arch))
    packages.push_back({name, *epoch ? epoch : "0", version, release, arch});
  return packages;
}

std::vector<rpm::Nevra> from_database(OstreeRepo* repo, const std::string& commit) {
  const TempDir temp;
  OstreeRepoCheckoutAtOptions options{};
  options.mode = OSTREE_REPO_CHECKOUT_MODE_USER;
  const std::string subpath = std::string("/") + format::kRpmDatabase;
  options.subpath = subpath.c_str();
  GErrorSink error;
  if (!ostree_repo_checkout_at(repo, &options, AT_FDCWD, (temp.path() / "db").c_str(),
                               commit.c_str(), nullptr, error))
    throw Error(ErrorCode::NotFound,
                "Commit " + commit + " has no package list, and no RPM database that is here");
  return rpm::read_rpmdb(temp.path() / "db");
}

}  // namespace

std::vector<rpm::Nevra> packages_of(OstreeRepo* repo, const std::string& commit) {
  GVariant* loaded = nullptr;
  GErrorSink error;
  if (!ostree_repo_load_commit(repo, commit.c_str(), &loaded, nullptr, error))
    throw Error(ErrorCode::NotFound,
                "Reading commit " + commit + ": " + (error.get() ? error.get()->message : ""));
  const auto held = adopt(loaded);
  const auto metadata = adopt(g_variant_get_child_value(loaded, 0));
  const auto list =
      adopt(g_variant_lookup_value(metadata.get(), format::kCommitPackageList, nullptr));
  auto packages = list ? from_list(list.get(), commit) : from_database(repo, commit);
  std::ranges::sort(packages);
  return packages;
}

}  // namespace atomichost::sysroot
