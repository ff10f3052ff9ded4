// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <numeric>

#include "base/error.hpp"
#include "rpm/librpm.hpp"
#include "rpm/package.hpp"

namespace atomichost::rpm {

std::vector<std::size_t> install_order(const std::vector<const Package*>& packages) {
  std::vector<std::size_t> sorted(packages.size());
  std::iota(sorted.begin(), sorted.end(), std::size_t{0});
  std::sort(sorted.begin(), sorted.end(), [&](std::size_t a, std::size_t b) {
    return packages[a]->nevra() < packages[b]->nevra();
  });

  const Messages messages;
  const TransactionPtr ts = new_transaction();
  rpmtsSetVSFlags(ts.get(), RPMVSF_MASK_NODIGESTS | RPMVSF_MASK_NOSIGNATURES);
  for (const std::size_t i : sorted) {
    const Package& package = *packages[i];
    const HeaderPtr h = import_header(package.data().header, package.path().string());
    // The key only has to be different from nullptr and tell us which package it is.
    const auto key = reinterpret_cast<fnpyKey>(&packages[i]);
    if (rpmtsAddInstallElement(ts.get(), h.get(), key, /*upgrade=*/0, nullptr) != 0)
      throw Error(ErrorCode::Failed, "Ordering packages: librpm refuses " +
                                         package.path().string() + ": " +
                                         messages.text("no reason given"));
  }
  if (rpmtsOrder(ts.get()) != 0)
    throw Error(ErrorCode::Failed, "Ordering packages: " + messages.text("no reason given"));

  std::vector<std::size_t> order;
  order.reserve(packages.size());
  for (int i = 0; i < rpmtsNElements(ts.get()); ++i) {
    const auto key = static_cast<const Package* const*>(rpmteKey(rpmtsElement(ts.get(), i)));
    order.push_back(static_cast<std::size_t>(key - packages.data()));
  }
  if (order.size() != packages.size())
    throw Error(ErrorCode::InvalidInput, "Ordering packages: one of them is there twice");
  // They bring the directories, links and accounts that every other package counts on.
  std::stable_partition(order.begin(), order.end(),
                        [&](std::size_t i) { return packages[i]->nevra().name == "setup"; });
  std::stable_partition(order.begin(), order.end(),
                        [&](std::size_t i) { return packages[i]->nevra().name == "filesystem"; });
  return order;
}

}  // namespace atomichost::rpm
