// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rpmmd/repo_config.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <functional>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/strings.hpp"

namespace atomichost::rpmmd {
namespace {

/// One "key = value" with the line of the key; continuation lines are joined with a newline.
struct Entry {
  std::string key, value;
  int line = 0;
};

/// Where a value stands, for messages.
struct Place {
  const std::filesystem::path& file;
  int line;
  [[nodiscard]] Error error(const std::string& text) const {
    return {ErrorCode::InvalidInput, fmt::format("{}:{}: {}", file.string(), line, text)};
  }
};

bool parse_bool(const Place& place, const Entry& e) {
  std::string v = e.value;
  std::transform(v.begin(), v.end(), v.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (v == "1" || v == "yes" || v == "true" || v == "on" || v == "enabled") return true;
  if (v == "0" || v == "no" || v == "false" || v == "off" || v == "disabled") return false;
  throw place.error(fmt::format("{} must be 1 or 0, not \"{}\"", e.key, e.value));
}

int parse_int(const Place& place, const Entry& e, int least, int most) {
  int value = 0;
  const char* end = e.value.data() + e.value.size();
  const auto [rest, error] = std::from_chars(e.value.data(), end, value);
  if (error != std::errc() || rest != end || value < least || value > most)
    throw place.error(
        fmt::format("{} must be a number from {} to {}, not \"{}\"", e.key, least, most, e.value));
  return value;
}

/// A number with an optional unit letter of @p units ("smhd" -> factors).
double parse_with_unit(const Place& place, const Entry& e, const std::string& text,
                       const std::map<char, double>& units) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  double factor = 1;
  bool ok = error == std::errc() && value >= 0;
  if (ok && rest != end) {
    const auto unit =
        units.find(static_cast<char>(std::tolower(static_cast<unsigned char>(*rest))));
    ok = rest + 1 == end && unit != units.end();
    if (ok) factor = unit->second;
  }
  if (!ok) throw place.error(fmt::format("{} cannot be \"{}\"", e.key, e.value));
  return value * factor;
}

std::int64_t parse_seconds(const Place& place, const Entry& e) {
  if (e.value == "never" || e.value == "-1") return -1;
  return static_cast<std::int64_t>(
      parse_with_unit(place, e, e.value, {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}}));
}

std::int64_t parse_bytes(const Place& place, const Entry& e) {
  return static_cast<std::int64_t>(
      parse_with_unit(place, e, e.value, {{'k', 1024}, {'m', 1 << 20}, {'g', 1 << 30}}));
}

std::vector<std::string> parse_list(const std::string& value) {
  return split_whitespace(replace_all(value, ",", " "));
}

using Setter = std::function<void(RepoConfig&, const Place&, const Entry&)>;

Setter text(std::string RepoConfig::*member) {
  return [member](RepoConfig& c, const Place&, const Entry& e) { c.*member = e.value; };
}
Setter flag(bool RepoConfig::*member) {
  return [member](RepoConfig& c, const Place& p, const Entry& e) { c.*member = parse_bool(p, e); };
}
Setter number(int RepoConfig::*member, int least, int most) {
  return [=](RepoConfig& c, const Place& p, const Entry& e) {
    c.*member = parse_int(p, e, least, most);
  };
}
Setter list(std::vector<std::string> RepoConfig::*member) {
  return [member](RepoConfig& c, const Place&, const Entry& e) { c.*member = parse_list(e.value); };
}
Setter urls(std::vector<std::string> RepoConfig::*member) {
  return [member](RepoConfig& c, const Place& p, const Entry& e) {
    c.*member = parse_list(e.value);
    for (auto& url : c.*member) {
      if (url.starts_with("/")) url = "file://" + url;
      if (url.find(":/") == std::string::npos)
        throw p.error(fmt::format(
            "{}: \"{}\" is no URL; it must begin with http://, https://, ftp:// or file://", e.key,
            url));
    }
  };
}

/// Keys that mean nothing here but are right in a .repo file.
const Setter kIgnored = [](RepoConfig&, const Place&, const Entry&) {};

const std::map<std::string, Setter>& known_keys() {
  static const std::map<std::string, Setter> keys{
      {"name", text(&RepoConfig::name)},
      {"baseurl", urls(&RepoConfig::baseurls)},
      {"mirrorlist", text(&RepoConfig::mirrorlist)},
      {"metalink", text(&RepoConfig::metalink)},
      {"enabled", flag(&RepoConfig::enabled)},
      {"gpgcheck", flag(&RepoConfig::gpgcheck)},
      {"repo_gpgcheck", flag(&RepoConfig::repo_gpgcheck)},
      {"gpgkey", urls(&RepoConfig::gpgkeys)},
      {"priority", number(&RepoConfig::priority, 0, 1 << 20)},
      {"cost", number(&RepoConfig::cost, 0, 1 << 20)},
      {"includepkgs", list(&RepoConfig::includepkgs)},
      {"exclude", list(&RepoConfig::excludepkgs)},
      {"excludepkgs", list(&RepoConfig::excludepkgs)},
      {"skip_if_unavailable", flag(&RepoConfig::skip_if_unavailable)},
      {"sslverify", flag(&RepoConfig::sslverify)},
      {"sslcacert", text(&RepoConfig::sslcacert)},
      {"sslclientcert", text(&RepoConfig::sslclientcert)},
      {"sslclientkey", text(&RepoConfig::sslclientkey)},
      {"proxy", text(&RepoConfig::proxy)},
      {"proxy_username", text(&RepoConfig::proxy_username)},
      {"proxy_password", text(&RepoConfig::proxy_password)},
      {"username", text(&RepoConfig::username)},
      {"password", text(&RepoConfig::password)},
      {"user_agent", text(&RepoConfig::user_agent)},
      {"module_hotfixes", flag(&RepoConfig::module_hotfixes)},
      {"retries", number(&RepoConfig::retries, 0, 1000)},
      {"max_parallel_downloads", number(&RepoConfig::max_parallel_downloads, 1, 20)},
      {"metadata_expire", [](RepoConfig& c, const Place& p,
                             const Entry& e) { c.metadata_expire_s = parse_seconds(p, e); }},
      {"timeout",
       [](RepoConfig& c, const Place& p, const Entry& e) {
         c.timeout_s = static_cast<int>(std::clamp<std::int64_t>(parse_seconds(p, e), 1, 86400));
       }},
      {"minrate",
       [](RepoConfig& c, const Place& p, const Entry& e) { c.minrate = parse_bytes(p, e); }},
      {"ip_resolve",
       [](RepoConfig& c, const Place& p, const Entry& e) {
         if (e.value == "4" || e.value == "IPv4" || e.value == "ipv4") {
           c.ip_resolve = "4";
         } else if (e.value == "6" || e.value == "IPv6" || e.value == "ipv6") {
           c.ip_resolve = "6";
         } else if (e.value != "whatever" && !e.value.empty()) {
           throw p.error(fmt::format("ip_resolve must be 4 or 6, not \"{}\"", e.value));
         }
       }},
      {"bandwidth", kIgnored},  // together with throttle, see finish()
      {"throttle", kIgnored},
      {"type", kIgnored},
      {"async", kIgnored},
      {"autorefresh", kIgnored},
      {"countme", kIgnored},
      {"deltarpm", kIgnored},
      {"deltarpm_percentage", kIgnored},
      {"enabled_metadata", kIgnored},
      {"enablegroups", kIgnored},
      {"failovermethod", kIgnored},
      {"fastestmirror", kIgnored},
      {"gpgcakey", kIgnored},
      {"http_caching", kIgnored},
      {"keepalive", kIgnored},
      {"keepcache", kIgnored},
      {"keeppackages", kIgnored},
      {"localpkg_gpgcheck", kIgnored},
      {"mdpolicy", kIgnored},
      {"mediaid", kIgnored},
      {"metadata_expire_filter", kIgnored},
      {"mirrorlist_expire", kIgnored},
      {"path", kIgnored},
      {"pkg_gpgcheck", kIgnored},
      {"proxy_auth_method", kIgnored},
      {"sslverifystatus", kIgnored},
      {"strict", kIgnored},
      {"ui_repoid_vars", kIgnored},
  };
  return keys;
}

/// $name and ${name} replaced; names nobody set stay and are added to @p undefined.
std::string substitute(const std::string& text, const std::map<std::string, std::string>& vars,
                       std::vector<std::string>& undefined) {
  const auto is_name = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
  };
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '$') {
      out += text[i];
      continue;
    }
    const bool braced = i + 1 < text.size() && text[i + 1] == '{';
    const std::size_t begin = i + (braced ? 2 : 1);
    std::size_t end = begin;
    while (end < text.size() && is_name(text[end])) ++end;
    const std::string name = text.substr(begin, end - begin);
    if (name.empty() || (braced && (end >= text.size() || text[end] != '}'))) {
      out += '$';
      continue;
    }
    const std::size_t last = braced ? end : end - 1;
    if (const auto found = vars.find(name); found != vars.end()) {
      out += found->second;
    } else {
      out += text.substr(i, last - i + 1);
      if (std::find(undefined.begin(), undefined.end(), "$" + name) == undefined.end())
        undefined.push_back("$" + name);
    }
    i = last;
  }
  return out;
}

bool is_valid_id(const std::string& id) {
  return !id.empty() && id != "." && id != ".." &&
         std::all_of(id.begin(), id.end(), [](unsigned char c) {
           return std::isalnum(c) || c == '-' || c == '_' || c == '.' || c == ':';
         });
}

/// What needs all entries of a section: bandwidth with throttle, defaults, contradictions.
void finish(RepoConfig& config, const Place& header, const std::vector<Entry>& entries,
            Warnings* warnings) {
  std::int64_t bandwidth = 0;
  for (const auto& e : entries)
    if (e.key == "bandwidth") bandwidth = parse_bytes({config.file, e.line}, e);
  for (const auto& e : entries) {
    const Place place{config.file, e.line};
    if (e.key == "throttle") {
      if (e.value.ends_with("%")) {
        const double part =
            parse_with_unit(place, e, e.value.substr(0, e.value.size() - 1), {}) / 100;
        config.max_speed = static_cast<std::int64_t>(static_cast<double>(bandwidth) * part);
      } else {
        config.max_speed = parse_bytes(place, e);
      }
    }
    if (e.key == "type" && e.value != "rpm-md" && e.value != "rpmmd" && e.value != "rpm" &&
        e.value != "repomd" && e.value != "yum" && e.value != "NONE" && warnings)
      warnings->push_back(fmt::format("{}:{}: type={} is not known, read as rpm-md",
                                      config.file.string(), e.line, e.value));
  }
  if (config.name.empty()) config.name = config.id;
  if (config.baseurls.empty() && config.mirrorlist.empty() && config.metalink.empty())
    throw header.error(fmt::format(
        "Repository {} has no baseurl, mirrorlist or metalink: say where it is", config.id));
}

}  // namespace

std::vector<RepoConfig> parse_repo_text(const std::string& text, const std::filesystem::path& file,
                                        const std::map<std::string, std::string>& vars,
                                        Warnings* warnings) {
  struct Section {
    std::string id;
    int line;
    std::vector<Entry> entries;
  };
  std::vector<Section> sections;
  int line_number = 0;
  for (const auto& raw : split(text, '\n')) {
    ++line_number;
    const Place place{file, line_number};
    const std::string_view line = trim(raw);
    if (line.empty() || line.front() == '#' || line.front() == ';') continue;
    const bool is_continuation = raw.front() == ' ' || raw.front() == '\t';
    if (is_continuation && !sections.empty() && !sections.back().entries.empty()) {
      sections.back().entries.back().value += "\n" + std::string(line);
      continue;
    }
    if (line.front() == '[') {
      if (line.back() != ']')
        throw place.error(fmt::format("The section \"{}\" lacks its closing ]", line));
      sections.push_back({std::string(trim(line.substr(1, line.size() - 2))), line_number, {}});
      continue;
    }
    const auto separator = line.find_first_of("=:");
    if (separator == std::string_view::npos || separator == 0)
      throw place.error(fmt::format("\"{}\" is neither [section] nor key=value", line));
    if (sections.empty())
      throw place.error(fmt::format("\"{}\" stands before any [repository]", line));
    sections.back().entries.push_back({std::string(trim(line.substr(0, separator))),
                                       std::string(trim(line.substr(separator + 1))), line_number});
  }

  std::vector<std::string> key_names;
  for (const auto& [key, setter] : known_keys()) key_names.push_back(key);
  std::vector<RepoConfig> configs;
  for (auto& section : sections) {
    if (section.id == "main") continue;
    RepoConfig config;
    config.file = file;
    config.line = section.line;
    const Place header{config.file, section.line};
    config.id = substitute(section.id, vars, config.undefined_variables);
    if (!is_valid_id(config.id))
      throw header.error(fmt::format(
          "\"{}\" cannot be a repository id: use letters, digits, and - _ . :", config.id));
    for (const auto& other : configs)
      if (other.id == config.id)
        throw header.error(
            fmt::format("Repository {} was already defined in line {}", config.id, other.line));
    for (auto& entry : section.entries) {
      std::vector<std::string> harmless;  // a name for people may keep its dollar
      entry.value = substitute(entry.value, vars,
                               entry.key == "name" ? harmless : config.undefined_variables);
      const auto setter = known_keys().find(entry.key);
      if (setter == known_keys().end()) {
        if (warnings)
          warnings->push_back(fmt::format("{}:{}: Unknown key {} in repository {}{}", file.string(),
                                          entry.line, entry.key, config.id,
                                          did_you_mean(entry.key, key_names)));
        continue;
      }
      setter->second(config, {config.file, entry.line}, entry);
    }
    finish(config, header, section.entries, warnings);
    configs.push_back(std::move(config));
  }
  return configs;
}

std::vector<RepoConfig> parse_repo_file(const std::filesystem::path& path,
                                        const std::map<std::string, std::string>& vars,
                                        Warnings* warnings) {
  return parse_repo_text(read_file(path), path, vars, warnings);
}

std::vector<RepoConfig> load_repo_directory(const std::filesystem::path& directory,
                                            const std::map<std::string, std::string>& vars,
                                            Warnings* warnings) {
  std::vector<std::filesystem::path> files;
  std::error_code error;
  for (auto it = std::filesystem::directory_iterator(directory, error);
       !error && it != std::filesystem::directory_iterator(); it.increment(error))
    if (it->path().extension() == ".repo") files.push_back(it->path());
  if (error) throw errno_error(error.value(), "Reading repository files in " + directory.string());
  std::sort(files.begin(), files.end());
  std::vector<RepoConfig> all;
  for (const auto& file : files) {
    for (auto& config : parse_repo_file(file, vars, warnings)) {
      for (const auto& other : all)
        if (other.id == config.id)
          throw Error(
              ErrorCode::InvalidInput,
              fmt::format("{}:{}: Repository {} is also defined at {}:{}; remove one",
                          file.string(), config.line, config.id, other.file.string(), other.line));
      all.push_back(std::move(config));
    }
  }
  return all;
}

std::vector<RepoConfig> select_repos(const std::vector<RepoConfig>& all,
                                     const std::vector<std::string>& ids) {
  std::vector<std::string> known, places, missing;
  for (const auto& config : all) {
    known.push_back(config.id);
    if (std::find(places.begin(), places.end(), config.file.string()) == places.end())
      places.push_back(config.file.string());
  }
  std::vector<RepoConfig> selected;
  for (const auto& id : ids) {
    const auto found = std::find_if(all.begin(), all.end(), [&](auto& c) { return c.id == id; });
    if (found == all.end()) {
      missing.push_back(id + did_you_mean(id, known));
      continue;
    }
    const auto twice =
        std::any_of(selected.begin(), selected.end(), [&](auto& c) { return c.id == id; });
    if (!twice) selected.push_back(*found);
  }
  if (!missing.empty())
    throw Error(ErrorCode::NotFound,
                fmt::format("No repository named {}; {}", join(missing, ", "),
                            places.empty() ? "there are no .repo files"
                                           : "looked in " + join(places, ", ")));
  return selected;
}

}  // namespace atomichost::rpmmd
