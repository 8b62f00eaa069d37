// Descriptors that leave in messages (SCM_RIGHTS): a device file among them outlives its descriptors.
#include <sys/socket.h>

#include <cstring>

#include "preload/engine_scope.h"
#include "preload/fd_table.h"
#include "preload/interpose.h"
#include "preload/session.h"

namespace softxe::preload {
namespace {

void note_rights(const cmsghdr& header) {
  const std::size_t bytes = header.cmsg_len - CMSG_LEN(0);
  for (std::size_t at = 0; at + sizeof(int) <= bytes; at += sizeof(int)) {
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(&header) + at, sizeof fd);
    if (maybe_ours(fd)) run_in_engine([fd] { note_sent_fd(fd); });
  }
}

/// After the kernel has taken it, so it can be read.
void note_message(const msghdr* message) {
  if (!interposing() || session() == nullptr || message->msg_control == nullptr) return;
  auto* all = const_cast<msghdr*>(message);
  for (cmsghdr* header = CMSG_FIRSTHDR(all); header != nullptr; header = CMSG_NXTHDR(all, header))
    if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) note_rights(*header);
}

}  // namespace

SX_INTERPOSE(ssize_t, sendmsg, (int fd, const msghdr* message, int flags)) {
  static constinit Real<ssize_t(int, const msghdr*, int)> real{"sendmsg"};
  const ssize_t sent = real(fd, message, flags);
  if (sent >= 0) note_message(message);
  return sent;
}

SX_INTERPOSE(int, sendmmsg, (int fd, mmsghdr* messages, unsigned count, int flags)) {
  static constinit Real<int(int, mmsghdr*, unsigned, int)> real{"sendmmsg"};
  const int sent = real(fd, messages, count, flags);
  for (int i = 0; i < sent; ++i) note_message(&messages[i].msg_hdr);
  return sent;
}

}  // namespace softxe::preload
