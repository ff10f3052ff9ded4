// SPDX-License-Identifier: LGPL-2.1-or-later
#include "query.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include "base/error.hpp"
#include "format/names.hpp"
#include "ostree/gptr.hpp"
#include "sysroot/packages.hpp"
#include "variants.hpp"

namespace atomichost::daemon {

namespace {

GPtr<OstreeRepo> open_repo(const std::string& path) {
  GErrorSink error;
  auto repo = adopt(ostree_repo_open_at(AT_FDCWD, path.c_str(), nullptr, error));
  error.check(repo != nullptr, "Opening the repository " + path);
  return repo;
}

std::string resolve(OstreeRepo* repo, const std::string& revision) {
  char* found = nullptr;
  GErrorSink error;
  if (!ostree_repo_resolve_rev(repo, revision.c_str(), FALSE, &found, error))
    throw Error(ErrorCode::NotFound, fmt::format("'{}' is no commit or branch here", revision));
  return adopt(found).get();
}

void print_change(const char* kind, const pkgdiff::Package* before, const pkgdiff::Package* after) {
  static const pkgdiff::Package none;
  const auto& a = before ? *before : none;
  const auto& b = after ? *after : none;
  fmt::print("{}\t{}\t{}\t{}\t{}\t{}\n", kind, (before ? a : b).name, a.evr, a.arch, b.evr, b.arch);
}

void print_packages(OstreeRepo* repo, const std::string& revision) {
  const auto commit = resolve(repo, revision);
  GVariant* loaded = nullptr;
  GErrorSink error;
  error.check(ostree_repo_load_commit(repo, commit.c_str(), &loaded, nullptr, error),
              "Reading commit " + commit);
  const auto held = adopt(loaded);
  const auto metadata = adopt(g_variant_get_child_value(loaded, 0));
  const char* version = "";
  g_variant_lookup(metadata.get(), format::kCommitVersion, "&s", &version);
  fmt::print("{}\n{}\n", commit, version);
  for (const auto& p : sysroot::packages_of(repo, commit))
    fmt::print("{}\t{}\t{}\n", p.name, p.evr(), p.arch);
}

void print_diff(OstreeRepo* repo, const std::string& from, const std::string& to) {
  const auto before = resolve(repo, from), after = resolve(repo, to);
  fmt::print("{}\n{}\n", before, after);
  const auto diff =
      package_diff(sysroot::packages_of(repo, before), sysroot::packages_of(repo, after));
  for (const auto& c : diff.upgraded) print_change("upgraded", &c.before, &c.after);
  for (const auto& c : diff.downgraded) print_change("downgraded", &c.before, &c.after);
  for (const auto& p : diff.removed) print_change("removed", &p, nullptr);
  for (const auto& p : diff.added) print_change("added", nullptr, &p);
}

}  // namespace

int run_query(const std::vector<std::string>& words) {
  if (words.size() == 3 && words[0] == "packages") {
    print_packages(open_repo(words[1]).get(), words[2]);
  } else if (words.size() == 4 && words[0] == "diff") {
    print_diff(open_repo(words[1]).get(), words[2], words[3]);
  } else {
    throw Error(ErrorCode::InvalidInput, "query: expected 'packages REPO REV' or 'diff REPO A B'");
  }
  return 0;
}

}  // namespace atomichost::daemon
