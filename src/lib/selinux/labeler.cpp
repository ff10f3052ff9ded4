// SPDX-License-Identifier: LGPL-2.1-or-later
#include "selinux/labeler.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <glib.h>
#include <pcre2.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <bitset>
#include <deque>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/sha256.hpp"
#include "base/strings.hpp"

namespace atomichost::selinux {
namespace fs = std::filesystem;
namespace {

constexpr const char* kMainFile = "file_contexts";
constexpr std::string_view kNone = "<<none>>";
constexpr std::size_t kLongest = 1024;  // longer literal beginnings are cut: still beginnings

struct FreeCode {
  void operator()(pcre2_code* code) const noexcept { pcre2_code_free(code); }
};
struct FreeMatch {
  void operator()(pcre2_match_data* match) const noexcept { pcre2_match_data_free(match); }
};

bool is_meta(char c) noexcept {
  return std::string_view(".^$?*+|[({").find(c) != std::string_view::npos;
}

// As libselinux decides whether a rule is for exactly one path: such rules win over all others.
bool has_meta(std::string_view regex) noexcept {
  for (std::size_t i = 0; i < regex.size(); ++i) {
    if (is_meta(regex[i])) return true;
    if (regex[i] == '\\') ++i;
  }
  return false;
}

// Length of the first path component when that is plain text ("/usr" of "/usr/.*"), else 0: the
// rest is matched against the rest of paths in that directory.
std::size_t stem_length(std::string_view text) noexcept {
  const auto slash = text.find('/', 1);
  if (slash == std::string_view::npos) return 0;
  return std::any_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(slash), is_meta)
             ? 0
             : slash;
}

// What every match of ^regex$ begins with. @p whole: it is all of the regular expression.
std::string literal_beginning(std::string_view regex, bool& whole) {
  std::string out;
  whole = false;
  int depth = 0;  // an alternative outside parentheses can begin with anything
  for (std::size_t i = 0; i < regex.size(); ++i) {
    if (regex[i] == '\\')
      ++i;
    else if (regex[i] == '(')
      ++depth;
    else if (regex[i] == ')')
      --depth;
    else if (regex[i] == '|' && depth <= 0)
      return out;
  }
  for (std::size_t i = 0; i < regex.size(); ++i) {
    char c = regex[i];
    if (c == '\\') {
      if (i + 1 == regex.size() || g_ascii_isalnum(regex[i + 1])) return out;  // \d, \w, ...
      c = regex[++i];
    } else if (is_meta(c)) {
      if ((c == '?' || c == '*' || c == '{') && !out.empty()) out.pop_back();  // may be absent
      return out;
    }
    out += c;
  }
  whole = true;
  return out;
}

/// One line of a file_contexts file.
struct Rule {
  std::string regex;
  std::string context;  ///< "" for <<none>>
  mode_t type = 0;      ///< file type bits; 0: any
  std::size_t stem = 0;
  std::string literal;  ///< what every matching path begins with
  enum class Kind { Exact, Below, Regex } kind = Kind::Regex;  ///< Below: literal(/.*)?
  std::string source;                                          ///< "file_contexts:12"
  mutable std::once_flag compiled;
  mutable std::unique_ptr<pcre2_code, FreeCode> code;

  bool matches(std::string_view path) const {
    switch (kind) {
      case Kind::Exact:
        return path == literal;
      case Kind::Below:
        return path.starts_with(literal) &&
               (path.size() == literal.size() || path[literal.size()] == '/');
      case Kind::Regex:
        break;
    }
    if (stem && (path.size() <= stem || path[stem] != '/')) return false;
    std::call_once(compiled, [this] { compile(); });
    thread_local const std::unique_ptr<pcre2_match_data, FreeMatch> match(
        pcre2_match_data_create(1, nullptr));
    return pcre2_match(code.get(), reinterpret_cast<PCRE2_SPTR>(path.data()), path.size(), 0, 0,
                       match.get(), nullptr) >= 0;
  }

 private:
  void compile() const {
    const std::string anchored = "^" + regex + "$";
    int error = 0;
    PCRE2_SIZE at = 0;
    code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(anchored.data()), anchored.size(),
                             PCRE2_DOTALL, &error, &at, nullptr));
    if (code) {
      (void)pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);  // only faster
      return;
    }
    std::array<unsigned char, 256> reason{};
    pcre2_get_error_message(error, reason.data(), reason.size());
    throw Error(ErrorCode::InvalidInput,
                fmt::format("{}: \"{}\" is not a regular expression: {} (at {})", source, regex,
                            reinterpret_cast<const char*>(reason.data()), at));
  }
};

mode_t type_from(const std::string& text, const std::string& source) {
  static const std::unordered_map<std::string, mode_t> kTypes{
      {"--", S_IFREG}, {"-d", S_IFDIR}, {"-l", S_IFLNK}, {"-c", S_IFCHR},
      {"-b", S_IFBLK}, {"-p", S_IFIFO}, {"-s", S_IFSOCK}};
  const auto it = kTypes.find(text);
  if (it == kTypes.end())
    throw Error(ErrorCode::InvalidInput, fmt::format("{}: unknown file type \"{}\"", source, text));
  return it->second;
}

struct Substitution {
  std::string from, to;
  // "/usr/etc/x" under "/usr/etc /etc" is "/etc/x".
  bool apply(std::string& path) const {
    if (!path.starts_with(from)) return false;
    if (path.size() > from.size() && path[from.size()] != '/') return false;
    const bool to_root = to == "/" && path.size() > from.size();
    path = to + path.substr(from.size() + (to_root ? 1 : 0));
    return true;
  }
};

bool apply_first(const std::vector<Substitution>& all, std::string& path) {
  return std::any_of(all.begin(), all.end(), [&](const auto& one) { return one.apply(path); });
}

template <typename Line>
void for_each_line(const std::string& text, const std::string& name, const Line& line) {
  std::size_t number = 0;
  for (const std::string& whole : split(text, '\n')) {
    ++number;
    const std::vector<std::string> words = split_whitespace(whole);
    if (!words.empty() && !words[0].starts_with('#'))
      line(words, fmt::format("{}:{}", name, number));
  }
}

}  // namespace

struct Labeler::Impl {
  std::deque<Rule> rules;  // in the order in which they override: the last match wins
  std::vector<Substitution> local_substitutions, substitutions;
  std::unordered_map<std::string_view, std::vector<std::size_t>> by_literal;  // ascending
  std::bitset<kLongest + 1> lengths;  // those that occur as keys of by_literal
  std::string id;

  void add_rules(const std::string& text, const std::string& path) {
    for_each_line(text, path, [&](const std::vector<std::string>& words, std::string source) {
      if (words.size() < 2)
        throw Error(ErrorCode::InvalidInput, source + ": a rule has a path and a context");
      Rule& rule = rules.emplace_back();
      rule.regex = words[0];
      if (words.size() > 2) rule.type = type_from(words[1], source);
      rule.context = words[words.size() > 2 ? 2 : 1];
      if (rule.context == kNone) rule.context.clear();
      rule.source = std::move(source);
    });
  }

  static std::vector<Substitution> substitutions_of(const std::string& text,
                                                    const std::string& path) {
    std::vector<Substitution> all;
    for_each_line(text, path, [&](const std::vector<std::string>& words, const std::string&) {
      if (words.size() > 1) all.push_back({words[0], words[1]});
    });
    std::reverse(all.begin(), all.end());  // later lines first
    return all;
  }

  void index() {
    std::vector<std::size_t> order;  // rules for one path override all patterns
    for (const bool meta : {true, false})
      for (std::size_t i = 0; i < rules.size(); ++i)
        if (has_meta(rules[i].regex) == meta) order.push_back(i);
    ranks.resize(rules.size());
    for (std::size_t rank = 0; rank < order.size(); ++rank) {
      Rule& rule = rules[order[rank]];
      ranks[rank] = &rule;
      rule.stem = stem_length(rule.regex);
      bool whole = false;
      rule.literal = literal_beginning(rule.regex, whole);
      if (whole) {
        rule.kind = Rule::Kind::Exact;
      } else if (constexpr std::string_view kBelow = "(/.*)?"; rule.regex.ends_with(kBelow)) {
        const std::string_view above(rule.regex.data(), rule.regex.size() - kBelow.size());
        (void)literal_beginning(above, whole);
        if (whole) rule.kind = Rule::Kind::Below;
      }
      if (rule.literal.size() < rule.stem) rule.literal = rule.regex.substr(0, rule.stem);
      const std::string_view key = std::string_view(rule.literal).substr(0, kLongest);
      by_literal[key].push_back(rank);
      lengths.set(key.size());
    }
  }

  const Rule* find(std::string_view path, mode_t type) const {
    thread_local std::vector<std::size_t> candidates;
    candidates.clear();
    for (std::size_t n = std::min(path.size(), kLongest) + 1; n-- > 0;) {
      if (!lengths[n]) continue;
      if (const auto it = by_literal.find(path.substr(0, n)); it != by_literal.end())
        candidates.insert(candidates.end(), it->second.begin(), it->second.end());
    }
    std::sort(candidates.begin(), candidates.end(), std::greater<>());
    for (const std::size_t rank : candidates) {
      const Rule& rule = *ranks[rank];
      if ((!type || !rule.type || type == rule.type) && rule.matches(path)) return &rule;
    }
    return nullptr;
  }

  std::vector<const Rule*> ranks;
};

Labeler::Labeler(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Labeler::Labeler(Labeler&&) noexcept = default;
Labeler& Labeler::operator=(Labeler&&) noexcept = default;
Labeler::~Labeler() = default;

Labeler Labeler::open(const fs::path& dir) {
  auto impl = std::make_unique<Impl>();
  Sha256 digest;
  // The texts alone decide, never a compiled file_contexts.bin beside them.
  auto take = [&](const std::string& name) -> std::string {
    if (!fs::exists(dir / name)) return {};
    std::string text = read_file(dir / name);
    digest.update(fmt::format("{} {}\n", name, text.size()));
    digest.update(text);
    return text;
  };
  if (!fs::exists(dir / kMainFile))
    throw Error(ErrorCode::NotFound,
                "There are no SELinux file contexts: no " + (dir / kMainFile).string());
  with_context("Reading the SELinux file contexts", [&] {
    for (const std::string extension : {"", ".homedirs", ".local"}) {
      const std::string name = kMainFile + extension;
      impl->add_rules(take(name), dir / name);
    }
    const std::string subs = std::string(kMainFile) + ".subs", dist = subs + "_dist";
    impl->local_substitutions = Impl::substitutions_of(take(subs), dir / subs);
    impl->substitutions = Impl::substitutions_of(take(dist), dir / dist);
    impl->index();
  });
  impl->id = to_hex(digest.finish());
  return Labeler(std::move(impl));
}

std::string Labeler::label(std::string_view path, mode_t mode) const {
  std::string name(path);
  name.erase(
      std::unique(name.begin(), name.end(), [](char a, char b) { return a == '/' && b == '/'; }),
      name.end());
  if (name.size() > 1 && name.back() == '/') name.pop_back();
  apply_first(impl_->local_substitutions, name);
  apply_first(impl_->substitutions, name);
  const Rule* rule = impl_->find(name, mode & S_IFMT);
  return rule ? rule->context : std::string();
}

const std::string& Labeler::id() const noexcept {
  return impl_->id;
}

}  // namespace atomichost::selinux
