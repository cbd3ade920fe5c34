// In the manner of CoreMark: a linked list that is searched and merge-sorted, small integer
// matrices, a state machine over numbers in text, all folded into a CRC-16. Scale: thousands of
// iterations.
#define kScale 8
#include "bench.h"

struct Node {
  struct Node* next;
  int16_t value;
  int16_t key;
};

static uint16_t Crc16(uint16_t crc, uint16_t value) {
  for (int i = 0; i < 16; ++i) {
    uint16_t bit = (uint16_t)((crc ^ value) & 1);
    crc = (uint16_t)(crc >> 1);
    value = (uint16_t)(value >> 1);
    if (bit != 0) {
      crc ^= 0xa001;
    }
  }
  return crc;
}

static int ByKey(const struct Node* a, const struct Node* b) {
  return a->key - b->key;
}
static int ByValue(const struct Node* a, const struct Node* b) {
  return a->value - b->value;
}

static struct Node* MergeSort(struct Node* list,
                              int (*compare)(const struct Node*, const struct Node*)) {
  for (int width = 1;; width *= 2) {
    struct Node* left = list;
    struct Node* tail = NULL;
    int merges = 0;
    list = NULL;
    while (left != NULL) {
      ++merges;
      struct Node* right = left;
      int left_size = 0;
      while (left_size < width && right != NULL) {
        right = right->next;
        ++left_size;
      }
      int right_size = width;
      while (left_size > 0 || (right_size > 0 && right != NULL)) {
        struct Node* pick;
        if (left_size > 0 && (right_size == 0 || right == NULL || compare(left, right) <= 0)) {
          pick = left;
          left = left->next;
          --left_size;
        } else {
          pick = right;
          right = right->next;
          --right_size;
        }
        if (tail != NULL) {
          tail->next = pick;
        } else {
          list = pick;
        }
        tail = pick;
      }
      left = right;
    }
    tail->next = NULL;
    if (merges <= 1) {
      return list;
    }
  }
}

#define kNodes 200
#define kSide 9

static uint16_t Lists(struct Node* nodes, uint64_t* random, uint16_t crc) {
  for (int i = 0; i < kNodes; ++i) {
    nodes[i].next = i + 1 < kNodes ? &nodes[i + 1] : NULL;
    nodes[i].key = (int16_t)(NextRandom(random) & 0x7fff);
    nodes[i].value = (int16_t)(NextRandom(random) & 0x7fff);
  }
  struct Node* list = MergeSort(nodes, ByKey);
  for (int i = 0; i < 30; ++i) {
    int16_t wanted = (int16_t)(i * 1000);
    const struct Node* at = list;
    int steps = 0;
    while (at != NULL && at->key < wanted) {
      at = at->next;
      ++steps;
    }
    crc = Crc16(crc, (uint16_t)steps);
  }
  list = MergeSort(list, ByValue);
  for (const struct Node* at = list; at != NULL; at = at->next) {
    crc = Crc16(crc, (uint16_t)at->value);
  }
  return crc;
}

static uint16_t Matrices(uint64_t* random, uint16_t crc) {
  int16_t a[kSide][kSide];
  int16_t b[kSide][kSide];
  int32_t c[kSide][kSide];
  for (int i = 0; i < kSide; ++i) {
    for (int j = 0; j < kSide; ++j) {
      a[i][j] = (int16_t)(NextRandom(random) & 0xff);
      b[i][j] = (int16_t)(NextRandom(random) & 0xff);
    }
  }
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < kSide; ++i) {
      for (int j = 0; j < kSide; ++j) {
        int32_t sum = 0;
        for (int k = 0; k < kSide; ++k) {
          int32_t product = a[i][k] * b[k][j];
          sum += round % 2 == 0 ? product : ((product >> 2) & 0xf) * ((product >> 5) & 0x7f);
        }
        c[i][j] = sum;
      }
    }
    for (int i = 0; i < kSide; ++i) {
      for (int j = 0; j < kSide; ++j) {
        a[i][j] = (int16_t)(c[i][j] + round);
        crc = Crc16(crc, (uint16_t)c[i][j]);
      }
    }
  }
  return crc;
}

enum State { kStart, kInteger, kFraction, kExponent, kExponentDigits, kInvalid, kStateCount };

static uint16_t States(uint64_t* random, uint16_t crc) {
  static const char* const kSamples[] = {"5012",         "1234.500",    "-874",     "+122",
                                         "35.54400e+3,", "-110.700e-2", "T0.3e-1F", "-T.T++Tq",
                                         "1T3.4e4z",     "34.0e-T"};
  char text[1024];
  size_t size = 0;
  while (size < 900) {
    size += (size_t)snprintf(text + size, 32, "%s,", kSamples[NextRandom(random) % 10]);
  }
  unsigned counts[kStateCount] = {0};
  enum State state = kStart;
  for (size_t i = 0; i < size; ++i) {
    char c = text[i];
    int digit = c >= '0' && c <= '9';
    if (c == ',') {
      ++counts[state];
      state = kStart;
      continue;
    }
    switch (state) {
      case kStart:
        state = digit || c == '+' || c == '-' ? kInteger : c == '.' ? kFraction : kInvalid;
        break;
      case kInteger:
        state = digit ? kInteger : c == '.' ? kFraction : kInvalid;
        break;
      case kFraction:
        state = digit ? kFraction : c == 'e' || c == 'E' ? kExponent : kInvalid;
        break;
      case kExponent:
        state = c == '+' || c == '-' ? kExponentDigits : kInvalid;
        break;
      case kExponentDigits:
        state = digit ? kExponentDigits : kInvalid;
        break;
      case kInvalid:
      case kStateCount:
        break;
    }
  }
  for (int i = 0; i < kStateCount; ++i) {
    crc = Crc16(crc, (uint16_t)counts[i]);
  }
  return crc;
}

static uint64_t Work(int scale) {
  struct Node* nodes = malloc(sizeof *nodes * kNodes);
  uint64_t random = 7;
  uint16_t crc = 0;
  for (int i = 0; i < scale * 1000; ++i) {
    crc = Lists(nodes, &random, crc);
    crc = Matrices(&random, crc);
    crc = States(&random, crc);
  }
  free(nodes);
  return crc;
}
