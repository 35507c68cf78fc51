/*
 * A loop in CoreMark's manner, written for this project: a linked list that is searched, reversed and sorted, a small
 * integer matrix product, a state machine over text and a CRC over the results. Bare metal: runs at 0x80000000 in M mode
 * and ends through HTIF. ITERATIONS comes from the command line.
 *
 * It times itself: at the start, in the middle and at the end it leaves mtime and minstret in `marks`, for the host.
 */
#include <stdint.h>

#ifndef ITERATIONS
#define ITERATIONS 2000
#endif
#define NODES 128
#define SIZE 24

struct node {
  struct node *next;
  int16_t key;
  int16_t tag;
};

static struct node nodes[NODES];
static int16_t a[SIZE][SIZE], b[SIZE][SIZE];
static int32_t c[SIZE][SIZE];
static const char text[] = "5012,-78.25e3,+.5,0x1f,,ABC,7e-2,9999999,-1.0.0,33,";

struct mark {
  uint64_t mtime;
  uint64_t minstret;
};
/* At a fixed address: link.ld. */
volatile struct mark marks[3] __attribute__((section(".marks")));

static void leave_mark(int index) {
  uint64_t mtime, minstret;
  __asm__ volatile("csrr %0, time\n\tcsrr %1, minstret" : "=r"(mtime), "=r"(minstret));
  marks[index] = (struct mark){mtime, minstret};
}

static uint16_t crc16(uint16_t crc, uint32_t value) {
  for (int i = 0; i < 32; i++) {
    uint16_t bit = (crc ^ value) & 1;
    crc >>= 1;
    value >>= 1;
    if (bit) crc ^= 0xa001;
  }
  return crc;
}

static struct node *reverse(struct node *list) {
  struct node *done = 0;
  while (list) {
    struct node *next = list->next;
    list->next = done;
    done = list;
    list = next;
  }
  return done;
}

static struct node *merge_sort(struct node *list, int length) {
  if (length < 2) {
    if (list) list->next = 0;
    return list;
  }
  int half = length / 2;
  struct node *right = list;
  for (int i = 0; i < half; i++) right = right->next;
  right = merge_sort(right, length - half);
  struct node *left = merge_sort(list, half), *head = 0, **tail = &head;
  while (left && right) {
    struct node **least = left->key <= right->key ? &left : &right;
    *tail = *least;
    *least = (*least)->next;
    tail = &(*tail)->next;
  }
  *tail = left ? left : right;
  return head;
}

static uint32_t scan(void) {
  enum { START, SIGN, INTEGER, FRACTION, EXPONENT, BAD } state = START;
  uint32_t counts[6] = {0};
  for (const char *p = text; *p; p++) {
    char ch = *p;
    if (ch == ',') {
      counts[state]++;
      state = START;
      continue;
    }
    switch (state) {
    case START: state = ch == '-' || ch == '+' ? SIGN : ch >= '0' && ch <= '9' ? INTEGER : ch == '.' ? FRACTION : BAD; break;
    case SIGN: state = ch >= '0' && ch <= '9' ? INTEGER : ch == '.' ? FRACTION : BAD; break;
    case INTEGER: state = ch == '.' ? FRACTION : ch == 'e' ? EXPONENT : ch >= '0' && ch <= '9' ? INTEGER : BAD; break;
    case FRACTION: state = ch == 'e' ? EXPONENT : ch >= '0' && ch <= '9' ? FRACTION : BAD; break;
    case EXPONENT: state = ch == '-' || (ch >= '0' && ch <= '9') ? EXPONENT : BAD; break;
    default: break;
    }
  }
  uint32_t sum = 0;
  for (int i = 0; i < 6; i++) sum = sum * 31 + counts[i];
  return sum;
}

int main(void) {
  uint16_t crc = 0xffff;
  uint32_t seed = 12345;
  leave_mark(0);
  for (int iteration = 0; iteration < ITERATIONS; iteration++) {
    if (iteration == ITERATIONS / 2) leave_mark(1);
    for (int i = 0; i < NODES; i++) {
      seed = seed * 1103515245 + 12345;
      nodes[i] = (struct node){i + 1 < NODES ? &nodes[i + 1] : 0, (int16_t)(seed >> 16), (int16_t)i};
    }
    struct node *list = reverse(merge_sort(reverse(&nodes[0]), NODES));
    for (struct node *n = list; n; n = n->next) crc = crc16(crc, (uint16_t)n->key);
    for (int i = 0; i < SIZE; i++)
      for (int j = 0; j < SIZE; j++) {
        a[i][j] = (int16_t)(i * j + iteration);
        b[i][j] = (int16_t)(i - j + (int16_t)seed);
      }
    for (int i = 0; i < SIZE; i++)
      for (int j = 0; j < SIZE; j++) {
        int32_t sum = 0;
        for (int k = 0; k < SIZE; k++) sum += a[i][k] * b[k][j];
        c[i][j] = sum;
      }
    crc = crc16(crc, c[iteration % SIZE][(iteration / SIZE) % SIZE]);
    crc = crc16(crc, scan());
  }
  leave_mark(2);
  return crc;
}
