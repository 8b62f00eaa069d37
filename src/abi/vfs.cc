// The tree's common parts, and the list of nodes as real files.
#include "abi/vfs.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include <fmt/format.h>

namespace softxe {
namespace {

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == 0 || slash == std::string::npos ? "" : path.substr(0, slash);
}

/// "../../x" from the folder of `link` to `target`, both absolute.
std::string relative_target(const std::string& link, const std::string& target) {
  return std::filesystem::path(target).lexically_relative(parent_of(link)).string();
}

/// The kernel makes the folder of a function when it is put on the list; here they are always there.
void add_fault_injection(TreeBuilder& tree) {
  const std::string folder(kFailFunctionFolder);
  for (const std::string_view name : kFaultAttributeNames) tree.dynamic(fmt::format("{}/{}", folder, name), 0600);
  tree.dynamic(folder + "/inject", 0600);
  for (const FailFunction& function : fail_functions()) tree.dynamic(folder + "/" + function.name + "/retval", 0600);
  tree.file("/sys/kernel/debug/error_injection/list", injectable_text(), 0400);
  tree.link(folder + "/injectable", "/sys/kernel/debug/error_injection/list");
}

/// Things that exist once, whatever the devices are.
void add_common(TreeBuilder& tree) {
  for (const char* path :
       {"/sys/block", "/sys/firmware", "/sys/class/vtconsole", "/sys/class/drm", "/sys/bus/pci/devices",
        "/sys/bus/platform/devices", "/sys/devices/system", "/sys/devices/virtual", "/sys/fs", "/sys/kernel/mm",
        "/sys/kernel/config", "/sys/kernel/debug/dri", "/sys/kernel/tracing", "/sys/dev/block", "/sys/dev/char"})
    tree.directory(path);
  tree.file(std::string(kSwSyncPath), "", 0600);
  add_fault_injection(tree);
  tree.file("/sys/class/drm/version", "drm 1.1.0 20060810\n");
  for (const char* module : {"xe", "drm"}) {
    const std::string base = std::string("/sys/module/") + module;
    tree.file(base + "/initstate", "live\n");
    tree.file(base + "/refcnt", "1\n");
    tree.directory(base + "/parameters");
  }
  tree.file("/sys/module/xe/parameters/svm_notifier_size", "512\n", 0644);
  tree.dynamic("/sys/bus/pci/drivers/xe/bind", 0200);
  tree.dynamic("/sys/bus/pci/drivers/xe/unbind", 0200);
  tree.link("/sys/module/xe/drivers/pci:xe", "/sys/bus/pci/drivers/xe");
  tree.link("/sys/bus/pci/drivers/xe/module", "/sys/module/xe");
  tree.file("/dev/kmsg", "", 0644);
  tree.file("/proc/sys/vm/nr_hugepages", "0\n", 0644);
  tree.file("/proc/sys/vm/compact_memory", "", 0200);
  tree.file("/proc/sys/vm/drop_caches", "0\n", 0644);
}

Status make_file(const VfsNode& node, const std::string& path) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return fail(errno, "shadow tree: cannot make a file");
  bool ok = node.content.empty() ||
            write(fd, node.content.data(), node.content.size()) == static_cast<ssize_t>(node.content.size());
  if (node.sparse_bytes != 0) ok = ok && ftruncate(fd, static_cast<off_t>(node.sparse_bytes)) == 0;
  ok = ok && fchmod(fd, node.mode) == 0;
  const int error = errno;
  close(fd);
  if (!ok) return fail(error, "shadow tree: cannot fill a file");
  return {};
}

}  // namespace

bool TreeBuilder::claim(const std::string& path) {
  if (!claimed_.insert(path).second) return false;
  const std::string parent = parent_of(path);
  if (!parent.empty()) directory(parent);
  return true;
}

void TreeBuilder::directory(const std::string& path) {
  if (claim(path)) nodes_.push_back({.path = path, .kind = NodeKind::kDirectory, .content = "", .mode = 0755});
}
void TreeBuilder::file(const std::string& path, std::string content, mode_t mode) {
  if (claim(path))
    nodes_.push_back({.path = path, .kind = NodeKind::kFile, .content = std::move(content), .mode = mode});
}
void TreeBuilder::dynamic(const std::string& path, mode_t mode) {
  if (claim(path)) nodes_.push_back({.path = path, .kind = NodeKind::kDynamic, .content = "", .mode = mode});
}
void TreeBuilder::sparse(const std::string& path, std::uint64_t bytes) {
  if (claim(path))
    nodes_.push_back({.path = path, .kind = NodeKind::kFile, .content = "", .mode = 0600, .sparse_bytes = bytes});
}
void TreeBuilder::link(const std::string& path, const std::string& target) {
  if (claim(path))
    nodes_.push_back({.path = path, .kind = NodeKind::kLink, .content = relative_target(path, target), .mode = 0777});
}

void TreeBuilder::device_link(const std::string& path, const std::string& folder) {
  if (claim(path))
    nodes_.push_back({.path = path,
                      .kind = NodeKind::kLink,
                      .content = relative_target(path, parent_of(folder)) + folder.substr(folder.rfind('/')),
                      .mode = 0777});
}

std::string pci_slot(std::uint32_t device) { return fmt::format("0000:{:02x}:00.0", 3 + device); }

std::vector<VfsNode> build_tree(std::span<const DeviceConfig> devices) {
  TreeBuilder tree;
  add_common(tree);
  for (const DeviceConfig& device : devices) {
    const std::string slot = pci_slot(device.index);
    for (std::uint32_t minor : {device.index, device.index + 128}) {
      const DeviceNode node{device.index, minor};
      tree.file(device_node_path(node), "", 0660);
      tree.link("/dev/dri/by-path/pci-" + slot + (node.is_render() ? "-render" : "-card"), device_node_path(node));
    }
    add_sysfs(tree, device);
    add_debugfs(tree, device);
  }
  return tree.take();
}

Status materialise(std::span<const VfsNode> nodes, const std::string& root) {
  Status result;
  for (const VfsNode& node : nodes) {
    const std::string path = root + node.path;
    if (node.kind == NodeKind::kDirectory) {
      // chmod instead of umask(0): the client's other threads make files too.
      if (mkdir(path.c_str(), 0700) != 0 || chmod(path.c_str(), node.mode) != 0)
        result = fail(errno, "shadow tree: cannot make a folder");
    } else if (node.kind == NodeKind::kLink) {
      if (symlink(node.content.c_str(), path.c_str()) != 0) result = fail(errno, "shadow tree: cannot make a link");
    } else {
      result = make_file(node, path);
    }
    if (!result) break;
  }
  return result;
}

Status remove_tree(const std::string& root) {
  std::error_code error;
  std::filesystem::remove_all(root, error);
  if (error) return fail(error.value(), "shadow tree: cannot remove it");
  return {};
}

}  // namespace softxe
