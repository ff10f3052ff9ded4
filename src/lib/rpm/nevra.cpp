// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rpm/nevra.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "rpm/librpm.hpp"

namespace atomichost::rpm {
namespace {

using VersionPtr = std::unique_ptr<std::remove_pointer_t<rpmver>, Release<rpmverFree>>;

bool is_number(std::string_view text) {
  return !text.empty() && text.size() <= 10 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

int compare(const std::string& epoch_a, const std::string& version_a, const std::string* release_a,
            const std::string& epoch_b, const std::string& version_b,
            const std::string* release_b) {
  const auto make = [](const std::string& epoch, const std::string& version,
                       const std::string* release) {
    return VersionPtr(rpmverNew(epoch.empty() ? "0" : epoch.c_str(), version.c_str(),
                                release ? release->c_str() : nullptr));
  };
  const VersionPtr a = make(epoch_a, version_a, release_a);
  const VersionPtr b = make(epoch_b, version_b, release_b);
  if (!a || !b) return static_cast<int>(a != nullptr) - static_cast<int>(b != nullptr);
  return rpmverCmp(a.get(), b.get());
}

}  // namespace

std::string Nevra::evr() const {
  return (epoch.empty() || epoch == "0" ? "" : epoch + ":") + version + "-" + release;
}
std::string Nevra::evra() const {
  return evr() + "." + arch;
}
std::string Nevra::str() const {
  return name + "-" + evra();
}

Nevra Nevra::parse(std::string_view text) {
  const auto bad = [&](const char* why) {
    return Error(ErrorCode::InvalidInput, "\"" + std::string(text) +
                                              "\" is no package of the form "
                                              "name-[epoch:]version-release.arch: " +
                                              why);
  };
  Nevra out;
  std::string_view rest = text;
  const auto dot = rest.rfind('.');
  const auto release = rest.rfind('-');
  if (release == std::string_view::npos || release == 0) throw bad("the release is missing");
  if (dot == std::string_view::npos || dot < release) throw bad("the architecture is missing");
  out.arch = rest.substr(dot + 1);
  out.release = rest.substr(release + 1, dot - release - 1);
  rest = rest.substr(0, release);
  const auto version = rest.rfind('-');
  if (version == std::string_view::npos) throw bad("the version is missing");
  out.version = rest.substr(version + 1);
  rest = rest.substr(0, version);
  if (const auto colon = out.version.find(':'); colon != std::string::npos) {
    out.epoch = out.version.substr(0, colon);
    out.version.erase(0, colon + 1);
  } else if (const auto front = rest.find(':'); front != std::string_view::npos) {
    out.epoch = rest.substr(0, front);
    rest.remove_prefix(front + 1);
  }
  out.name = rest;
  if (!is_number(out.epoch)) throw bad("the epoch is not a number");
  if (out.epoch.find_first_not_of('0') == std::string::npos) out.epoch = "0";
  if (out.name.empty()) throw bad("the name is missing");
  if (out.version.empty()) throw bad("the version is missing");
  if (out.release.empty()) throw bad("the release is missing");
  if (out.arch.empty()) throw bad("the architecture is missing");
  return out;
}

int compare_evr(const Nevra& a, const Nevra& b) {
  return compare(a.epoch, a.version, &a.release, b.epoch, b.version, &b.release);
}

int compare_evr(std::string_view a, std::string_view b) {
  struct Evr {
    std::string epoch, version, release;
    bool has_release = false;
  };
  const auto parse = [](std::string_view text) {
    Evr evr;
    if (const auto colon = text.find(':'); colon != std::string_view::npos) {
      evr.epoch = text.substr(0, colon);
      text.remove_prefix(colon + 1);
    }
    const auto dash = text.rfind('-');
    evr.version = text.substr(0, dash);
    evr.has_release = dash != std::string_view::npos;
    if (evr.has_release) evr.release = text.substr(dash + 1);
    return evr;
  };
  const Evr left = parse(a);
  const Evr right = parse(b);
  const bool both = left.has_release && right.has_release;
  return compare(left.epoch, left.version, both ? &left.release : nullptr, right.epoch,
                 right.version, both ? &right.release : nullptr);
}

}  // namespace atomichost::rpm
