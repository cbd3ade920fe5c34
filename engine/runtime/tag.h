// TagInstance: what exceptions are told apart by; TagHandle: one of a store, to import, export and
// throw. Spec: syntax-taginst
#ifndef WASMD_ENGINE_RUNTIME_TAG_H_
#define WASMD_ENGINE_RUNTIME_TAG_H_

#include "engine/wasm/types.h"

namespace wasmd::engine {

class Store;

// Its address is its identity. Never moves, lives as long as its store.
struct TagInstance {
  const FuncType* type = nullptr;  // The module's, or the store's own.
};

// A small value, dead with its store.
class TagHandle {
 public:
  TagHandle(Store& store, const TagInstance& tag) : store_(&store), tag_(&tag) {}

  // The values of its exceptions: the parameters.
  TagType type() const { return {*tag_->type}; }
  const std::vector<ValType>& params() const { return tag_->type->params; }
  Store& store() const { return *store_; }
  const TagInstance& tag() const { return *tag_; }

  // The same tag, under whatever names it was imported.
  friend bool operator==(const TagHandle& a, const TagHandle& b) { return a.tag_ == b.tag_; }

 private:
  Store* store_;
  const TagInstance* tag_;
};

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_RUNTIME_TAG_H_
