// DRM master and magics, request by request: who may do what on one card.
#include "abi/drm_test_rig.h"
#include "abi/uapi_drm.h"

namespace softxe {
namespace {

constexpr DrmMasters::Caller kAdmin{.pid = 1, .rights = DrmMasters::Caller::Rights::kAdmin};
constexpr DrmMasters::Caller kUser{.pid = 2};
constexpr DrmMasters::Caller kOther{.pid = 3};

int errno_of(const Status& status) { return status ? 0 : status.error().err; }

TEST(DrmMaster, IsTheFirstOpenerUntilItGoes) {
  DrmMasters card;
  DrmMasters::Client first, second, third;
  card.open(first, kUser);
  card.open(second, kUser);
  EXPECT_EQ(first.level.load(), DrmAuth::kMaster);
  EXPECT_EQ(second.level.load(), DrmAuth::kNone);
  card.close(first);
  card.open(third, kUser);
  EXPECT_EQ(third.level.load(), DrmAuth::kMaster);
  card.close(second);
  card.close(third);
}

TEST(DrmMaster, SetAndDropAskForRightsFirstThenForTheState) {
  DrmMasters card;
  DrmMasters::Client first, second;
  card.open(first, kUser);
  card.open(second, kUser);
  EXPECT_EQ(errno_of(card.set_master(second, kUser)), EACCES) << "never was master";
  EXPECT_EQ(errno_of(card.set_master(second, kAdmin)), EBUSY);
  EXPECT_EQ(errno_of(card.drop_master(second, kAdmin)), EINVAL);
  EXPECT_EQ(errno_of(card.drop_master(first, kOther)), EACCES) << "another process than the one that opened it";
  EXPECT_EQ(errno_of(card.drop_master(first, kUser)), 0);
  EXPECT_EQ(first.level.load(), DrmAuth::kAuthenticated);
  EXPECT_EQ(errno_of(card.drop_master(first, kUser)), EINVAL);
  EXPECT_EQ(errno_of(card.set_master(first, kUser)), 0) << "it was master";
  EXPECT_EQ(errno_of(card.set_master(first, kUser)), 0) << "and is";
  EXPECT_EQ(errno_of(card.drop_master(first, kAdmin)), 0);
  EXPECT_EQ(errno_of(card.set_master(second, kAdmin)), 0);
  EXPECT_EQ(second.level.load(), DrmAuth::kMaster);
  EXPECT_EQ(errno_of(card.set_master(first, kUser)), EBUSY);
  card.close(first);
  card.close(second);
}

TEST(DrmMaster, MagicsAreUsedUpAndBelongToOneMaster) {
  DrmMasters card;
  DrmMasters::Client master, client, other;
  card.open(master, kUser);
  card.open(client, kUser);
  card.open(other, kUser);
  const std::uint32_t magic = card.magic_of(client);
  EXPECT_EQ(magic, 1u);
  EXPECT_EQ(card.magic_of(client), magic);
  EXPECT_EQ(card.magic_of(other), 2u);
  EXPECT_EQ(errno_of(card.authenticate(master, 0)), EINVAL);
  EXPECT_EQ(errno_of(card.authenticate(master, 3)), EINVAL);
  EXPECT_EQ(errno_of(card.authenticate(master, magic)), 0);
  EXPECT_EQ(client.level.load(), DrmAuth::kAuthenticated);
  EXPECT_EQ(errno_of(card.authenticate(master, magic)), EINVAL) << "used up";
  EXPECT_EQ(card.magic_of(client), magic);
  EXPECT_EQ(errno_of(card.drop_master(master, kUser)), 0);
  DrmMasters::Client next;
  card.open(next, kUser);
  EXPECT_EQ(next.level.load(), DrmAuth::kMaster);
  EXPECT_EQ(errno_of(card.authenticate(next, 2)), EINVAL) << "of the other master's realm";
  for (auto* c : {&master, &client, &other, &next}) card.close(*c);
}

TEST(DrmMaster, AForkChildHasItsParentsPlaceButNotItsRights) {
  DrmMasters parents, theirs;
  DrmMasters::Client master, slave;
  parents.open(master, kUser);
  parents.open(slave, kUser);
  const std::uint32_t magic = parents.magic_of(slave);
  DrmMasters::Client slave_there, master_there;
  theirs.open(slave_there, kOther);
  theirs.inherit(slave_there, parents.image(slave));
  EXPECT_EQ(slave_there.level.load(), DrmAuth::kNone);
  EXPECT_EQ(slave_there.magic, magic);
  theirs.open(master_there, kOther);
  theirs.inherit(master_there, parents.image(master));
  EXPECT_EQ(master_there.level.load(), DrmAuth::kMaster);
  EXPECT_EQ(errno_of(theirs.drop_master(master_there, kOther)), EACCES);
  EXPECT_EQ(errno_of(theirs.set_master(master_there, kOther)), EACCES);
  for (auto* c : {&slave_there, &master_there}) theirs.close(*c);
  for (auto* c : {&master, &slave}) parents.close(*c);
}

TEST(DrmMaster, RequestsOfTheCardNodeFollowIt) {
  DrmRig r;
  const auto first = std::make_unique<DrmFile>(*r.process, 0, DrmNode::kCard);
  const auto second = std::make_unique<DrmFile>(*r.process, 0, DrmNode::kCard);
  drm_auth auth{};
  EXPECT_EQ(second->ioctl(DRM_IOCTL_GET_MAGIC, &auth), 0);
  EXPECT_EQ(auth.magic, 1u);
  drm_auth wrong{};
  EXPECT_EQ(second->ioctl(DRM_IOCTL_AUTH_MAGIC, &wrong), -EACCES) << "not master";
  EXPECT_EQ(first->ioctl(DRM_IOCTL_AUTH_MAGIC, &wrong), -EINVAL);
  EXPECT_EQ(first->ioctl(DRM_IOCTL_AUTH_MAGIC, &auth), 0);
  EXPECT_EQ(first->ioctl(DRM_IOCTL_DROP_MASTER, nullptr), 0);
  EXPECT_EQ(first->ioctl(DRM_IOCTL_AUTH_MAGIC, &auth), -EACCES);
  EXPECT_EQ(first->ioctl(DRM_IOCTL_SET_MASTER, nullptr), 0);
  EXPECT_EQ(r.file->ioctl(DRM_IOCTL_SET_MASTER, nullptr), -EACCES) << "a render node has no master";
}

}  // namespace
}  // namespace softxe
