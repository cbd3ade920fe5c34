/* One instance of guest.wat behind a few C functions, for the hosts that are reached through C: Go
 * and Java. */
#ifndef WASMD_TESTS_HOSTS_GUEST_H_
#define WASMD_TESTS_HOSTS_GUEST_H_

#include <stdint.h>

typedef struct Guest Guest;

enum { kAdd = 1, kDivide = 2, kLoad = 3, kRecurse = 4, kCallHost = 5 };

/* With an engine and a store of its own. `on_call` is what the guest imports. Null: `why` says why.
 */
Guest* GuestNew(const char* file, int32_t (*on_call)(int64_t env, int32_t argument), int64_t env,
                const char** why);
void GuestDelete(Guest*);

/* 0: `*result` is written. 1: a trap, whose message is in `message`, of 128 bytes. Takes as many of
 * the arguments as the function has parameters. */
int GuestCall(Guest*, int index, int32_t first, int32_t second, int32_t* result, char* message);

#endif /* WASMD_TESTS_HOSTS_GUEST_H_ */
