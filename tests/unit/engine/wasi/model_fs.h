// A file system and a table of descriptors in memory, that behave as WASI preview 1 on a Linux file
// system does: what model_test.cc compares the real thing with.
//
// It says what an operation answers and what is there afterwards, by the rules of POSIX, of Linux
// where POSIX leaves a choice, and of docs/wasi.md where we make one. It knows nothing of system
// calls: a path is walked component by component, beneath the directory where it starts.
//
// What it does not know: inode numbers, sizes and link counts of directories, the order of
// listings, and times that nobody set (nullopt).
#ifndef WASMD_TESTS_UNIT_ENGINE_WASI_MODEL_FS_H_
#define WASMD_TESTS_UNIT_ENGINE_WASI_MODEL_FS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "engine/wasi/errno.h"

namespace wasmd::engine {

struct ModelNode {
  enum class Kind : uint8_t { kFile, kDirectory, kLink };
  Kind kind = Kind::kFile;
  std::string text;  // A file's contents, a link's target.
  std::map<std::string, std::shared_ptr<ModelNode>> entries;
  std::weak_ptr<ModelNode> parent;  // Of a directory; itself at the root.
  bool is_removed = false;          // A directory that was removed while it was open.
  uint32_t links = 1;               // Names of a file or link.
  std::optional<uint64_t> atim_ns;
  std::optional<uint64_t> mtim_ns;
  std::optional<uint64_t> inode;  // The real one's, once it was seen.

  bool is_directory() const { return kind == Kind::kDirectory; }
  bool is_link() const { return kind == Kind::kLink; }
};
using ModelNodePtr = std::shared_ptr<ModelNode>;

struct ModelDescriptor {
  ModelNodePtr node;
  bool is_preopen = false;
  bool reads = false;
  bool writes = false;
  bool appends = false;
  bool nonblock = false;
  uint64_t position = 0;
};

// Operations have the names, order of arguments and errnos of WASI's functions; where one has
// results besides, they are behind an out parameter that is set on success. One thread.
class ModelFs {
 public:
  // Descriptor 3 is the root, 0 to 2 are streams, of which the model knows only that they are open.
  explicit ModelFs(uint32_t max_open_files);

  Errno PathOpen(uint32_t fd, bool follow, const std::string& path, uint32_t open_flags,
                 uint64_t rights, uint32_t fd_flags, uint32_t& opened);
  Errno PathCreateDirectory(uint32_t fd, const std::string& path);
  Errno PathRemoveDirectory(uint32_t fd, const std::string& path);
  Errno PathUnlinkFile(uint32_t fd, const std::string& path);
  Errno PathRename(uint32_t old_fd, const std::string& old_path, uint32_t new_fd,
                   const std::string& new_path);
  Errno PathLink(uint32_t old_fd, bool follow, const std::string& old_path, uint32_t new_fd,
                 const std::string& new_path);
  Errno PathSymlink(const std::string& target, uint32_t fd, const std::string& path);
  Errno PathReadlink(uint32_t fd, const std::string& path, std::string& target);
  Errno PathFilestatGet(uint32_t fd, bool follow, const std::string& path, ModelNodePtr& node);
  Errno PathFilestatSetTimes(uint32_t fd, bool follow, const std::string& path, uint64_t atim,
                             uint64_t mtim, uint32_t flags);

  Errno FdRead(uint32_t fd, uint64_t size, std::optional<uint64_t> offset, std::string& text);
  Errno FdWrite(uint32_t fd, std::string_view text, std::optional<uint64_t> offset);
  Errno FdSeek(uint32_t fd, int64_t offset, uint32_t whence, uint64_t& position);
  Errno FdFilestatGet(uint32_t fd, ModelNodePtr& node);
  Errno FdFilestatSetSize(uint32_t fd, uint64_t size);
  Errno FdFilestatSetTimes(uint32_t fd, uint64_t atim, uint64_t mtim, uint32_t flags);
  Errno FdAllocate(uint32_t fd, uint64_t offset, uint64_t size);
  Errno FdReaddir(uint32_t fd, ModelNodePtr& directory);
  Errno FdRenumber(uint32_t from, uint32_t to);
  Errno FdClose(uint32_t fd);
  Errno FdFdstatGet(uint32_t fd, const ModelDescriptor*& descriptor);
  Errno FdFdstatSetFlags(uint32_t fd, uint32_t flags);
  Errno FdPrestatGet(uint32_t fd);

  const ModelNodePtr& root() const { return root_; }
  const std::map<uint32_t, ModelDescriptor>& descriptors() const { return descriptors_; }

 private:
  // What a path leads to.
  struct Found {
    Errno error = Errno::kSuccess;
    ModelNodePtr parent;             // Null where the path ends in "." or "..".
    std::string name;                // In `parent`.
    ModelNodePtr node;               // Null: no such name.
    bool must_be_directory = false;  // A slash behind it.
  };
  Found Walk(const ModelNodePtr& start, const std::string& path, bool follow, bool create) const;
  // The existing node, or an error.
  Found Find(const ModelNodePtr& start, const std::string& path, bool follow) const;
  // The directory and the last name, "." where the path ends in no name. With an error, the
  // directory is there if only the name could not be looked up.
  Found Holder(const ModelNodePtr& start, const std::string& path, bool ignore_slash) const;

  ModelNodePtr Directory(uint32_t fd) const;  // Null: no open directory.
  ModelDescriptor* File(uint32_t fd);
  bool IsStream(uint32_t fd) const;
  uint32_t Add(ModelDescriptor descriptor);
  static void Touch(ModelNode& node) { node.mtim_ns.reset(); }
  static Errno SetTimes(ModelNode& node, uint64_t atim, uint64_t mtim, uint32_t flags);
  static bool AreTimes(uint32_t flags);

  ModelNodePtr root_;
  const uint32_t max_open_files_;
  std::map<uint32_t, ModelDescriptor> descriptors_;  // A stream has no node.
};

}  // namespace wasmd::engine

#endif  // WASMD_TESTS_UNIT_ENGINE_WASI_MODEL_FS_H_
