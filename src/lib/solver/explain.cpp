// SPDX-License-Identifier: LGPL-2.1-or-later
#include "solver/explain.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <set>

#include "base/strings.hpp"

namespace atomichost::solver {
namespace {

struct RuleInfo {
  SolverRuleinfo type;
  Id source, target, dependency, rule;
  auto operator<=>(const RuleInfo&) const = default;
};

/// The rules of the proof that problem @p problem has no solution.
std::vector<RuleInfo> rules_of(Solver* solver, Id problem) {
  IdQueue rules;
  solver_findallproblemrules(solver, problem, rules.get());
  std::vector<RuleInfo> infos;
  for (const Id rule : rules) {
    IdQueue all;
    solver_allruleinfos(solver, rule, all.get());
    for (int i = 0; i + 3 < all.size(); i += 4)
      infos.push_back(
          {static_cast<SolverRuleinfo>(all[i]), all[i + 1], all[i + 2], all[i + 3], rule});
  }
  return infos;
}

void for_each_rule(Solver* solver, const std::function<void(const RuleInfo&)>& visit) {
  const auto count = solver_problem_count(solver);
  for (unsigned problem = 1; problem <= count; ++problem)
    for (const auto& info : rules_of(solver, static_cast<Id>(problem))) visit(info);
}

/// The proof that there is no solution, told from the root causes: for each, how a request leads to
/// it, what it is, and what to do.
class Explanation {
 public:
  Explanation(const PackagePool& pool, Solver* solver, const std::vector<std::string>& requests)
      : pool_(pool), solver_(solver), requests_(requests) {}

  void add(const RuleInfo& r) {
    const std::string dependency = pool_dep2str(pool_.get(), r.dependency);
    switch (r.type) {
      case SOLVER_RULE_JOB:
        return add_request(r.rule);
      case SOLVER_RULE_JOB_NOTHING_PROVIDES_DEP:
        return cause({}, fmt::format("{} is requested, and nothing provides it", dependency),
                     kMissing);
      case SOLVER_RULE_PKG_REQUIRES:
        for (const Id* p = pool_whatprovides_ptr(pool_.get(), r.dependency); *p; ++p)
          needed_by_[*p].push_back(r);
        return;
      case SOLVER_RULE_PKG_NOTHING_PROVIDES_DEP:
        return cause(
            {r.source},
            fmt::format("{} requires {}, which nothing provides", name(r.source), dependency),
            kMissing);
      case SOLVER_RULE_PKG_NOT_INSTALLABLE:
        if (const auto* reason = pool_.reason(r.source))
          return cause({r.source}, fmt::format("{} {}", name(r.source), *reason),
                       "let that package in again, or leave out what requires it");
        return cause({r.source}, fmt::format("{} is for another architecture", name(r.source)),
                     "enable a repository that has it for this architecture");
      case SOLVER_RULE_PKG_SELF_CONFLICT:
        return cause({r.source},
                     fmt::format("{} conflicts with {}, which it provides itself", name(r.source),
                                 dependency),
                     "report this to whoever made the package");
      case SOLVER_RULE_PKG_CONFLICTS:
        return cause({r.source, r.target},
                     fmt::format("{} conflicts with {}, provided by {}", name(r.source), dependency,
                                 name(r.target)),
                     kConflict);
      case SOLVER_RULE_PKG_SAME_NAME:
        return cause(
            {r.source, r.target},
            fmt::format("only one of {} and {} can be installed", name(r.source), name(r.target)),
            kConflict);
      case SOLVER_RULE_PKG_OBSOLETES:
      case SOLVER_RULE_PKG_IMPLICIT_OBSOLETES:
        return cause({r.source, r.target},
                     fmt::format("{} replaces (obsoletes) {}, provided by {}", name(r.source),
                                 dependency, name(r.target)),
                     kConflict);
      default:
        return cause({r.source},
                     solver_problemruleinfo2str(solver_, r.type, r.source, r.target, r.dependency),
                     "");
    }
  }

  [[nodiscard]] std::string text() {
    constexpr std::size_t kMost = 8;
    std::size_t told = 0;
    std::stable_sort(causes_.begin(), causes_.end(), [&](const Cause& a, const Cause& b) {
      if (a.packages.empty() || b.packages.empty()) return a.packages.size() < b.packages.size();
      return is_before(a.packages[0], b.packages[0]);
    });
    for (const auto& cause : causes_) {
      if (told++ == kMost) {
        lines_.push_back(fmt::format("... and {} more reasons", causes_.size() - kMost));
        break;
      }
      for (const Id package : cause.packages) tell_way_to(package);
      tell(cause.line);
      if (!cause.advice.empty()) advice_.insert(cause.advice);
    }
    if (told_requests_.size() < all_requests_.size() && !told_requests_.empty())
      lines_.push_back(
          fmt::format("{} more requests lead there", all_requests_.size() - told_requests_.size()));
    std::string text = "No set of packages satisfies the request:";
    for (const auto& line : lines_) text += "\n  " + line;
    for (const auto& advice : advice_) text += "\n  What to do: " + advice;
    return text;
  }

 private:
  static constexpr const char* kMissing =
      "enable a repository that provides it, or leave out what requires it";
  static constexpr const char* kConflict = "leave one of the two out (packages, exclude-packages)";

  struct Cause {
    std::string line;
    std::vector<Id> packages;
    std::string advice;
  };

  [[nodiscard]] std::string name(Id package) const { return pool_.nevra_of(package).str(); }

  void cause(std::vector<Id> packages, const std::string& line, const std::string& advice) {
    if (std::ranges::any_of(causes_, [&](const Cause& c) { return c.line == line; })) return;
    causes_.push_back({line, std::move(packages), advice});
  }

  void add_request(Id rule) {
    Id what = 0;
    const Id how = solver_rule2job(solver_, rule, &what);
    const int job = solver_rule2jobidx(solver_, rule);
    const auto index = static_cast<std::size_t>((job - 1) / 2);
    if (job < 1 || index >= requests_.size()) return;
    IdQueue packages;
    pool_job2solvables(pool_.get(), packages.get(), how, what);
    for (const Id p : packages) requested_.emplace(p, requests_[index]);
    all_requests_.insert(requests_[index]);
  }

  /// By name, the newest version first: that is the one people have in mind.
  [[nodiscard]] bool is_before(Id a, Id b) const {
    const Solvable* x = pool_id2solvable(pool_.get(), a);
    const Solvable* y = pool_id2solvable(pool_.get(), b);
    if (x->name != y->name) return pool_.name_of(a) < pool_.name_of(b);
    return pool_evrcmp(pool_.get(), x->evr, y->evr, EVRCMP_COMPARE) > 0;
  }

  void tell(const std::string& line) {
    if (std::find(lines_.begin(), lines_.end(), line) == lines_.end()) lines_.push_back(line);
  }

  /// The shortest way from a request to @p package.
  void tell_way_to(Id package) {
    struct Step {
      const RuleInfo* rule;
      Id to;
    };
    std::map<Id, Step> down{{package, {nullptr, 0}}};  // from a package towards it
    std::deque<Id> next{package};
    while (!next.empty()) {
      const Id at = next.front();
      next.pop_front();
      if (const auto request = requested_.find(at); request != requested_.end()) {
        told_requests_.insert(request->second);
        tell(fmt::format("{} is requested", request->second));
        for (Step step = down[at]; step.rule; step = down[step.to])
          tell(fmt::format("{} requires {}{}", name(step.rule->source),
                           pool_dep2str(pool_.get(), step.rule->dependency),
                           providers(step.rule->dependency)));
        return;
      }
      auto& needs = needed_by_[at];
      std::stable_sort(needs.begin(), needs.end(), [&](const RuleInfo& a, const RuleInfo& b) {
        return is_before(a.source, b.source);
      });
      for (const auto& rule : needs)
        if (down.emplace(rule.source, Step{&rule, at}).second) next.push_back(rule.source);
    }
  }

  /// ", provided by a, b", for a dependency whose providers are few.
  [[nodiscard]] std::string providers(Id dependency) const {
    std::set<std::string> names;
    for (const Id* p = pool_whatprovides_ptr(pool_.get(), dependency); *p; ++p)
      names.insert(name(*p));
    if (names.empty() || names.size() > 4) return "";
    return ", provided by " + join({names.begin(), names.end()}, ", ");
  }

  const PackagePool& pool_;
  Solver* solver_;
  const std::vector<std::string>& requests_;
  std::map<Id, std::string> requested_;  ///< package -> a request that it satisfies
  std::set<std::string> all_requests_, told_requests_;
  std::map<Id, std::vector<RuleInfo>> needed_by_;  ///< package -> requirements it satisfies
  std::vector<Cause> causes_;
  std::vector<std::string> lines_;
  std::set<std::string> advice_;
};

}  // namespace

std::string explain(const PackagePool& pool, Solver* solver,
                    const std::vector<std::string>& requests) {
  Explanation explanation(pool, solver, requests);
  for_each_rule(solver, [&](const RuleInfo& r) { explanation.add(r); });
  return explanation.text();
}

bool has_path(const PackagePool& pool, Id dependency) {
  if (!is_relation(dependency)) return pool_id2str(pool.get(), dependency)[0] == '/';
  const Reldep& rel = relation(pool.get(), dependency);
  const bool has_version = rel.flags <= (REL_GT | REL_EQ | REL_LT) || rel.flags == REL_ARCH;
  return has_path(pool, rel.name) || (!has_version && has_path(pool, rel.evr));
}

bool wants_filelists(const PackagePool& pool, Solver* solver) {
  bool wanted = false;
  for_each_rule(solver, [&](const RuleInfo& r) {
    if (r.type == SOLVER_RULE_PKG_NOTHING_PROVIDES_DEP ||
        r.type == SOLVER_RULE_JOB_NOTHING_PROVIDES_DEP || r.type == SOLVER_RULE_PKG_REQUIRES)
      wanted |= has_path(pool, r.dependency);
  });
  return wanted;
}

}  // namespace atomichost::solver
