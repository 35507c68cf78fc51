/* Arithmetic on integers: a sieve, a matrix product, SHA-256 (FIPS 180-4), CRC-32 by table, multiplication and division. */
#include "kernels.h"

#define SIEVE_LIMIT 2000000
#define SIEVE_TURNS 10

static uint8_t composite[SIEVE_LIMIT];

static uint64_t sieve(void) {
  uint64_t sum = 0;
  for (int turn = 0; turn < SIEVE_TURNS; turn++) {
    memset(composite, 0, sizeof composite);
    for (uint32_t i = 2; i * i < SIEVE_LIMIT; i++) {
      if (composite[i]) continue;
      for (uint32_t j = i * i; j < SIEVE_LIMIT; j += i) composite[j] = 1;
    }
    uint32_t count = 0;
    for (uint32_t i = 2 + turn; i < SIEVE_LIMIT; i++) count += !composite[i];
    sum = mix(sum, count);
  }
  return sum;
}

#define MATRIX 200
#define MATRIX_TURNS 14

static uint32_t left[MATRIX][MATRIX], right[MATRIX][MATRIX], product[MATRIX][MATRIX];

static uint64_t matrix_int(void) {
  uint32_t seed = 1;
  uint64_t sum = 0;
  for (int turn = 0; turn < MATRIX_TURNS; turn++) {
    for (int i = 0; i < MATRIX; i++)
      for (int j = 0; j < MATRIX; j++) {
        left[i][j] = next_random(&seed);
        right[i][j] = next_random(&seed);
      }
    for (int i = 0; i < MATRIX; i++)
      for (int j = 0; j < MATRIX; j++) {
        uint32_t element = 0;
        for (int k = 0; k < MATRIX; k++) element += left[i][k] * right[k][j];
        product[i][j] = element;
      }
    for (int i = 0; i < MATRIX; i++) sum = mix(sum, product[i][(i * 7 + turn) % MATRIX]);
  }
  return sum;
}

static const uint32_t round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

#define ROTATED(x, by) ((x) >> (by) | (x) << (32 - (by)))

static void sha256_block(uint32_t state[8], const uint8_t *block) {
  uint32_t w[64], s[8];
  for (int t = 0; t < 16; t++) {
    const uint8_t *at = block + 4 * t;
    w[t] = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
  }
  for (int t = 16; t < 64; t++) {
    uint32_t low = ROTATED(w[t - 15], 7) ^ ROTATED(w[t - 15], 18) ^ w[t - 15] >> 3;
    uint32_t high = ROTATED(w[t - 2], 17) ^ ROTATED(w[t - 2], 19) ^ w[t - 2] >> 10;
    w[t] = w[t - 16] + low + w[t - 7] + high;
  }
  memcpy(s, state, sizeof s);
  for (int t = 0; t < 64; t++) {
    uint32_t choice = (s[4] & s[5]) ^ (~s[4] & s[6]);
    uint32_t majority = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
    uint32_t one = s[7] + (ROTATED(s[4], 6) ^ ROTATED(s[4], 11) ^ ROTATED(s[4], 25)) + choice + round_constants[t] + w[t];
    uint32_t two = (ROTATED(s[0], 2) ^ ROTATED(s[0], 13) ^ ROTATED(s[0], 22)) + majority;
    s[7] = s[6], s[6] = s[5], s[5] = s[4], s[4] = s[3] + one;
    s[3] = s[2], s[2] = s[1], s[1] = s[0], s[0] = one + two;
  }
  for (int i = 0; i < 8; i++) state[i] += s[i];
}

#define BYTES (1 << 20)
#define SHA_TURNS 28
#define CRC_TURNS 60

static uint8_t bytes[BYTES];
static uint32_t crc_table[256];

static void prepare_bytes(void) {
  uint32_t seed = 2;
  for (int i = 0; i < BYTES; i++) bytes[i] = (uint8_t)next_random(&seed);
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    crc_table[i] = crc;
  }
}

/* Without the padding. */
static uint64_t sha256(void) {
  uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  for (int turn = 0; turn < SHA_TURNS; turn++)
    for (int at = 0; at < BYTES; at += 64) sha256_block(state, bytes + at);
  return (uint64_t)state[0] << 32 | state[7];
}

static uint64_t crc32(void) {
  uint32_t crc = ~0u;
  for (int turn = 0; turn < CRC_TURNS; turn++)
    for (int at = 0; at < BYTES; at++) crc = crc >> 8 ^ crc_table[(crc ^ bytes[at]) & 0xff];
  return ~crc;
}

#define MULDIV_TURNS 36000000

static uint64_t muldiv(void) {
  uint64_t x = 0x9e3779b97f4a7c15u, sum = 0;
  for (uint32_t i = 1; i <= MULDIV_TURNS; i++) {
    x = x * 0xd1342543de82ef95u + i;
    uint64_t high = (uint64_t)((unsigned __int128)x * (sum | 1) >> 64);
    uint64_t divisor = (x >> (i & 31)) | 1;
    sum += high / divisor + (uint64_t)((int64_t)x % (int64_t)(i | 0x10000)) + x / (i | 1);
  }
  return sum;
}

const struct kernel integer_kernels[] = {
    {"sieve", "integer", sieve, 0},
    {"matrix-int", "integer", matrix_int, 0},
    {"sha256", "integer", sha256, prepare_bytes},
    {"crc32", "integer", crc32, prepare_bytes},
    {"muldiv", "integer", muldiv, 0},
    {0, 0, 0, 0},
};
