// SPDX-License-Identifier: LGPL-2.1-or-later
#include "solver/explain.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
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

/// Collects lines and the advice that fits them.
class Explanation {
 public:
  Explanation(const PackagePool& pool, Solver* solver, const std::vector<std::string>& requests)
      : pool_(pool), solver_(solver), requests_(requests) {}

  void add(const RuleInfo& r) {
    const auto dependency = [&] { return std::string(pool_dep2str(pool_.get(), r.dependency)); };
    switch (r.type) {
      case SOLVER_RULE_JOB:
      case SOLVER_RULE_JOB_UNKNOWN_PACKAGE:
        if (const int job = solver_rule2jobidx(solver_, r.rule); job > 0) {
          const auto index = static_cast<std::size_t>((job - 1) / 2);
          if (index < requests_.size()) line(0, fmt::format("{} is requested", requests_[index]));
        }
        return;
      case SOLVER_RULE_JOB_NOTHING_PROVIDES_DEP:
        line(1, fmt::format("nothing provides {}, which is requested", dependency()));
        return missing();
      case SOLVER_RULE_PKG_REQUIRES:
        return line(2, fmt::format("{} requires {}{}", name(r.source), dependency(),
                                   providers(r.dependency)));
      case SOLVER_RULE_PKG_NOTHING_PROVIDES_DEP:
        line(3,
             fmt::format("{} requires {}, which nothing provides", name(r.source), dependency()));
        return missing();
      case SOLVER_RULE_PKG_NOT_INSTALLABLE:
        if (const auto* reason = pool_.reason(r.source)) {
          line(4, fmt::format("{} {}", name(r.source), *reason));
          advise("let that package in again, or leave out what requires it");
        } else {
          line(4, fmt::format("{} is for another architecture", name(r.source)));
        }
        return;
      case SOLVER_RULE_PKG_SELF_CONFLICT:
        return line(5, fmt::format("{} conflicts with {}, which it provides itself", name(r.source),
                                   dependency()));
      case SOLVER_RULE_PKG_CONFLICTS:
        line(5, fmt::format("{} conflicts with {}, provided by {}", name(r.source), dependency(),
                            name(r.target)));
        return conflict();
      case SOLVER_RULE_PKG_SAME_NAME:
        line(5,
             fmt::format("only one of {} and {} can be installed", name(r.source), name(r.target)));
        return conflict();
      case SOLVER_RULE_PKG_OBSOLETES:
      case SOLVER_RULE_PKG_IMPLICIT_OBSOLETES:
        line(5, fmt::format("{} replaces (obsoletes) {}, provided by {}", name(r.source),
                            dependency(), name(r.target)));
        return conflict();
      case SOLVER_RULE_INFARCH:
        return line(4, fmt::format("{} is for a lesser architecture", name(r.source)));
      default:
        line(6, solver_problemruleinfo2str(solver_, r.type, r.source, r.target, r.dependency));
    }
  }

  [[nodiscard]] std::string text() const {
    constexpr std::size_t kMost = 30;
    std::string text = "No set of packages satisfies the request:";
    std::size_t count = 0;
    for (const auto& [rank, line] : lines_) {
      if (count++ == kMost) {
        text += fmt::format("\n  ... and {} more reasons", lines_.size() - kMost);
        break;
      }
      text += "\n  " + line;
    }
    for (const auto& advice : advice_) text += "\n  What to do: " + advice;
    return text;
  }

 private:
  [[nodiscard]] std::string name(Id package) const { return pool_.nevra_of(package).str(); }

  /// ", provided by a, b", for a dependency whose providers are few.
  std::string providers(Id dependency) const {
    std::vector<std::string> names;
    for (const Id* p = pool_whatprovides_ptr(pool_.get(), dependency); *p; ++p)
      names.push_back(name(*p));
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    if (names.empty() || names.size() > 4) return "";
    return ", provided by " + join(names, ", ");
  }

  void line(int rank, const std::string& text) { lines_.emplace(rank, text); }
  void advise(const std::string& text) { advice_.insert(text); }
  void missing() { advise("enable a repository that provides it, or leave out what requires it"); }
  void conflict() { advise("leave one of the two out (packages, exclude-packages)"); }

  const PackagePool& pool_;
  Solver* solver_;
  const std::vector<std::string>& requests_;
  std::set<std::pair<int, std::string>> lines_;
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
