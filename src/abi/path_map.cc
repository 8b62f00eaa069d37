// PathMap and what can be told from a path alone.
#include <array>

#include "abi/vfs.h"

namespace softxe {
namespace {

/// Folders whose whole content is softxe's.
constexpr std::string_view kFolders[] = {"/dev/dri", "/sys"};
/// Exceptions below them: the host's own facts, which clients and runtimes need as they are.
constexpr std::string_view kReal[] = {"/sys/devices/system", "/sys/fs", "/sys/kernel/mm"};
/// Single files: private copies instead of the host's.
constexpr std::string_view kFiles[] = {"/dev/kmsg", "/proc/sys/vm/nr_hugepages", "/proc/sys/vm/compact_memory",
                                       "/proc/sys/vm/drop_caches"};

bool is_below(std::string_view path, std::string_view folder) {
  return path.starts_with(folder) && (path.size() == folder.size() || path[folder.size()] == '/');
}

std::vector<std::string_view> components(std::string_view path) {
  std::vector<std::string_view> parts;
  while (!path.empty()) {
    const std::size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (!part.empty() && part != ".") parts.push_back(part);
    if (slash == std::string_view::npos) break;
    path.remove_prefix(slash + 1);
  }
  return parts;
}

std::string assemble(const std::vector<std::string_view>& parts) {
  std::string path;
  for (std::string_view part : parts) path.append("/").append(part);
  return path.empty() ? "/" : path;
}

/// Depth of the folder that `path` is in, in components; 0: in none.
std::size_t folder_depth(std::string_view path) {
  for (std::string_view folder : kFolders)
    if (is_below(path, folder)) return components(folder).size();
  return 0;
}

/// True when ".." never climbs out of the first `depth` components once they were entered.
bool stays_inside(const std::vector<std::string_view>& parts, std::size_t depth) {
  std::size_t level = 0;
  for (std::string_view part : parts) {
    if (part != "..") {
      ++level;
    } else {
      if (level <= depth) return false;
      --level;
    }
  }
  return true;
}

}  // namespace

std::string PathMap::normalise(std::string_view path) {
  std::vector<std::string_view> out;
  for (std::string_view part : components(path)) {
    if (part != "..")
      out.push_back(part);
    else if (!out.empty())
      out.pop_back();
  }
  return assemble(out);
}

std::string PathMap::join(std::string_view directory, std::string_view name) {
  if (name.starts_with('/')) return std::string(name);
  if (name.empty()) return std::string(directory);
  std::string path(directory);
  if (!path.ends_with('/')) path += '/';
  return path.append(name);
}

bool PathMap::is_redirected(std::string_view client) {
  const std::string path = normalise(client);
  for (std::string_view file : kFiles)
    if (path == file) return true;
  if (folder_depth(path) == 0) return false;
  for (std::string_view real : kReal)
    if (is_below(path, real)) return false;
  return true;
}

std::optional<std::string> PathMap::to_shadow(std::string_view client) const {
  if (!client.starts_with('/') || !is_redirected(client)) return std::nullopt;
  const std::string normal = normalise(client);
  const auto parts = components(client);
  const std::size_t depth = folder_depth(normal);
  const bool keep_text = depth != 0 && stays_inside(parts, depth);
  std::string shadow = root_ + (keep_text ? assemble(parts) : normal);
  // A trailing slash asks for a directory; the kernel must see it.
  if (client.ends_with('/') && client.size() > 1) shadow += '/';
  return shadow;
}

std::optional<std::string> PathMap::to_client(std::string_view path) const {
  if (!is_below(path, root_)) return std::nullopt;
  path.remove_prefix(root_.size());
  return path.empty() ? "/" : std::string(path);
}

FileSystemKind file_system_of(std::string_view path) {
  if (is_below(path, "/sys/kernel/debug")) return FileSystemKind::kDebugfs;
  if (is_below(path, "/sys/kernel/config")) return FileSystemKind::kConfigfs;
  if (is_below(path, "/dev")) return FileSystemKind::kDev;
  if (is_below(path, "/proc")) return FileSystemKind::kProc;
  return FileSystemKind::kSysfs;
}

std::uint64_t file_system_magic(FileSystemKind kind) {
  switch (kind) {
    case FileSystemKind::kSysfs: return 0x62656572;
    case FileSystemKind::kDebugfs: return 0x64626720;
    case FileSystemKind::kConfigfs: return 0x62656570;
    case FileSystemKind::kDev: return 0x01021994;
    case FileSystemKind::kProc: return 0x9fa0;
  }
  return 0;
}

std::string device_node_path(const DeviceNode& node) {
  return (node.is_render() ? "/dev/dri/renderD" : "/dev/dri/card") + std::to_string(node.minor);
}

std::optional<DeviceNode> find_device_node(std::string_view path, std::size_t device_count) {
  for (std::uint32_t device = 0; device < device_count; ++device)
    for (std::uint32_t minor : {device, device + 128}) {
      const DeviceNode node{device, minor};
      if (path == device_node_path(node)) return node;
    }
  return std::nullopt;
}

}  // namespace softxe
