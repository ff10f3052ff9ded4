// SPDX-License-Identifier: LGPL-2.1-or-later
#include "solver/solver.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <set>

#include "base/strings.hpp"
#include "solver/explain.hpp"
#include "solver/pool.hpp"

namespace atomichost::solver {
namespace {

/// Architectures whose packages run on each basearch, best first, without those of a narrower one:
/// 32-bit packages come in only when a request names their architecture.
std::string native_architectures(const std::string& basearch) {
  static const std::map<std::string, std::string> special{
      {"i386", "i686:i586:i486:i386"},
      {"armhfp", "armv7hl:armv7hnl:armv7l:armv6hl:armv6l"},
  };
  const auto found = special.find(basearch);
  return found == special.end() ? basearch : found->second;
}

std::string all_architectures(const std::string& basearch) {
  if (basearch == "x86_64") return "x86_64:i686:i586:i486:i386";
  return native_architectures(basearch);
}

bool ends_with_arch(const std::string& request, const std::string& architectures) {
  return std::ranges::any_of(split(architectures, ':'), [&](const std::string& arch) {
    return request.ends_with("." + arch);
  });
}

std::vector<std::string> all_requests(const Request& request) {
  std::vector<std::string> all = request.install;
  for (const auto& from : request.repo_packages)
    all.insert(all.end(), from.packages.begin(), from.packages.end());
  return all;
}

std::string architectures_for(const Request& request) {
  const std::string native = native_architectures(request.basearch);
  const std::string all = all_architectures(request.basearch);
  for (const auto& r : all_requests(request))
    if (ends_with_arch(r, all) && !ends_with_arch(r, native)) return all;
  return native;
}

bool has_relation(const std::string& request) {
  const auto words = split_whitespace(request);
  for (std::size_t i = 1; i + 1 < words.size(); ++i)
    for (const char* relation : {"=", "==", "<", "<=", ">", ">="})
      if (words[i] == relation) return true;
  return false;
}

/// How libsolv shall read a request that is no rich dependency.
int selection_flags(const std::string& request) {
  int flags = SELECTION_NAME | SELECTION_PROVIDES | SELECTION_CANON | SELECTION_DOTARCH;
  flags |= has_relation(request) ? SELECTION_REL : SELECTION_GLOB;
  if (request.starts_with("/")) flags |= SELECTION_FILELIST;
  return flags;
}

/// "0:1-2" and "1-2" are the same.
std::string without_zero_epoch(const std::string& evr) {
  return evr.starts_with("0:") ? evr.substr(2) : evr;
}

/// One attempt to resolve: the pool with what the request hides, then jobs, then the answer.
class Attempt {
 public:
  Attempt(const std::vector<rpmmd::RepoMetadata>& repos, const Request& request, bool has_filelists,
          const std::filesystem::path& cachedir, const rpmmd::FetchOptions& options)
      : repos_(repos),
        request_(request),
        has_filelists_(has_filelists),
        options_(options),
        pool_(repos, architectures_for(request), has_filelists, cachedir) {}

  /// nullopt: lists of files could change the answer.
  std::optional<std::vector<ResolvedPackage>> run() {
    hide_by_repo();
    hide_excluded();
    hide_by_lock();
    pin_repo_packages();
    if (!add_jobs()) return std::nullopt;
    if (options_.cancel) options_.cancel->check();
    return solve();
  }

 private:
  void hide_by_repo() {
    for (const auto& repo : repos_) {
      const auto& config = repo.config;
      if (config.includepkgs.empty() && config.excludepkgs.empty()) continue;
      std::set<Id> included;
      for (const auto& pattern : config.includepkgs)
        for (const Id p : pool_.matching(pattern)) included.insert(p);
      std::map<Id, std::string> excluded;
      for (const auto& pattern : config.excludepkgs)
        for (const Id p : pool_.matching(pattern)) excluded.emplace(p, pattern);
      pool_.for_each([&](Id p) {
        if (pool_.repo_of(p) != config.id) return;
        if (const auto by = excluded.find(p); by != excluded.end())
          pool_.hide(p, fmt::format("is excluded by excludepkgs={} of repository {}", by->second,
                                    config.id));
        else if (!config.includepkgs.empty() && !included.contains(p))
          pool_.hide(p, fmt::format("is not in includepkgs of repository {}", config.id));
      });
    }
  }

  void hide_excluded() {
    for (const auto& pattern : request_.exclude)
      for (const Id p : pool_.matching(pattern))
        pool_.hide(p, pattern == pool_.name_of(p)
                          ? "is excluded by exclude-packages"
                          : fmt::format("is excluded by exclude-packages ({})", pattern));
  }

  [[nodiscard]] bool is_locked(Id p, const LockEntry& lock) const {
    const auto nevra = pool_.nevra_of(p);
    const std::string wanted = without_zero_epoch(lock.evra);
    return wanted == nevra.evr() || wanted == nevra.evra();
  }

  void hide_by_lock() {
    const std::set<std::string> lock_only(request_.lockfile_repos.begin(),
                                          request_.lockfile_repos.end());
    for (const auto& [name, lock] : request_.locks)
      if (lock.evra.empty() || (!lock.digest.empty() && lock.digest.find(':') == std::string::npos))
        throw Error(
            ErrorCode::InvalidInput,
            fmt::format("Lock of {}: needs evra and, if any, a digest \"sha256:...\"", name));
    std::set<std::string> found;
    std::map<std::string, std::string> other_digest;
    pool_.for_each([&](Id p) {
      const auto lock = request_.locks.find(pool_.name_of(p));
      if (lock == request_.locks.end() || pool_.is_hidden(p) || !is_locked(p, lock->second)) return;
      std::string type;
      const std::string digest = pool_.checksum_of(p, &type);
      if (!lock->second.digest.empty() && lock->second.digest != type + ":" + digest) {
        other_digest[lock->first] =
            fmt::format("{} in repository {} has digest {}:{}, not {}", pool_.nevra_of(p).str(),
                        pool_.repo_of(p), type, digest, lock->second.digest);
        pool_.hide(p, "has another digest than the lock says");
        return;
      }
      found.insert(lock->first);
    });
    std::vector<std::string> missing;
    for (const auto& [name, lock] : request_.locks) {
      if (found.contains(name)) continue;
      if (const auto bad = other_digest.find(name); bad != other_digest.end())
        throw Error(ErrorCode::Untrusted,
                    fmt::format("Lock of {}: {}; the package was rebuilt or replaced: make the "
                                "lock again if that is right",
                                name, bad->second));
      missing.push_back(fmt::format("{}-{}", name, without_zero_epoch(lock.evra)));
    }
    if (!missing.empty() && request_.strict_lock)
      throw Error(ErrorCode::NotFound,
                  fmt::format("Locked packages that are in no repository ({}): {}; make the lock "
                              "again or add a repository that has them",
                              repo_names(), join(missing, ", ")));
    if (!missing.empty() && options_.progress)
      options_.progress->message(
          fmt::format("Locked packages that are in no repository, other versions are taken: {}",
                      join(missing, ", ")));
    pool_.for_each([&](Id p) {
      const auto name = pool_.name_of(p);
      const auto lock = request_.locks.find(name);
      const bool has_lock = lock != request_.locks.end();
      if (has_lock && found.contains(name) && !is_locked(p, lock->second))
        pool_.hide(p, fmt::format("is not the locked version ({})", lock->second.evra));
      else if (!has_lock && request_.strict_lock)
        pool_.hide(p, "is not in the lock (strict)");
      else if (lock_only.contains(pool_.repo_of(p)) && (!has_lock || !found.contains(name)))
        pool_.hide(
            p, fmt::format("is not locked, and {} is for locked packages only", pool_.repo_of(p)));
    });
  }

  void pin_repo_packages() {
    for (const auto& from : request_.repo_packages) {
      const bool is_known =
          std::ranges::any_of(repos_, [&](const auto& r) { return r.config.id == from.repo; });
      if (!is_known)
        throw Error(ErrorCode::InvalidInput,
                    fmt::format("repo-packages: Repository {} is not among the enabled ones ({})",
                                from.repo, repo_names()));
      std::vector<std::string> missing;
      for (const auto& package : from.packages) {
        std::set<std::string> names;
        const auto matching = pool_.matching(package);
        for (const Id p : matching)
          if (pool_.repo_of(p) == from.repo) names.insert(pool_.name_of(p));
        if (names.empty()) missing.push_back(package);
        pool_.for_each([&](Id p) {
          if (names.contains(pool_.name_of(p)) && pool_.repo_of(p) != from.repo)
            pool_.hide(p, fmt::format("comes from repository {} by repo-packages", from.repo));
        });
      }
      if (!missing.empty())
        throw Error(ErrorCode::NotFound, fmt::format("repo-packages: No package matches {} in {}",
                                                     join(missing, ", "), from.repo));
    }
  }

  /// Jobs for all requests. False: a path that only lists of files can answer.
  bool add_jobs() {
    std::vector<std::string> missing, hidden;
    for (const auto& request : all_requests(request_)) {
      const std::string r(trim(request));
      if (r.starts_with("@"))
        throw Error(ErrorCode::InvalidInput,
                    fmt::format("{}: Groups of packages are not supported; list the packages", r));
      if (r.empty()) throw Error(ErrorCode::InvalidInput, "A request for a package is empty");
      if (select(r)) continue;
      if (r.starts_with("/") && !has_filelists_) return false;
      (explain_hidden(r).empty() ? missing : hidden).push_back(r);
    }
    if (missing.empty() && hidden.empty()) return true;
    throw Error(ErrorCode::NotFound, no_match(missing, hidden));
  }

  /// Add an install job for @p r; false when nothing visible matches.
  bool select(const std::string& r) {
    if (r.starts_with("(")) {
      const Id dependency = pool_parserpmrichdep(pool_.get(), r.c_str());
      if (!dependency)
        throw Error(ErrorCode::InvalidInput,
                    fmt::format("{}: Not a rich dependency such as \"(a or b)\"", r));
      add_job(SOLVER_SOLVABLE_PROVIDES, dependency, r);
      return true;
    }
    IdQueue selection;
    if (!selection_make(pool_.get(), selection.get(), r.c_str(), selection_flags(r))) return false;
    bool is_visible = false;
    for (int i = 0; i + 1 < selection.size(); i += 2) {
      IdQueue packages;
      pool_job2solvables(pool_.get(), packages.get(), selection[i], selection[i + 1]);
      const bool has_visible =
          std::ranges::any_of(packages, [&](Id p) { return !pool_.is_hidden(p); });
      if (!has_visible) continue;
      is_visible = true;
      add_job(selection[i], selection[i + 1], r);
    }
    return is_visible;
  }

  void add_job(Id how, Id what, const std::string& request) {
    jobs_.push(how | SOLVER_INSTALL);
    jobs_.push(what);
    job_requests_.push_back(request);
  }

  /// "foo-1-1.noarch is excluded by ...", for a request that only hidden packages match; the
  /// highest of them.
  [[nodiscard]] std::string explain_hidden(const std::string& request) const {
    IdQueue selection, packages;
    selection_make(pool_.get(), selection.get(), request.c_str(),
                   selection_flags(request) | SELECTION_WITH_DISABLED | SELECTION_WITH_BADARCH);
    selection_solvables(pool_.get(), selection.get(), packages.get());
    Id best = 0;
    for (const Id p : packages)
      if (!best || pool_evrcmp(pool_.get(), pool_id2solvable(pool_.get(), p)->evr,
                               pool_id2solvable(pool_.get(), best)->evr, EVRCMP_COMPARE) > 0)
        best = p;
    if (!best) return {};
    const auto* reason = pool_.reason(best);
    return fmt::format("{} {}", pool_.nevra_of(best).str(),
                       reason ? *reason : "is for another architecture than " + request_.basearch);
  }

  /// "; there is lib-1-1.noarch", for a request whose name is right but not its version.
  [[nodiscard]] std::string other_versions(const std::string& request) const {
    if (!has_relation(request)) return {};
    std::vector<std::string> there;
    for (const Id p : pool_.matching(split_whitespace(request)[0]))
      if (!pool_.is_hidden(p)) there.push_back(pool_.nevra_of(p).str());
    std::sort(there.begin(), there.end());
    return there.empty() ? "" : "; there is " + join(there, ", ");
  }

  [[nodiscard]] std::string repo_names() const {
    std::vector<std::string> names;
    for (const auto& repo : repos_) names.push_back(repo.config.id);
    std::sort(names.begin(), names.end());
    return names.empty() ? "none" : join(names, ", ");
  }

  [[nodiscard]] std::string no_match(const std::vector<std::string>& missing,
                                     const std::vector<std::string>& hidden) const {
    std::set<std::string> names;
    pool_.for_each([&](Id p) {
      if (!pool_.is_hidden(p)) names.insert(pool_.name_of(p));
    });
    const std::vector<std::string> candidates(names.begin(), names.end());
    std::vector<std::string> lines;
    for (const auto& r : missing)
      lines.push_back(fmt::format("No package matches '{}' in repositories {}{}", r, repo_names(),
                                  other_versions(r).empty()
                                      ? did_you_mean(split_whitespace(r)[0], candidates)
                                      : other_versions(r)));
    for (const auto& r : hidden)
      lines.push_back(fmt::format("No usable package matches '{}': {}", r, explain_hidden(r)));
    return join(lines, "\n");
  }

  std::optional<std::vector<ResolvedPackage>> solve() {
    const std::unique_ptr<Solver, void (*)(Solver*)> solver(solver_create(pool_.get()),
                                                            &solver_free);
    solver_set_flag(solver.get(), SOLVER_FLAG_IGNORE_RECOMMENDED, request_.recommends ? 0 : 1);
    solver_set_flag(solver.get(), SOLVER_FLAG_ALLOW_VENDORCHANGE, 1);
    solver_set_flag(solver.get(), SOLVER_FLAG_YUM_OBSOLETES, 1);
    if (solver_solve(solver.get(), jobs_.get()) != 0) {
      if (!has_filelists_ && wants_filelists(pool_, solver.get())) return std::nullopt;
      throw Error(ErrorCode::Unsolvable, explain(pool_, solver.get(), job_requests_));
    }
    const std::unique_ptr<Transaction, void (*)(Transaction*)> transaction(
        solver_create_transaction(solver.get()), &transaction_free);
    IdQueue packages;
    transaction_installedresult(transaction.get(), packages.get());
    if (!has_filelists_ && was_passed_over(packages)) return std::nullopt;
    std::vector<ResolvedPackage> resolved;
    for (const Id p : packages) resolved.push_back(describe(p));
    std::sort(resolved.begin(), resolved.end(),
              [](const auto& a, const auto& b) { return a.nevra < b.nevra; });
    return resolved;
  }

  /// Whether a newer version of a chosen package lost only because a path it requires is not in the
  /// primary metadata.
  [[nodiscard]] bool was_passed_over(const IdQueue& packages) const {
    std::map<Id, const Solvable*> chosen;
    for (const Id p : packages) {
      const Solvable* s = pool_id2solvable(pool_.get(), p);
      chosen[s->name] = s;
    }
    bool is_passed_over = false;
    pool_.for_each([&](Id p) {
      Solvable* s = pool_id2solvable(pool_.get(), p);
      const auto other = chosen.find(s->name);
      if (is_passed_over || other == chosen.end() || pool_.is_hidden(p) ||
          pool_evrcmp(pool_.get(), s->evr, other->second->evr, EVRCMP_COMPARE) <= 0)
        return;
      IdQueue dependencies;
      solvable_lookup_deparray(s, SOLVABLE_REQUIRES, dependencies.get(), 0);
      for (const Id d : dependencies)
        if (has_path(pool_, d) && *pool_whatprovides_ptr(pool_.get(), d) == 0)
          is_passed_over = true;
    });
    return is_passed_over;
  }

  [[nodiscard]] ResolvedPackage describe(Id p) const {
    Solvable* s = pool_id2solvable(pool_.get(), p);
    ResolvedPackage package;
    package.nevra = pool_.nevra_of(p);
    package.repo = pool_.repo_of(p);
    unsigned medium = 0;
    if (const char* location = solvable_lookup_location(s, &medium)) package.location = location;
    if (const char* base = solvable_lookup_str(s, SOLVABLE_MEDIABASE)) package.base_url = base;
    package.checksum = pool_.checksum_of(p, &package.checksum_type);
    package.size = solvable_lookup_num(s, SOLVABLE_DOWNLOADSIZE, 0);
    package.installed_size = solvable_lookup_num(s, SOLVABLE_INSTALLSIZE, 0);
    if (package.location.empty() || package.checksum.empty())
      throw Error(ErrorCode::Corrupt,
                  fmt::format("Repository {}: {} has no location or checksum in the metadata",
                              package.repo, package.nevra.str()));
    return package;
  }

  const std::vector<rpmmd::RepoMetadata>& repos_;
  const Request& request_;
  bool has_filelists_;
  const rpmmd::FetchOptions& options_;
  PackagePool pool_;
  IdQueue jobs_;
  std::vector<std::string> job_requests_;  ///< one for each pair in jobs_
};

}  // namespace

std::vector<ResolvedPackage> resolve(std::vector<rpmmd::RepoMetadata>& repos,
                                     const Request& request, const std::filesystem::path& cachedir,
                                     const rpmmd::FetchOptions& options) {
  if (request.basearch.empty())
    throw Error(ErrorCode::InvalidInput, "No architecture was given to resolve packages for");
  if (auto resolved = Attempt(repos, request, /*has_filelists=*/false, cachedir, options).run())
    return std::move(*resolved);
  for (auto& repo : repos) rpmmd::fetch_filelists(repo, cachedir, options);
  return Attempt(repos, request, /*has_filelists=*/true, cachedir, options).run().value();
}

std::vector<rpmmd::Download> downloads(const std::vector<ResolvedPackage>& packages,
                                       const std::vector<rpmmd::RepoMetadata>& repos) {
  std::vector<rpmmd::Download> all;
  for (const auto& package : packages) {
    const auto repo =
        std::ranges::find_if(repos, [&](const auto& r) { return r.config.id == package.repo; });
    if (repo == repos.end())
      throw Error(ErrorCode::InvalidInput, fmt::format("{}: Repository {} is not configured",
                                                       package.nevra.str(), package.repo));
    rpmmd::Download d;
    d.config = &repo->config;
    d.name = package.nevra.str();
    d.location = package.location;
    d.base_url = package.base_url;
    d.checksum_type = package.checksum_type;
    d.checksum = package.checksum;
    d.size = package.size;
    all.push_back(std::move(d));
  }
  return all;
}

}  // namespace atomichost::solver
