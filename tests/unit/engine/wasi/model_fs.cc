#include "tests/unit/engine/wasi/model_fs.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "engine/wasi/abi.h"

namespace wasmd::engine {
namespace {

constexpr uint32_t kMaxLinksFollowed = 40;  // Linux's MAXSYMLINKS.
constexpr size_t kMaxNameBytes = 255;
constexpr uint64_t kMaxOffset = std::numeric_limits<int64_t>::max();

ModelNodePtr NewNode(ModelNode::Kind kind, const ModelNodePtr& parent) {
  auto node = std::make_shared<ModelNode>();
  node->kind = kind;
  node->parent = parent;
  return node;
}

// A name in a directory.
Errno Lookup(const ModelNode& directory, const std::string& name, ModelNodePtr& node) {
  node = nullptr;
  if (directory.is_removed) {
    return Errno::kNoent;
  }
  if (name.size() > kMaxNameBytes) {
    return Errno::kNametoolong;
  }
  const auto found = directory.entries.find(name);
  if (found != directory.entries.end()) {
    node = found->second;
  }
  return Errno::kSuccess;
}

bool IsInside(ModelNodePtr node, const ModelNodePtr& ancestor) {
  while (node != nullptr) {
    if (node == ancestor) {
      return true;
    }
    const ModelNodePtr parent = node->parent.lock();
    node = parent == node ? nullptr : parent;
  }
  return false;
}

}  // namespace

ModelFs::ModelFs(uint32_t max_open_files) : max_open_files_(max_open_files) {
  root_ = std::make_shared<ModelNode>();
  root_->kind = ModelNode::Kind::kDirectory;
  root_->parent = root_;
  for (uint32_t stream = 0; stream < 3; ++stream) {
    descriptors_[stream] = {};
  }
  descriptors_[3] = {.node = root_, .is_preopen = true};
}

ModelFs::Found ModelFs::Walk(const ModelNodePtr& start, const std::string& path, bool follow,
                             bool create) const {
  Found found;
  const auto fail = [&found](Errno error) {
    found.error = error;
    return found;
  };
  if (path.empty()) {
    return fail(Errno::kNoent);
  }
  ModelNodePtr at = start;
  std::string rest = path;
  uint32_t followed = 0;
  while (true) {
    if (rest.starts_with('/')) {
      return fail(Errno::kPerm);
    }
    const size_t cut = std::min(rest.find('/'), rest.size());
    const std::string name = rest.substr(0, cut);
    const bool slash = cut != rest.size();
    const size_t next = std::min(rest.find_first_not_of('/', cut), rest.size());
    rest = rest.substr(next);
    const bool is_last = rest.empty();
    if (name == "." || name == "..") {
      if (name == "..") {
        if (at == start) {
          return fail(Errno::kPerm);
        }
        at = at->parent.lock();
      }
      if (is_last) {
        found.node = at;
        return found;
      }
      continue;
    }
    if (is_last && slash && create) {
      return fail(Errno::kIsdir);
    }
    ModelNodePtr child;
    if (const Errno error = Lookup(*at, name, child); error != Errno::kSuccess) {
      return fail(error);
    }
    if (child == nullptr && !is_last) {
      return fail(Errno::kNoent);
    }
    // A slash at the end asks for the directory that all links from here lead to.
    found.must_be_directory |= is_last && slash;
    if (child != nullptr && child->is_link() && (!is_last || follow || found.must_be_directory)) {
      child->atim_ns.reset();
      if (++followed > kMaxLinksFollowed) {
        return fail(Errno::kLoop);
      }
      rest = is_last ? child->text : child->text + "/" + rest;
      continue;
    }
    if (is_last) {
      found.parent = at;
      found.name = name;
      found.node = child;
      return found;
    }
    if (!child->is_directory()) {
      return fail(Errno::kNotdir);
    }
    at = child;
  }
}

ModelFs::Found ModelFs::Find(const ModelNodePtr& start, const std::string& path,
                             bool follow) const {
  Found found = Walk(start, path, follow, /*create=*/false);
  if (found.error == Errno::kSuccess) {
    if (found.node == nullptr) {
      found.error = Errno::kNoent;
    } else if (found.must_be_directory && !found.node->is_directory()) {
      found.error = Errno::kNotdir;
    }
  }
  return found;
}

ModelFs::Found ModelFs::Holder(const ModelNodePtr& start, const std::string& path,
                               bool ignore_slash) const {
  std::string rest = path;
  while (ignore_slash && rest.size() > 1 && rest.ends_with('/')) {
    rest.pop_back();
  }
  const size_t slash = rest.rfind('/');
  std::string name = slash == std::string::npos ? rest : rest.substr(slash + 1);
  Found found;
  if (rest.empty()) {
    found.error = Errno::kNoent;
    return found;
  }
  std::string holder = slash == std::string::npos ? "." : rest.substr(0, slash + 1);
  if (name.empty() || name == "." || name == "..") {
    holder = rest;
    name = ".";
  }
  found = Find(start, holder, /*follow=*/true);
  if (found.error == Errno::kSuccess && !found.node->is_directory()) {
    found.error = Errno::kNotdir;
  }
  found.parent = found.error == Errno::kSuccess ? found.node : nullptr;
  found.name = name;
  found.node = nullptr;
  if (found.error == Errno::kSuccess) {
    if (name == ".") {
      found.node = found.parent;
    } else {
      found.error = Lookup(*found.parent, name, found.node);
    }
  }
  return found;
}

ModelNodePtr ModelFs::Directory(uint32_t fd) const {
  const auto descriptor = descriptors_.find(fd);
  return descriptor != descriptors_.end() && descriptor->second.node != nullptr &&
                 descriptor->second.node->is_directory()
             ? descriptor->second.node
             : nullptr;
}

ModelDescriptor* ModelFs::File(uint32_t fd) {
  const auto descriptor = descriptors_.find(fd);
  return descriptor != descriptors_.end() && descriptor->second.node != nullptr &&
                 !descriptor->second.node->is_directory()
             ? &descriptor->second
             : nullptr;
}

bool ModelFs::IsStream(uint32_t fd) const {
  const auto descriptor = descriptors_.find(fd);
  return descriptor != descriptors_.end() && descriptor->second.node == nullptr;
}

uint32_t ModelFs::Add(ModelDescriptor descriptor) {
  uint32_t fd = 0;
  while (descriptors_.contains(fd)) {
    ++fd;
  }
  descriptors_[fd] = std::move(descriptor);
  return fd;
}

bool ModelFs::AreTimes(uint32_t flags) {
  const auto both = [flags](uint32_t a, uint32_t b) {
    return (flags & a) != 0 && (flags & b) != 0;
  };
  return flags <= abi::kSetFlags && !both(abi::kSetAtim, abi::kSetAtimNow) &&
         !both(abi::kSetMtim, abi::kSetMtimNow);
}

Errno ModelFs::SetTimes(ModelNode& node, uint64_t atim, uint64_t mtim, uint32_t flags) {
  if ((flags & (abi::kSetAtim | abi::kSetAtimNow)) != 0) {
    node.atim_ns = (flags & abi::kSetAtim) != 0 ? std::optional(atim) : std::nullopt;
  }
  if ((flags & (abi::kSetMtim | abi::kSetMtimNow)) != 0) {
    node.mtim_ns = (flags & abi::kSetMtim) != 0 ? std::optional(mtim) : std::nullopt;
  }
  return Errno::kSuccess;
}

Errno ModelFs::PathOpen(uint32_t fd, bool follow, const std::string& path, uint32_t open_flags,
                        uint64_t rights, uint32_t fd_flags, uint32_t& opened) {
  const ModelNodePtr directory = Directory(fd);
  if (directory == nullptr) {
    return File(fd) != nullptr ? Errno::kNotdir : Errno::kBadf;
  }
  const bool create = (open_flags & abi::kOpenCreat) != 0;
  const bool exclusive = create && (open_flags & abi::kOpenExcl) != 0;
  const bool truncate = (open_flags & abi::kOpenTrunc) != 0;
  const bool must_be_directory = (open_flags & abi::kOpenDirectory) != 0;
  if (must_be_directory && (open_flags & ~abi::kOpenDirectory) != 0) {
    return Errno::kInval;
  }
  const bool writes = create || truncate || (rights & abi::kRightFdWrite) != 0;
  const bool reads = (rights & abi::kRightFdRead) != 0 || (rights & abi::kRightFdWrite) == 0;
  if (descriptors_.size() >= max_open_files_) {
    return Errno::kMfile;
  }
  Found found = Walk(directory, path, follow && !exclusive, create);
  if (found.error != Errno::kSuccess) {
    return found.error;
  }
  if (found.node == nullptr) {
    if (!create) {
      return Errno::kNoent;
    }
    found.node = NewNode(ModelNode::Kind::kFile, nullptr);
    found.parent->entries[found.name] = found.node;
    Touch(*found.parent);
  } else {
    if (exclusive) {
      return Errno::kExist;
    }
    if (found.node->is_directory() && create) {
      return Errno::kIsdir;
    }
    if (found.node->is_link()) {
      return Errno::kLoop;
    }
    if ((found.must_be_directory || must_be_directory) && !found.node->is_directory()) {
      return Errno::kNotdir;
    }
    if (found.node->is_directory() && writes) {
      return Errno::kIsdir;
    }
    if (truncate) {
      found.node->text.clear();
      Touch(*found.node);
    }
  }
  opened = Add({.node = found.node,
                .reads = reads,
                .writes = writes,
                .appends = (fd_flags & abi::kFdAppend) != 0,
                .nonblock = (fd_flags & abi::kFdNonblock) != 0});
  return Errno::kSuccess;
}

Errno ModelFs::PathCreateDirectory(uint32_t fd, const std::string& path) {
  const ModelNodePtr directory = Directory(fd);
  if (directory == nullptr) {
    return Errno::kBadf;
  }
  const Found found = Holder(directory, path, /*ignore_slash=*/true);
  if (found.error != Errno::kSuccess) {
    return found.error;
  }
  if (found.node != nullptr) {
    return Errno::kExist;
  }
  found.parent->entries[found.name] = NewNode(ModelNode::Kind::kDirectory, found.parent);
  Touch(*found.parent);
  return Errno::kSuccess;
}

Errno ModelFs::PathRemoveDirectory(uint32_t fd, const std::string& path) {
  const ModelNodePtr directory = Directory(fd);
  if (directory == nullptr) {
    return Errno::kBadf;
  }
  const Found found = Holder(directory, path, /*ignore_slash=*/true);
  if (found.error != Errno::kSuccess) {
    return found.error;
  }
  if (found.name == ".") {
    return Errno::kInval;
  }
  if (found.node == nullptr) {
    return Errno::kNoent;
  }
  if (!found.node->is_directory()) {
    return Errno::kNotdir;
  }
  if (!found.node->entries.empty()) {
    return Errno::kNotempty;
  }
  found.node->is_removed = true;
  found.parent->entries.erase(found.name);
  Touch(*found.parent);
  return Errno::kSuccess;
}

Errno ModelFs::PathUnlinkFile(uint32_t fd, const std::string& path) {
  const ModelNodePtr directory = Directory(fd);
  if (directory == nullptr) {
    return Errno::kBadf;
  }
  const Found found = Holder(directory, path, /*ignore_slash=*/false);
  if (found.error != Errno::kSuccess) {
    return found.error;
  }
  if (found.node == nullptr) {
    return Errno::kNoent;
  }
  if (found.node->is_directory()) {
    return Errno::kIsdir;
  }
  --found.node->links;
  found.parent->entries.erase(found.name);
  Touch(*found.parent);
  return Errno::kSuccess;
}

Errno ModelFs::PathRename(uint32_t old_fd, const std::string& old_path, uint32_t new_fd,
                          const std::string& new_path) {
  const ModelNodePtr old_directory = Directory(old_fd);
  const ModelNodePtr new_directory = Directory(new_fd);
  if (old_directory == nullptr || new_directory == nullptr) {
    return Errno::kBadf;
  }
  // The directories first, then the names: a name that is too long, or in a directory that is gone,
  // comes behind a target's path that leads nowhere.
  const auto split = [this](const ModelNodePtr& start, const std::string& path, Found& found,
                            Errno& lookup) {
    found = Holder(start, path, /*ignore_slash=*/true);
    lookup = Errno::kSuccess;
    if (found.error != Errno::kSuccess && found.parent != nullptr) {
      lookup = std::exchange(found.error, Errno::kSuccess);
    }
    return found.error;
  };
  Found from;
  Found to;
  Errno from_lookup = Errno::kSuccess;
  Errno to_lookup = Errno::kSuccess;
  if (const Errno error = split(old_directory, old_path, from, from_lookup);
      error != Errno::kSuccess) {
    return error;
  }
  if (const Errno error = split(new_directory, new_path, to, to_lookup); error != Errno::kSuccess) {
    return error;
  }
  if (from.name == "." || to.name == ".") {
    return Errno::kBusy;
  }
  if (from_lookup != Errno::kSuccess) {
    return from_lookup;
  }
  if (from.node == nullptr) {
    return Errno::kNoent;
  }
  if (to_lookup != Errno::kSuccess) {
    return to_lookup;
  }
  const bool is_directory = from.node->is_directory();
  if (!is_directory && (old_path.ends_with('/') || new_path.ends_with('/'))) {
    return Errno::kNotdir;
  }
  if (is_directory && IsInside(to.parent, from.node)) {
    return Errno::kInval;
  }
  if (to.node != nullptr && to.node->is_directory() && IsInside(from.parent, to.node)) {
    return Errno::kNotempty;
  }
  if (from.node == to.node) {
    return Errno::kSuccess;
  }
  if (to.node != nullptr) {
    if (is_directory && !to.node->is_directory()) {
      return Errno::kNotdir;
    }
    if (!is_directory && to.node->is_directory()) {
      return Errno::kIsdir;
    }
    if (!to.node->entries.empty()) {
      return Errno::kNotempty;
    }
    to.node->is_removed = to.node->is_directory();
    --to.node->links;
  }
  to.parent->entries[to.name] = from.node;
  from.parent->entries.erase(from.name);
  if (is_directory) {
    from.node->parent = to.parent;
  }
  Touch(*from.parent);
  Touch(*to.parent);
  return Errno::kSuccess;
}

Errno ModelFs::PathLink(uint32_t old_fd, bool follow, const std::string& old_path, uint32_t new_fd,
                        const std::string& new_path) {
  const ModelNodePtr old_directory = Directory(old_fd);
  const ModelNodePtr new_directory = Directory(new_fd);
  if (old_directory == nullptr || new_directory == nullptr) {
    return Errno::kBadf;
  }
  if (follow) {
    return Errno::kInval;
  }
  Found from = Holder(old_directory, old_path, /*ignore_slash=*/false);
  Errno from_lookup = Errno::kSuccess;
  if (from.error != Errno::kSuccess && from.parent != nullptr) {
    from_lookup = std::exchange(from.error, Errno::kSuccess);
  }
  if (from.error != Errno::kSuccess) {
    return from.error;
  }
  const Found to = Holder(new_directory, new_path, /*ignore_slash=*/false);
  if (to.error != Errno::kSuccess && to.parent == nullptr) {
    return to.error;
  }
  if (from_lookup != Errno::kSuccess) {
    return from_lookup;
  }
  if (from.node == nullptr) {
    return Errno::kNoent;
  }
  if (to.error != Errno::kSuccess) {
    return to.error;
  }
  if (to.node != nullptr) {
    return Errno::kExist;
  }
  if (from.node->is_directory()) {
    return Errno::kPerm;
  }
  to.parent->entries[to.name] = from.node;
  ++from.node->links;
  Touch(*to.parent);
  return Errno::kSuccess;
}

Errno ModelFs::PathSymlink(const std::string& target, uint32_t fd, const std::string& path) {
  const ModelNodePtr directory = Directory(fd);
  if (directory == nullptr) {
    return Errno::kBadf;
  }
  if (target.starts_with('/')) {
    return Errno::kPerm;
  }
  const Found found = Holder(directory, path, /*ignore_slash=*/false);
  if (found.error != Errno::kSuccess && found.parent == nullptr) {
    return found.error;
  }
  if (target.empty()) {
    return Errno::kNoent;
  }
  if (found.error != Errno::kSuccess) {
    return found.error;
  }
  if (found.node != nullptr) {
    return Errno::kExist;
  }
  const ModelNodePtr link = NewNode(ModelNode::Kind::kLink, nullptr);
  link->text = target;
  found.parent->entries[found.name] = link;
  Touch(*found.parent);
  return Errno::kSuccess;
}

Errno ModelFs::PathReadlink(uint32_t fd, const std::string& path, std::string& target) {
  const ModelNodePtr directory = Directory(fd);
  if (directory == nullptr) {
    return Errno::kBadf;
  }
  const Found found = Holder(directory, path, /*ignore_slash=*/false);
  if (found.error != Errno::kSuccess) {
    return found.error;
  }
  if (found.node == nullptr) {
    return Errno::kNoent;
  }
  if (!found.node->is_link()) {
    return Errno::kInval;
  }
  target = found.node->text;
  found.node->atim_ns.reset();
  return Errno::kSuccess;
}

Errno ModelFs::PathFilestatGet(uint32_t fd, bool follow, const std::string& path,
                               ModelNodePtr& node) {
  const ModelNodePtr directory = Directory(fd);
  if (directory == nullptr) {
    return Errno::kBadf;
  }
  const Found found = Find(directory, path, follow);
  node = found.node;
  return found.error;
}

Errno ModelFs::PathFilestatSetTimes(uint32_t fd, bool follow, const std::string& path,
                                    uint64_t atim, uint64_t mtim, uint32_t flags) {
  if (!AreTimes(flags)) {
    return Errno::kInval;
  }
  const ModelNodePtr directory = Directory(fd);
  if (directory == nullptr) {
    return Errno::kBadf;
  }
  if (flags == 0) {
    return Errno::kSuccess;
  }
  const Found found = Find(directory, path, follow);
  return found.error == Errno::kSuccess ? SetTimes(*found.node, atim, mtim, flags) : found.error;
}

Errno ModelFs::FdRead(uint32_t fd, uint64_t size, std::optional<uint64_t> offset,
                      std::string& text) {
  ModelDescriptor* const file = File(fd);
  if (file == nullptr) {
    // Input at its end; what is written to is not read.
    return IsStream(fd) ? Errno::kNotsup : Errno::kBadf;
  }
  if (offset.has_value() && *offset > kMaxOffset) {
    return Errno::kInval;
  }
  if (!file->reads) {
    return Errno::kBadf;
  }
  const std::string& contents = file->node->text;
  const uint64_t at = std::min<uint64_t>(offset.value_or(file->position), contents.size());
  text = contents.substr(at, size);
  if (!offset.has_value()) {
    file->position += text.size();
  }
  if (size != 0) {
    file->node->atim_ns.reset();
  }
  return Errno::kSuccess;
}

Errno ModelFs::FdWrite(uint32_t fd, std::string_view text, std::optional<uint64_t> offset) {
  ModelDescriptor* const file = File(fd);
  if (file == nullptr) {
    return IsStream(fd) ? Errno::kNotsup : Errno::kBadf;
  }
  if (offset.has_value() && *offset > kMaxOffset) {
    return Errno::kInval;
  }
  if (!file->writes) {
    return Errno::kBadf;
  }
  if (text.empty()) {
    return Errno::kSuccess;
  }
  std::string& contents = file->node->text;
  const uint64_t at = file->appends ? contents.size() : offset.value_or(file->position);
  contents.resize(std::max<size_t>(contents.size(), at + text.size()));
  contents.replace(at, text.size(), text);
  if (!offset.has_value()) {
    file->position = at + text.size();
  }
  Touch(*file->node);
  return Errno::kSuccess;
}

Errno ModelFs::FdSeek(uint32_t fd, int64_t offset, uint32_t whence, uint64_t& position) {
  if (whence > abi::kWhenceEnd) {
    return Errno::kInval;
  }
  ModelDescriptor* const file = File(fd);
  if (file == nullptr) {
    return IsStream(fd) ? Errno::kSpipe : Errno::kBadf;
  }
  const uint64_t base = whence == abi::kWhenceSet   ? 0
                        : whence == abi::kWhenceCur ? file->position
                                                    : file->node->text.size();
  const int64_t to = static_cast<int64_t>(base) + offset;
  if (to < 0) {
    return Errno::kInval;
  }
  file->position = static_cast<uint64_t>(to);
  position = file->position;
  return Errno::kSuccess;
}

Errno ModelFs::FdFilestatGet(uint32_t fd, ModelNodePtr& node) {
  const auto descriptor = descriptors_.find(fd);
  if (descriptor == descriptors_.end()) {
    return Errno::kBadf;
  }
  node = descriptor->second.node;
  return Errno::kSuccess;
}

Errno ModelFs::FdFilestatSetSize(uint32_t fd, uint64_t size) {
  ModelDescriptor* const file = File(fd);
  if (file == nullptr) {
    return Errno::kBadf;
  }
  if (size > kMaxOffset || !file->writes) {
    return Errno::kInval;
  }
  file->node->text.resize(size);
  Touch(*file->node);
  return Errno::kSuccess;
}

Errno ModelFs::FdFilestatSetTimes(uint32_t fd, uint64_t atim, uint64_t mtim, uint32_t flags) {
  if (!AreTimes(flags)) {
    return Errno::kInval;
  }
  const auto descriptor = descriptors_.find(fd);
  if (descriptor == descriptors_.end() || descriptor->second.node == nullptr) {
    return Errno::kBadf;
  }
  return SetTimes(*descriptor->second.node, atim, mtim, flags);
}

Errno ModelFs::FdAllocate(uint32_t fd, uint64_t offset, uint64_t size) {
  ModelDescriptor* const file = File(fd);
  if (file == nullptr) {
    return Errno::kBadf;
  }
  if (offset > kMaxOffset || size > kMaxOffset || size == 0) {
    return Errno::kInval;
  }
  if (!file->writes) {
    return Errno::kBadf;
  }
  std::string& contents = file->node->text;
  contents.resize(std::max<size_t>(contents.size(), offset + size));
  Touch(*file->node);
  return Errno::kSuccess;
}

Errno ModelFs::FdReaddir(uint32_t fd, ModelNodePtr& directory) {
  directory = Directory(fd);
  if (directory == nullptr) {
    return Errno::kBadf;
  }
  directory->atim_ns.reset();
  return Errno::kSuccess;
}

Errno ModelFs::FdRenumber(uint32_t from, uint32_t to) {
  if (!descriptors_.contains(from) || !descriptors_.contains(to)) {
    return Errno::kBadf;
  }
  if (from != to) {
    descriptors_[to] = std::move(descriptors_[from]);
    descriptors_.erase(from);
  }
  return Errno::kSuccess;
}

Errno ModelFs::FdClose(uint32_t fd) {
  return descriptors_.erase(fd) != 0 ? Errno::kSuccess : Errno::kBadf;
}

Errno ModelFs::FdFdstatGet(uint32_t fd, const ModelDescriptor*& descriptor) {
  const auto found = descriptors_.find(fd);
  if (found == descriptors_.end()) {
    return Errno::kBadf;
  }
  descriptor = &found->second;
  return Errno::kSuccess;
}

Errno ModelFs::FdFdstatSetFlags(uint32_t fd, uint32_t flags) {
  if (flags > abi::kFdFlags) {
    return Errno::kInval;
  }
  ModelDescriptor* const file = File(fd);
  if (file == nullptr) {
    return Errno::kBadf;
  }
  if ((flags & (abi::kFdDsync | abi::kFdRsync | abi::kFdSync)) != 0) {
    return Errno::kInval;
  }
  file->appends = (flags & abi::kFdAppend) != 0;
  file->nonblock = (flags & abi::kFdNonblock) != 0;
  return Errno::kSuccess;
}

Errno ModelFs::FdPrestatGet(uint32_t fd) {
  const auto found = descriptors_.find(fd);
  return found != descriptors_.end() && found->second.is_preopen ? Errno::kSuccess : Errno::kBadf;
}

}  // namespace wasmd::engine
