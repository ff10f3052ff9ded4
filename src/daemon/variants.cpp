// SPDX-License-Identifier: LGPL-2.1-or-later
#include "variants.hpp"

#include "api/names.hpp"

namespace atomichost::daemon {

Dict& Dict::add(const char* key, const std::string& text) {
  return add(key, g_variant_new_take_string(
                      g_utf8_make_valid(text.data(), static_cast<gssize>(text.size()))));
}

namespace {

GVariant* signature_list(const sysroot::CommitInfo& commit) {
  const auto builder = adopt(g_variant_builder_new(G_VARIANT_TYPE("av")));
  for (const auto& one : commit.signatures) g_variant_builder_add(builder.get(), "v", one.get());
  return g_variant_builder_end(builder.get());
}

void add_commit(Dict& dict, const sysroot::CommitInfo& commit) {
  dict.add("timestamp", g_variant_new_uint64(commit.timestamp_s));
  if (!commit.version.empty()) dict.add("version", commit.version);
  dict.add_flag("gpg-enabled", commit.is_gpg_enabled);
  if (commit.is_gpg_enabled) dict.add("signatures", signature_list(commit));
}

}  // namespace

GPtr<GVariant> deployment_dict(const sysroot::Deployment& d) {
  Dict dict;
  dict.add("id", d.id());
  dict.add("osname", d.stateroot);
  dict.add("serial", g_variant_new_int32(d.serial));
  dict.add("checksum", d.checksum);
  add_commit(dict, d.commit);
  dict.add_flag("booted", d.is_booted);
  dict.add_flag("staged", d.is_staged);
  dict.add_flag("pinned", d.is_pinned);
  if (d.is_staged) dict.add_flag("finalization-locked", d.is_finalization_locked);
  dict.add("unlocked", d.unlocked);
  if (!d.origin.container_reference.empty())
    dict.add("container-image-reference", d.origin.container_reference);
  else
    dict.add("origin", d.origin.refspec);
  if (!d.origin.override_commit.empty()) dict.add("override-commit", d.origin.override_commit);
  if (!d.origin.custom_url.empty() || !d.origin.custom_description.empty())
    dict.add("custom-origin", g_variant_new("(ss)", d.origin.custom_url.c_str(),
                                            d.origin.custom_description.c_str()));
  if (!d.commit.end_of_life.empty()) dict.add("endoflife", d.commit.end_of_life);
  if (!d.commit.error.empty()) dict.add("commit-error", d.commit.error);
  // Nothing is layered: the base is the commit itself. Tools read these keys all the same.
  dict.add("base-checksum", d.checksum);
  dict.add("base-timestamp", g_variant_new_uint64(d.commit.timestamp_s));
  if (!d.commit.version.empty()) dict.add("base-version", d.commit.version);
  if (d.commit.metadata) dict.add("base-commit-meta", d.commit.metadata.get());
  for (const char* key : {"packages", "requested-packages", "requested-local-packages",
                          "requested-local-fileoverride-packages", "requested-base-removals",
                          "requested-base-local-replacements"})
    dict.add(key, g_variant_new_strv(nullptr, 0));
  dict.add("base-removals", g_variant_new_array(G_VARIANT_TYPE("v"), nullptr, 0));
  dict.add("base-local-replacements", g_variant_new_array(G_VARIANT_TYPE("(vv)"), nullptr, 0));
  dict.add_flag("regenerate-initramfs", false);
  return dict.end();
}

Dict commit_details(const std::string& stateroot, const sysroot::CommitInfo& commit,
                    const std::string& refspec) {
  Dict dict;
  dict.add("osname", stateroot);
  dict.add("checksum", commit.checksum);
  dict.add("origin", refspec);
  add_commit(dict, commit);
  return dict;
}

pkgdiff::Diff package_diff(const std::vector<rpm::Nevra>& from, const std::vector<rpm::Nevra>& to) {
  auto convert = [](const std::vector<rpm::Nevra>& list) {
    std::vector<pkgdiff::Package> packages;
    for (const auto& p : list) packages.push_back({p.name, p.evr(), p.arch});
    return packages;
  };
  return pkgdiff::compare(convert(from), convert(to), [](const auto& a, const auto& b) {
    return rpm::compare_evr(std::string_view(a), std::string_view(b));
  });
}

namespace {

void add_change(GVariantBuilder* list, api::PackageChange kind, const pkgdiff::Package* before,
                const pkgdiff::Package* after) {
  auto tuple = [](const pkgdiff::Package& p) {
    return g_variant_new("(sss)", p.name.c_str(), p.evr.c_str(), p.arch.c_str());
  };
  Dict dict;
  if (before) dict.add("PreviousPackage", tuple(*before));
  if (after) dict.add("NewPackage", tuple(*after));
  g_variant_builder_add(list, "(su@a{sv})", (after ? after : before)->name.c_str(),
                        static_cast<guint32>(kind), dict.end().get());
}

GVariant* changes(const std::vector<pkgdiff::Change>& list) {
  const auto builder = adopt(g_variant_builder_new(G_VARIANT_TYPE("a(us(ss)(ss))")));
  for (const auto& c : list)
    g_variant_builder_add(builder.get(), "(us(ss)(ss))", 0U, c.after.name.c_str(),
                          c.before.evr.c_str(), c.before.arch.c_str(), c.after.evr.c_str(),
                          c.after.arch.c_str());
  return g_variant_builder_end(builder.get());
}

GVariant* singles(const std::vector<pkgdiff::Package>& list) {
  const auto builder = adopt(g_variant_builder_new(G_VARIANT_TYPE("a(usss)")));
  for (const auto& p : list)
    g_variant_builder_add(builder.get(), "(usss)", 0U, p.name.c_str(), p.evr.c_str(),
                          p.arch.c_str());
  return g_variant_builder_end(builder.get());
}

}  // namespace

GVariant* package_diff_variant(const pkgdiff::Diff& diff) {
  using api::PackageChange;
  const auto list = adopt(g_variant_builder_new(G_VARIANT_TYPE("a(sua{sv})")));
  for (const auto& p : diff.added) add_change(list.get(), PackageChange::Added, nullptr, &p);
  for (const auto& p : diff.removed) add_change(list.get(), PackageChange::Removed, &p, nullptr);
  for (const auto& c : diff.upgraded)
    add_change(list.get(), PackageChange::Upgraded, &c.before, &c.after);
  for (const auto& c : diff.downgraded)
    add_change(list.get(), PackageChange::Downgraded, &c.before, &c.after);
  return g_variant_builder_end(list.get());
}

GPtr<GVariant> cached_diff_variant(const pkgdiff::Diff& diff) {
  Dict dict;
  dict.add("upgraded", changes(diff.upgraded));
  dict.add("downgraded", changes(diff.downgraded));
  dict.add("removed", singles(diff.removed));
  dict.add("added", singles(diff.added));
  return dict.end();
}

}  // namespace atomichost::daemon
