// DRM master and magic numbers of one card, as drm_auth.c of the kernel has them (spec/uapi.md 2, 16).
//
// The first opener of a card node is its master. Another opener may authenticate: it asks for a magic number, and the
// master says that number back. A master that drops its place can take it again; whoever else wants it needs root, and
// that nobody has it.
#pragma once

#include <atomic>
#include <map>
#include <memory>

#include "abi/ioctl_table.h"
#include "base/lock.h"

namespace softxe {

/// One per card. Thread-safe. Clients are owned by their files, and leave before they die.
class DrmMasters {
 public:
  /// Those who came while one and the same client was master.
  struct Realm;
  /// What one open file of the card node is to it; its fields but `level` are guarded by the card's lock.
  struct Client {
    std::shared_ptr<Realm> realm;
    bool is_master = false;   ///< of its realm
    bool was_master = false;  ///< at some time
    bool authenticated = false;
    std::uint32_t magic = 0;  ///< 0: never asked for
    std::int32_t opener = 0;  ///< process id
    std::atomic<DrmAuth> level{DrmAuth::kNone};
  };
  /// The same of a fork's parent.
  struct Image {
    bool is_current = false;
    bool was_master = false;
    bool authenticated = false;
    std::uint32_t magic = 0;
    std::int32_t opener = 0;
  };
  /// Who asks now, which need not be the opener.
  struct Caller {
    std::int32_t pid = 0;
    enum class Rights : std::uint8_t { kUser, kAdmin } rights = Rights::kUser;
  };

  void open(Client& client, const Caller& caller);
  void close(Client& client);
  /// EACCES: neither a former master in the process that opened it, nor root. EBUSY: somebody is master.
  Status set_master(Client& client, const Caller& caller);
  /// EACCES as above. EINVAL: it is not master.
  Status drop_master(Client& client, const Caller& caller);
  /// Its number, from 1 on; the same every time.
  std::uint32_t magic_of(Client& client);
  /// EINVAL: no client of the master's realm has this number, or it was used up.
  Status authenticate(const Client& master, std::uint32_t magic);

  Image image(const Client& client);
  /// Of a client that open() has just made in a fork child.
  void inherit(Client& client, const Image& parents);

 private:
  static Status check_rights(const Client& client, const Caller& caller);
  bool is_current(const Client& client) const SX_REQUIRES(lock_);
  void become_master(Client& client) SX_REQUIRES(lock_);
  void set_level(Client& client) SX_REQUIRES(lock_);

  LeafMutex lock_{"DrmMasters"};
  std::shared_ptr<Realm> current_ SX_GUARDED_BY(lock_);  ///< of the master; null: there is none
};

}  // namespace softxe
