// SPDX-License-Identifier: LGPL-2.1-or-later
#include "treefile/lockfile.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/strings.hpp"

namespace atomichost::treefile {

namespace {

using Kind = Value::Kind;

// One file into the lockfile; problems are gathered.
class Reader {
 public:
  Reader(Lockfile& into, Problems& problems) : into_(into), problems_(problems) {}

  void read(const Value& document) {
    fields(document, "the lockfile", {"packages", "metadata"});
    const Value* packages = document.find("packages");
    if (packages == nullptr)
      problems_.add(document.where, "the lockfile lacks \"packages\"");
    else if (expect(*packages, Kind::Map, "packages", "a map of package names"))
      for (std::size_t i = 0; i < packages->keys.size(); ++i)
        package(packages->keys[i], packages->key_where[i], packages->items[i]);
    const Value* metadata = document.find("metadata");
    if (metadata != nullptr && expect(*metadata, Kind::Map, "metadata", "a map")) about(*metadata);
  }

 private:
  void fields(const Value& map, const std::string& what, const std::vector<std::string>& known) {
    for (std::size_t i = 0; i < map.keys.size(); ++i)
      if (std::find(known.begin(), known.end(), map.keys[i]) == known.end())
        problems_.add(map.key_where[i], "unknown field \"" + map.keys[i] + "\" in " + what +
                                            did_you_mean(map.keys[i], known) + "; known are " +
                                            join(known, ", "));
  }
  bool expect(const Value& v, Kind kind, const std::string& what, const std::string& wanted) {
    if (v.kind == kind) return true;
    problems_.add(v.where, what + " must be " + wanted + ", not " + v.describe());
    return false;
  }

  // [EPOCH:]VERSION-RELEASE
  static bool is_evr(const std::string& evr) {
    const std::size_t colon = evr.find(':');
    const std::string rest = colon == std::string::npos ? evr : evr.substr(colon + 1);
    if (colon != std::string::npos && (colon == 0 || evr.find_first_not_of("0123456789") < colon))
      return false;
    const std::size_t dash = rest.find('-');
    return dash != std::string::npos && dash > 0 && dash + 1 < rest.size() &&
           rest.find('-', dash + 1) == std::string::npos &&
           rest.find_first_of(" \t\n/:") == std::string::npos;
  }
  bool digest(const std::string& text) {
    for (const auto& [algorithm, digits] : {std::pair<const char*, std::size_t>{"sha256:", 64},
                                            {"sha512:", 128},
                                            {"sha384:", 96},
                                            {"sha224:", 56},
                                            {"sha1:", 40},
                                            {"md5:", 32}})
      if (text.starts_with(algorithm)) {
        const std::string hex = text.substr(std::string_view(algorithm).size());
        return hex.size() == digits &&
               hex.find_first_not_of("0123456789abcdef") == std::string::npos;
      }
    return false;
  }

  void package(const std::string& name, const Where& where, const Value& v) {
    const std::string what = "the entry of " + name;
    if (!expect(v, Kind::Map, what, "a map with \"evra\" or \"evr\"")) return;
    fields(v, what, {"evra", "evr", "digest", "metadata"});
    LockedPackage locked;
    locked.where = where;
    const Value* evra = v.find("evra");
    const Value* evr = v.find("evr");
    if ((evra == nullptr) == (evr == nullptr)) {
      problems_.add(where, what + " must have one of \"evra\" and \"evr\"" +
                               (evra != nullptr ? ", not both" : ""));
      return;
    }
    const Value& version = evra != nullptr ? *evra : *evr;
    if (!expect(version, Kind::String, what, "a version in quotes")) return;
    locked.evr = version.text;
    if (evra != nullptr) {
      const std::size_t dot = locked.evr.rfind('.');
      if (dot == std::string::npos || dot + 1 == locked.evr.size() ||
          locked.evr.find('-', dot) != std::string::npos) {
        problems_.add(version.where, "\"" + version.text +
                                         "\" is not [EPOCH:]VERSION-RELEASE.ARCH; without the " +
                                         "architecture, write evr instead of evra");
        return;
      }
      locked.arch = locked.evr.substr(dot + 1);
      locked.evr.resize(dot);
    }
    if (!is_evr(locked.evr)) {
      problems_.add(version.where, "\"" + version.text + "\" is not [EPOCH:]VERSION-RELEASE" +
                                       (evra != nullptr ? ".ARCH" : ""));
      return;
    }
    if (const Value* d = v.find("digest"); d != nullptr && d->kind != Kind::Null) {
      if (!expect(*d, Kind::String, "digest of " + name, "a text")) return;
      if (!digest(d->text)) {
        problems_.add(d->where, "\"" + d->text +
                                    "\" is not ALGORITHM:HEX, such as \"sha256:\" and 64 " +
                                    "lower-case hex digits");
        return;
      }
      locked.digest = d->text;
    }
    if (const Value* m = v.find("metadata"); m != nullptr && m->kind != Kind::Null) {
      if (!expect(*m, Kind::Map, "metadata of " + name, "a map")) return;
      try {
        locked.metadata = m->to_json();
      } catch (const Error& e) {
        problems_.add(e);
        return;
      }
    }
    into_.packages[name] = std::move(locked);
  }

  void about(const Value& metadata) {
    fields(metadata, "metadata", {"generated", "rpmmd_repos"});
    if (const Value* generated = metadata.find("generated");
        generated != nullptr && generated->kind != Kind::Null &&
        expect(*generated, Kind::String, "generated", "a time in quotes"))
      into_.generated = generated->text;
    const Value* repos = metadata.find("rpmmd_repos");
    if (repos == nullptr || repos->kind == Kind::Null ||
        !expect(*repos, Kind::Map, "rpmmd_repos", "a map of repository ids"))
      return;
    for (std::size_t i = 0; i < repos->keys.size(); ++i) {
      const Value& repo = repos->items[i];
      const std::string what = "the entry of repository " + repos->keys[i];
      if (!expect(repo, Kind::Map, what, "a map")) continue;
      fields(repo, what, {"generated"});
      const Value* generated = repo.find("generated");
      if (generated == nullptr)
        problems_.add(repo.where, what + " lacks \"generated\"");
      else if (expect(*generated, Kind::String, what, "a time in quotes"))
        into_.rpmmd_repos[repos->keys[i]] = generated->text;
    }
  }

  Lockfile& into_;
  Problems& problems_;
};

std::string quoted(const std::string& text) {
  Value v;
  v.kind = Kind::String;
  v.text = text;
  return v.to_json();
}

}  // namespace

Lockfile load_lockfiles(const std::vector<std::filesystem::path>& paths) {
  Lockfile lockfile;
  Problems problems;
  for (const auto& path : paths) {
    const Value document = with_context("Reading the lockfile", [&] { return parse_file(path); });
    Reader(lockfile, problems).read(document);
  }
  problems.throw_if_any();
  return lockfile;
}

std::string to_json(const Lockfile& lockfile) {
  std::vector<std::string> packages;
  for (const auto& [name, locked] : lockfile.packages) {
    std::string entry = quoted(name) + ":{" + (locked.arch.empty() ? "\"evr\":" : "\"evra\":") +
                        quoted(locked.evra());
    if (!locked.digest.empty()) entry += ",\"digest\":" + quoted(locked.digest);
    if (!locked.metadata.empty()) entry += ",\"metadata\":" + locked.metadata;
    packages.push_back(entry + "}");
  }
  std::vector<std::string> metadata;
  if (!lockfile.generated.empty())
    metadata.push_back("\"generated\":" + quoted(lockfile.generated));
  std::vector<std::string> repos;
  for (const auto& [id, generated] : lockfile.rpmmd_repos)
    repos.push_back(quoted(id) + ":{\"generated\":" + quoted(generated) + "}");
  if (!repos.empty()) metadata.push_back("\"rpmmd_repos\":{" + join(repos, ",") + "}");
  std::string text = "{\"packages\":{" + join(packages, ",") + "}";
  if (!metadata.empty()) text += ",\"metadata\":{" + join(metadata, ",") + "}";
  return json_to_string(json_from_string(text + "}", "lockfile").get(), /*pretty=*/true);
}

}  // namespace atomichost::treefile
