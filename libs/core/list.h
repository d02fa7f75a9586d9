#pragma once

#include "base/check.h"

namespace millrace::core {

// One membership in one list at a time, inside the element: linking and unlinking allocate nothing. An element that
// may be in several lists derives from a Node for each, told apart by `Tag`.
template <typename Tag>
struct Node {
  Node* previous = nullptr;
  Node* next = nullptr;
  bool linked() const { return next != nullptr; }
};

template <typename T, typename Tag>
class List {
 public:
  List() { head_.previous = head_.next = &head_; }
  List(const List&) = delete;
  List& operator=(const List&) = delete;

  bool empty() const { return head_.next == &head_; }
  T* front() const { return empty() ? nullptr : static_cast<T*>(head_.next); }

  // nullptr behind the last element.
  T* After(T* item) const {
    Node<Tag>* node = static_cast<Node<Tag>*>(item)->next;
    return node == &head_ ? nullptr : static_cast<T*>(node);
  }

  void PushBack(T* item) { InsertBefore(&head_, item); }
  void PushFront(T* item) { InsertBefore(head_.next, item); }

  // Behind the last element that does not come after it. The list is ordered; new elements mostly belong near its end.
  template <typename After>
  void InsertOrdered(T* item, After after) {
    Node<Tag>* place = &head_;
    while (place->previous != &head_ && after(*static_cast<T*>(place->previous), *item)) place = place->previous;
    InsertBefore(place, item);
  }

  // Does nothing when the element is in no list.
  static void Remove(T* item) {
    Node<Tag>* node = item;
    if (!node->linked()) return;
    node->previous->next = node->next;
    node->next->previous = node->previous;
    node->previous = node->next = nullptr;
  }

 private:
  static void InsertBefore(Node<Tag>* place, T* item) {
    Node<Tag>* node = item;
    MR_CHECK(!node->linked());
    node->previous = place->previous;
    node->next = place;
    place->previous->next = node;
    place->previous = node;
  }

  Node<Tag> head_;
};

}  // namespace millrace::core
