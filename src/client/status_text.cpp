// SPDX-License-Identifier: LGPL-2.1-or-later
#include "status_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "base/strings.hpp"

namespace atomichost::client {
namespace {

using Rows = std::vector<std::pair<std::string, std::string>>;

std::string time_text(std::uint64_t seconds) {
  return rfc3339(static_cast<std::int64_t>(std::min<std::uint64_t>(seconds, INT64_MAX)));
}

/// Keys end in one column, as people know it.
std::string rows_text(const Rows& rows) {
  std::size_t width = 0;
  for (const auto& [key, value] : rows) width = std::max(width, key.size());
  width = std::max<std::size_t>(width, 22);
  std::string text;
  for (const auto& [key, value] : rows) text += fmt::format("  {:>{}}: {}\n", key, width, value);
  return text;
}

/// Each signature in a line or two.
void add_signatures(Rows& rows, const Fields& fields, const Terminal& terminal) {
  if (!fields.flag("gpg-enabled")) return;
  const auto list = fields.value("signatures", "av");
  const gsize count = list ? g_variant_n_children(list.get()) : 0;
  if (count == 0) rows.emplace_back("GPGSignature", terminal.red("(unsigned)"));
  for (gsize i = 0; i < count; ++i) {
    const auto boxed = adopt(g_variant_get_child_value(list.get(), i));
    const auto one = adopt(g_variant_get_variant(boxed.get()));
    if (!g_variant_is_of_type(one.get(), G_VARIANT_TYPE("(bbbbbsxxsssssxx)"))) continue;
    gboolean valid, expired, key_expired, key_revoked, key_missing;
    const char *fingerprint, *algorithm, *user, *mail;
    g_variant_get(one.get(), "(bbbbb&sxx&s&s&s&s&sxx)", &valid, &expired, &key_expired,
                  &key_revoked, &key_missing, &fingerprint, nullptr, nullptr, &algorithm, nullptr,
                  &user, &mail, nullptr, nullptr, nullptr);
    std::string what = valid         ? terminal.green("Valid signature by ")
                       : key_missing ? terminal.red("Can't check signature: public key not found: ")
                       : key_revoked ? terminal.red("Signature by a revoked key: ")
                       : key_expired ? terminal.red("Signature by an expired key: ")
                       : expired     ? terminal.red("Expired signature by ")
                                     : terminal.red("Invalid signature by ");
    what += fingerprint;
    if (*user) what += fmt::format(" ({} <{}>)", user, mail);
    rows.emplace_back("GPGSignature", what);
  }
}

void add_version(Rows& rows, const Fields& fields) {
  const auto version = fields.text("version");
  const auto time = time_text(fields.number("timestamp"));
  if (version.empty())
    rows.emplace_back("Timestamp", time);
  else
    rows.emplace_back("Version", fmt::format("{} ({})", version, time));
}

std::string deployment_text(const Fields& d, std::size_t index, const StatusView& view) {
  const auto& terminal = view.terminal;
  std::string name = d.text("container-image-reference");
  if (name.empty()) name = d.text("origin");
  if (const auto custom = d.value("custom-origin", "(ss)")) {
    const char *url, *description;
    g_variant_get(custom.get(), "(&s&s)", &url, &description);
    if (*url) name = url;
  }
  if (name.empty()) name = d.text("checksum");
  std::string text =
      fmt::format("{} {}{}\n", d.flag("booted") ? terminal.bullet() : " ", terminal.bold(name),
                  view.is_verbose ? fmt::format(" (index: {})", index) : "");
  Rows rows;
  add_version(rows, d);
  rows.emplace_back("Commit", d.text("checksum"));
  add_signatures(rows, d, terminal);
  if (view.is_verbose) {
    rows.emplace_back("StateRoot", d.text("osname"));
    rows.emplace_back("Staged", d.flag("staged") ? "yes" : "no");
  }
  if (d.flag("finalization-locked")) rows.emplace_back("FinalizationLocked", "yes");
  if (!d.text("override-commit").empty()) rows.emplace_back("Override", "stays on this commit");
  if (d.flag("pinned")) rows.emplace_back("Pinned", "yes");
  if (const auto unlocked = d.text("unlocked"); !unlocked.empty() && unlocked != "none")
    rows.emplace_back("Unlocked", terminal.red(unlocked));
  if (const auto end = d.text("endoflife"); !end.empty())
    rows.emplace_back("EndOfLife", terminal.red(end));
  if (const auto error = d.text("commit-error"); !error.empty())
    rows.emplace_back("Error", terminal.red(error));
  return text + rows_text(rows);
}

}  // namespace

std::string update_text(const Fields& update, const Terminal& terminal) {
  if (update.is_empty()) return "";
  Rows rows;
  add_version(rows, update);
  rows.emplace_back("Commit", update.text("checksum"));
  add_signatures(rows, update, terminal);
  if (const auto diff = update.value("rpm-diff", "a{sv}")) {
    const Fields lists{adopt(g_variant_ref(diff.get()))};
    std::vector<std::string> counts;
    for (const auto& [key, type] :
         std::initializer_list<std::pair<const char*, const char*>>{{"upgraded", "a(us(ss)(ss))"},
                                                                    {"downgraded", "a(us(ss)(ss))"},
                                                                    {"removed", "a(usss)"},
                                                                    {"added", "a(usss)"}})
      if (const auto list = lists.value(key, type); list && g_variant_n_children(list.get()) > 0)
        counts.push_back(fmt::format("{} {}", g_variant_n_children(list.get()), key));
    if (!counts.empty()) rows.emplace_back("Diff", join(counts, ", "));
  }
  return "AvailableUpdate:\n" + rows_text(rows);
}

std::string status_text(const StatusView& view) {
  const bool is_busy = !view.sysroot.text("ActiveTransactionPath").empty();
  std::string text = fmt::format("State: {}\n", is_busy ? "busy" : "idle");
  if (is_busy) {
    if (const auto active = view.sysroot.value("ActiveTransaction", "(sss)")) {
      const char *method, *sender;
      g_variant_get(active.get(), "(&s&ss)", &method, &sender, nullptr);
      text += fmt::format("Transaction: {} by {}\n", method, sender);
    }
  }
  if (const auto policy = view.sysroot.text("AutomaticUpdatePolicy");
      !policy.empty() && (policy != "none" || view.is_verbose))
    text += fmt::format("AutomaticUpdates: {}\n", policy == "none" ? "disabled" : policy);
  text += "Deployments:\n";
  for (std::size_t i = 0; i < view.deployments.size(); ++i) {
    if (i > 0) text += "\n";
    text += deployment_text(view.deployments[i], i, view);
  }
  if (view.deployments.empty()) text += "  (none)\n";
  if (const auto update = update_text(view.cached_update, view.terminal); !update.empty())
    text += "\n" + update;
  return text;
}

}  // namespace atomichost::client
