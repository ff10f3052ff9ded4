// SPDX-License-Identifier: LGPL-2.1-or-later
#include "report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/json.hpp"
#include "base/strings.hpp"

namespace atomichost::compose {
namespace {

// Builds one JSON object member by member.
class Object {
 public:
  Object() : builder_(adopt(json_builder_new())) { json_builder_begin_object(builder_.get()); }
  Object& add(const char* key, const std::string& value) {
    json_builder_set_member_name(builder_.get(), key);
    json_builder_add_string_value(builder_.get(), value.c_str());
    return *this;
  }
  Object& add(const char* key, std::uint64_t value) {
    json_builder_set_member_name(builder_.get(), key);
    json_builder_add_int_value(builder_.get(), static_cast<gint64>(value));
    return *this;
  }
  Object& add_bool(const char* key, bool value) {
    json_builder_set_member_name(builder_.get(), key);
    json_builder_add_boolean_value(builder_.get(), value);
    return *this;
  }
  Object& add(const char* key, double value) {
    json_builder_set_member_name(builder_.get(), key);
    json_builder_add_double_value(builder_.get(), value);
    return *this;
  }
  template <typename List, typename Fill>
  Object& add_list(const char* key, const List& list, Fill fill) {
    json_builder_set_member_name(builder_.get(), key);
    json_builder_begin_array(builder_.get());
    for (const auto& item : list) fill(*this, item);
    json_builder_end_array(builder_.get());
    return *this;
  }
  template <typename Fill>
  void object(Fill fill) {
    json_builder_begin_object(builder_.get());
    fill();
    json_builder_end_object(builder_.get());
  }
  void text(const std::string& value) {
    json_builder_add_string_value(builder_.get(), value.c_str());
  }
  [[nodiscard]] std::string str() {
    json_builder_end_object(builder_.get());
    const auto root = adopt(json_builder_get_root(builder_.get()));
    return json_to_string(root.get());
  }

 private:
  GPtr<JsonBuilder> builder_;
};

double rounded(double seconds) {
  return static_cast<double>(static_cast<std::int64_t>(seconds * 1000 + 0.5)) / 1000;
}

}  // namespace

void Report::step(const std::string& name) {
  const auto now = Clock::now();
  if (!current_.empty()) {
    const double seconds = std::chrono::duration<double>(now - step_begun_).count();
    const auto it = std::find_if(steps_.begin(), steps_.end(),
                                 [&](const auto& s) { return s.first == current_; });
    if (it == steps_.end()) {
      steps_.emplace_back(current_, seconds);
    } else {
      it->second += seconds;
    }
  }
  current_ = name;
  step_begun_ = now;
}

void Report::finish() {
  step("");
  total_s_ = std::chrono::duration<double>(Clock::now() - begun_).count();
}

void Report::print_packages(const char* key,
                            const std::vector<solver::ResolvedPackage>& list) const {
  std::uint64_t download = 0, installed = 0;
  for (const auto& package : list) download += package.size, installed += package.installed_size;
  if (json_) {
    Object object;
    object.add_list(key, list, [](Object& o, const solver::ResolvedPackage& package) {
      o.object([&] {
        o.add("name", package.nevra.name)
            .add("evr", package.nevra.evr())
            .add("arch", package.nevra.arch);
        o.add("repo", package.repo)
            .add("checksum", package.checksum_type + ":" + package.checksum)
            .add("size", package.size);
      });
    });
    object.add("download-size", download).add("installed-size", installed);
    fmt::print("{}", object.str());
    return;
  }
  for (const auto& package : list)
    fmt::print("  {} ({}, {})\n", package.nevra.str(), package.repo, human_bytes(package.size));
  fmt::print("{} packages, {} of packages, {} unpacked\n", list.size(), human_bytes(download),
             human_bytes(installed));
}

void Report::print_transaction(const std::vector<solver::ResolvedPackage>& list) const {
  if (!json_) fmt::print("Packages:\n");
  print_packages("packages", list);
}

void Report::print_downloaded(const std::vector<solver::ResolvedPackage>& list) const {
  if (!json_) fmt::print("Downloaded and verified:\n");
  print_packages("downloaded", list);
}

void Report::unchanged(const std::string& previous) const {
  if (json_) {
    Object object;
    object.add_bool("changed", false).add("ostree-commit", previous);
    fmt::print("{}", object.str());
    return;
  }
  fmt::print(
      "No apparent changes since previous commit {}; use --force-nocache to compose anyway\n",
      previous);
}

std::string Report::compose_json() const {
  Object object;
  object.add_bool("changed", true);
  object.add("ref", ref)
      .add("ostree-commit", commit)
      .add("ostree-content-checksum", content_checksum);
  object.add("ostree-version", version);
  object.add("ostree-timestamp", rfc3339(timestamp_s));
  object.add("rpm-ostree-inputhash", inputhash);
  object.add("ostree-n-metadata-total", metadata.written + metadata.existing);
  object.add("ostree-n-metadata-written", metadata.written);
  object.add("ostree-n-content-total", content.written + content.existing);
  object.add("ostree-n-content-written", content.written);
  object.add("ostree-n-cache-hits", std::uint64_t{imported.from_memo});
  object.add("ostree-content-bytes-written", content.bytes);
  object.add("packages", std::uint64_t{packages});
  object.add("packages-imported", std::uint64_t{imported.read})
      .add("packages-from-cache", std::uint64_t{imported.from_memo});
  object.add_list("steps", steps_, [](Object& o, const auto& step) {
    o.object([&] { o.add("name", step.first).add("seconds", rounded(step.second)); });
  });
  object.add_list("programs", programs, [](Object& o, const assemble::Ran& ran) {
    o.object([&] {
      o.add("name", ran.name)
          .add("seconds", rounded(ran.seconds))
          .add_bool("replayed", ran.replayed);
    });
  });
  object.add_list("not-kept", not_kept, [](Object& o, const std::string& note) { o.text(note); });
  object.add("seconds", rounded(total_s_));
  return object.str();
}

void Report::print() const {
  if (json_) {
    fmt::print("{}", compose_json());
    return;
  }
  fmt::print("Packages: {} ({} imported, {} from the cache)\n", packages, imported.read,
             imported.from_memo);
  fmt::print("Objects:  {} new, {} already there, {} written\n", content.written + metadata.written,
             content.existing + metadata.existing, human_bytes(content.bytes + metadata.bytes));
  const auto replayed =
      std::count_if(programs.begin(), programs.end(), [](const auto& ran) { return ran.replayed; });
  fmt::print("Programs: {} run in the tree, {} replayed\n",
             programs.size() - static_cast<std::size_t>(replayed), replayed);
  std::string times;
  for (const auto& [name, seconds] : steps_)
    times += fmt::format("{}{} {:.1f}", times.empty() ? "" : ", ", name, seconds);
  fmt::print("Seconds:  {:.1f} ({})\n", total_s_, times);
  if (!not_kept.empty()) fmt::print("Not kept: {} package files (listed above)\n", not_kept.size());
  if (!version.empty()) fmt::print("Version:  {}\n", version);
  fmt::print("Commit:   {}\n", commit);
  if (!ref.empty()) fmt::print("Ref:      {}\n", ref);
}

// ---- commit metadata ----

CommitMetadata CommitMetadata::collect(const treefile::Treefile& treefile,
                                       const std::filesystem::path& json_file,
                                       const std::vector<std::string>& strings) {
  CommitMetadata metadata;
  metadata.json_values_ = treefile.add_commit_metadata;
  if (!json_file.empty()) {
    const auto root = json_from_string(read_file(json_file), json_file);
    if (!JSON_NODE_HOLDS_OBJECT(root.get()))
      throw Error(ErrorCode::InvalidInput,
                  json_file.string() + ": commit metadata must be a JSON object");
    JsonObjectIter iter;
    const char* name = nullptr;
    JsonNode* node = nullptr;
    json_object_iter_init(&iter, json_node_get_object(root.get()));
    while (json_object_iter_next(&iter, &name, &node))
      metadata.json_values_[name] = std::string(trim(json_to_string(node, /*pretty=*/false)));
  }
  for (const auto& text : strings) {
    const auto equal = text.find('=');
    if (equal == std::string::npos || equal == 0)
      throw Error(ErrorCode::InvalidInput,
                  fmt::format("--add-metadata-string={}: must be KEY=VALUE", text));
    const auto node =
        adopt(json_node_init_string(json_node_alloc(), text.substr(equal + 1).c_str()));
    metadata.json_values_[text.substr(0, equal)] =
        std::string(trim(json_to_string(node.get(), /*pretty=*/false)));
  }
  if (const auto it = metadata.json_values_.find("version"); it != metadata.json_values_.end()) {
    const auto root = json_from_string(it->second, "commit metadata key version");
    if (!JSON_NODE_HOLDS_VALUE(root.get()) || json_node_get_value_type(root.get()) != G_TYPE_STRING)
      throw Error(ErrorCode::InvalidInput, "The commit metadata key 'version' must be a string");
    metadata.version = json_node_get_string(root.get());
  }
  return metadata;
}

std::string CommitMetadata::identity() const {
  std::string text;
  for (const auto& [key, value] : json_values_)
    if (key != "version") text += key + "=" + value + "\n";
  return text;
}

GPtr<GVariant> CommitMetadata::build(const Facts& facts) const {
  std::map<std::string, GPtr<GVariant>>
      values;  // sorted: the commit is the same however it came about
  for (const auto& [key, value] : json_values_) {
    const auto root = json_from_string(value, "commit metadata key " + key);
    GErrorSink error;
    GVariant* variant = json_gvariant_deserialize(root.get(), nullptr, error);
    error.check(variant != nullptr, "Commit metadata key " + key);
    values[key] = sink(variant);
  }
  auto strv = [](const std::vector<std::string>& list) {
    std::vector<const char*> pointers;
    for (const auto& text : list) pointers.push_back(text.c_str());
    return sink(g_variant_new_strv(pointers.data(), static_cast<gssize>(pointers.size())));
  };
  if (!facts.version.empty()) values["version"] = sink(g_variant_new_string(facts.version.c_str()));
  values["rpmostree.inputhash"] = sink(g_variant_new_string(facts.inputhash.c_str()));
  GVariantBuilder packages;
  g_variant_builder_init(&packages, G_VARIANT_TYPE("a(sssss)"));
  for (const auto& package : facts.resolved)  // sorted by NEVRA
    g_variant_builder_add(&packages, "(sssss)", package.nevra.name.c_str(),
                          package.nevra.epoch.c_str(), package.nevra.version.c_str(),
                          package.nevra.release.c_str(), package.nevra.arch.c_str());
  values["rpmostree.rpmdb.pkglist"] = sink(g_variant_builder_end(&packages));
  GVariantBuilder repos;
  g_variant_builder_init(&repos, G_VARIANT_TYPE("aa{sv}"));
  std::map<std::string, std::int64_t> sorted;
  for (const auto& repo : facts.repos) sorted[repo.config.id] = repo.timestamp_s;
  for (const auto& [id, timestamp] : sorted) {
    g_variant_builder_open(&repos, G_VARIANT_TYPE("a{sv}"));
    g_variant_builder_add(&repos, "{sv}", "id", g_variant_new_string(id.c_str()));
    g_variant_builder_add(&repos, "{sv}", "timestamp",
                          g_variant_new_uint64(static_cast<guint64>(timestamp)));
    g_variant_builder_close(&repos);
  }
  values["rpmostree.rpmmd-repos"] = sink(g_variant_builder_end(&repos));
  if (!facts.initramfs_args.empty())
    values["rpmostree.initramfs-args"] = strv(facts.initramfs_args);
  if (facts.container_cmd) values["ostree.container-cmd"] = strv(*facts.container_cmd);
  if (!facts.kernel.empty())
    values["ostree.linux"] = sink(g_variant_new_string(facts.kernel.c_str()));
  if (facts.bootable) values["ostree.bootable"] = sink(g_variant_new_boolean(TRUE));
  GVariantBuilder builder;
  g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
  for (const auto& [key, value] : values)
    g_variant_builder_add(&builder, "{sv}", key.c_str(), value.get());
  return sink(g_variant_builder_end(&builder));
}

}  // namespace atomichost::compose
