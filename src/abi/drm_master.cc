#include "abi/drm_master.h"

#include <cerrno>

namespace softxe {

struct DrmMasters::Realm {
  std::map<std::uint32_t, Client*> magics;  ///< null: used up
};

bool DrmMasters::is_current(const Client& client) const {
  return client.is_master && current_ != nullptr && client.realm == current_;
}

void DrmMasters::set_level(Client& client) {
  client.level.store(is_current(client)     ? DrmAuth::kMaster
                     : client.authenticated ? DrmAuth::kAuthenticated
                                            : DrmAuth::kNone);
}

void DrmMasters::become_master(Client& client) {
  if (client.realm != nullptr) client.realm->magics.erase(client.magic);
  client.magic = 0;
  client.realm = current_ = std::make_shared<Realm>();
  client.is_master = client.was_master = client.authenticated = true;
}

void DrmMasters::open(Client& client, const Caller& caller) {
  Guard hold(lock_);
  client.opener = caller.pid;
  client.authenticated = caller.rights == Caller::Rights::kAdmin;
  if (current_ == nullptr)
    become_master(client);
  else
    client.realm = current_;
  set_level(client);
}

void DrmMasters::close(Client& client) {
  Guard hold(lock_);
  if (client.realm == nullptr) return;  // not of the card node
  client.realm->magics.erase(client.magic);
  if (is_current(client)) current_.reset();
}

Status DrmMasters::check_rights(const Client& client, const Caller& caller) {
  if (client.was_master && client.opener == caller.pid) return {};
  if (caller.rights == Caller::Rights::kAdmin) return {};
  return fail(EACCES, "never was master, or was it in another process");
}

Status DrmMasters::set_master(Client& client, const Caller& caller) {
  Guard hold(lock_);
  SX_TRY_VOID(check_rights(client, caller));
  if (is_current(client)) return {};
  if (current_ != nullptr) return fail(EBUSY, "another client is master");
  if (client.is_master)
    current_ = client.realm;
  else
    become_master(client);
  set_level(client);
  return {};
}

Status DrmMasters::drop_master(Client& client, const Caller& caller) {
  Guard hold(lock_);
  SX_TRY_VOID(check_rights(client, caller));
  if (!is_current(client)) return fail(EINVAL, "not master");
  current_.reset();
  set_level(client);
  return {};
}

std::uint32_t DrmMasters::magic_of(Client& client) {
  Guard hold(lock_);
  if (client.magic != 0) return client.magic;
  std::uint32_t free = 1;
  for (const auto& [taken, who] : client.realm->magics) {
    if (taken != free) break;
    ++free;
  }
  client.realm->magics[free] = &client;
  return client.magic = free;
}

Status DrmMasters::authenticate(const Client& master, std::uint32_t magic) {
  Guard hold(lock_);
  const auto found = master.realm->magics.find(magic);
  if (found == master.realm->magics.end() || found->second == nullptr) return fail(EINVAL, "nobody has this magic");
  found->second->authenticated = true;
  set_level(*found->second);
  found->second = nullptr;
  return {};
}

DrmMasters::Image DrmMasters::image(const Client& client) {
  Guard hold(lock_);
  return {.is_current = is_current(client),
          .was_master = client.was_master,
          .authenticated = client.authenticated,
          .magic = client.magic,
          .opener = client.opener};
}

// The card of the child knows nobody yet: open() may have made a master of a client that was none.
void DrmMasters::inherit(Client& client, const Image& parents) {
  Guard hold(lock_);
  if (client.realm == nullptr) return;
  if (parents.is_current && !is_current(client)) become_master(client);
  if (!parents.is_current && is_current(client)) {
    current_.reset();
    client.is_master = false;
  }
  client.was_master = parents.was_master;
  client.authenticated = parents.authenticated;
  client.opener = parents.opener;
  client.magic = parents.magic;
  if (parents.magic != 0) client.realm->magics[parents.magic] = &client;
  set_level(client);
}

}  // namespace softxe
