#include "base/raised_limit.h"

#include <sys/resource.h>

#include <array>

#include "base/lock.h"

namespace softxe {
namespace {

struct Raised {
  int resource;
  unsigned users;   ///< 0: not raised
  rlimit clients;   ///< what the client has set
  rlimit in_force;  ///< what stands meanwhile
};

LeafMutex lock("RaisedLimit");
std::array<Raised, 2> raised SX_GUARDED_BY(lock){{{RLIMIT_NOFILE, 0, {}, {}}, {RLIMIT_FSIZE, 0, {}, {}}}};

std::size_t index_of(LimitKind kind) { return static_cast<std::size_t>(kind); }

bool equal(const rlimit& a, const rlimit& b) { return a.rlim_cur == b.rlim_cur && a.rlim_max == b.rlim_max; }

void raise(Raised& r, LimitKind kind) {
  if (getrlimit(static_cast<__rlimit_resource>(r.resource), &r.clients) != 0)
    r.clients = {RLIM_INFINITY, RLIM_INFINITY};
  r.in_force = {RLIM_INFINITY, RLIM_INFINITY};
  if (kind == LimitKind::kFileSize && setrlimit(static_cast<__rlimit_resource>(r.resource), &r.in_force) == 0) return;
  r.in_force = {r.clients.rlim_max, r.clients.rlim_max};
  setrlimit(static_cast<__rlimit_resource>(r.resource), &r.in_force);  // lowers nothing: cannot be refused
}

void restore(const Raised& r) {
  rlimit now{};
  // Not when the client has set another one meanwhile.
  if (getrlimit(static_cast<__rlimit_resource>(r.resource), &now) == 0 && equal(now, r.in_force))
    setrlimit(static_cast<__rlimit_resource>(r.resource), &r.clients);
}

}  // namespace

RaisedLimit::RaisedLimit(LimitKind kind) : kind_(kind) {
  Guard hold(lock);
  Raised& r = raised[index_of(kind)];
  if (r.users++ == 0) raise(r, kind);
}

RaisedLimit::~RaisedLimit() {
  Guard hold(lock);
  Raised& r = raised[index_of(kind_)];
  if (--r.users == 0) restore(r);
}

std::uint64_t client_limit(LimitKind kind) {
  Guard hold(lock);
  const Raised& r = raised[index_of(kind)];
  rlimit now = r.clients;
  if (r.users == 0 && getrlimit(static_cast<__rlimit_resource>(r.resource), &now) != 0) return ~0ull;
  return now.rlim_cur;
}

// Held from one function to another, across fork: by the plain mutex, outside of what ranks and analysis follow.
void raised_limits_before_fork() { lock.native().lock(); }
void raised_limits_after_fork_parent() { lock.native().unlock(); }
void raised_limits_after_fork_child() SX_NO_THREAD_SAFETY_ANALYSIS {
  for (Raised& r : raised) {
    if (r.users != 0) restore(r);
    r.users = 0;
  }
  lock.native().unlock();
}

}  // namespace softxe
