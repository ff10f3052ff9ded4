// SPDX-License-Identifier: LGPL-2.1-or-later
#include "base/parallel.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace atomichost {

void parallel_for(std::size_t workers, std::size_t items,
                  const std::function<void(std::size_t, std::size_t)>& work,
                  const CancelToken* cancel) {
  std::atomic<std::size_t> next{0};
  std::exception_ptr first;
  std::mutex mutex;
  auto run = [&](std::size_t worker) {
    try {
      for (std::size_t item; (item = next.fetch_add(1)) < items;) {
        if (cancel) cancel->check();
        work(worker, item);
      }
    } catch (...) {
      next.store(items);
      const std::lock_guard lock(mutex);
      if (!first) first = std::current_exception();
    }
  };
  workers = std::max<std::size_t>(1, std::min(workers, items));
  if (workers == 1) {
    run(0);
  } else {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < workers; ++i) threads.emplace_back(run, i);
  }
  if (first) std::rethrow_exception(first);
}

}  // namespace atomichost
