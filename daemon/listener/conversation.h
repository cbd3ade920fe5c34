// Conversation: what a connection says that speaks neither HTTP/2 nor nothing: a protocol's side of
// it, without the waiting. Single-thread: the listener's.
#ifndef WASMD_DAEMON_LISTENER_CONVERSATION_H_
#define WASMD_DAEMON_LISTENER_CONVERSATION_H_

#include <string_view>

namespace wasmd::daemon {

class Conversation {
 public:
  Conversation() = default;
  Conversation(const Conversation&) = delete;
  Conversation& operator=(const Conversation&) = delete;
  virtual ~Conversation() = default;

  // Reads and answers what is there. False: the connection has ended, or must.
  virtual bool Read() = 0;
  // The client has said who it is, and need not hurry any more.
  virtual bool welcomed() const = 0;
  // Tells the client why the connection is about to be closed.
  virtual void SayGoodbye(std::string_view reason) = 0;
};

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_LISTENER_CONVERSATION_H_
