// SPDX-License-Identifier: Apache-2.0
#include <pthread.h>
#include <string.h>

#include "content.h"
#include "random.h"

/* Enough words that zstd finds real matches and yet has to spell: the ratio is that of ordinary guest memory. */
#define WORDS_LOG2 11
#define WORDS (1 << WORDS_LOG2)
#define SHORTEST_WORD 5
#define LONGEST_WORD 12

/* A word with the blank that ends it. Copied whole, whatever its length: two moves instead of a loop. */
static struct word {
	char letters[15];
	uint8_t length;
} words[WORDS];

static pthread_once_t words_once = PTHREAD_ONCE_INIT;

/* splitmix64's finaliser: every bit of the input changes about half of the output's. */
static uint64_t mix(uint64_t value)
{
	value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
	value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
	return value ^ (value >> 31);
}

static void make_words(void)
{
	static const char letters[] = "etaoinsrhldcumfpgwybvk</>=\"";
	uint64_t state = 1;

	for (int i = 0; i < WORDS; i++) {
		struct word *word = &words[i];

		word->length = SHORTEST_WORD + random_next(&state) % (LONGEST_WORD - SHORTEST_WORD + 1);
		memset(word->letters, ' ', sizeof(word->letters));
		for (int j = 0; j < word->length - 1; j++) {
			/* Squaring favours the letters at the front. */
			unsigned int pick = mix(random_next(&state)) % 64;

			word->letters[j] = letters[pick * pick * (sizeof(letters) - 1) / 4096];
		}
	}
}

static void fill_random(uint64_t state, uint8_t *bytes)
{
	for (int i = 0; i < PAGE_BYTES; i += 8) {
		uint64_t random = random_next(&state);

		memcpy(bytes + i, &random, 8);
	}
}

static void fill_text(uint64_t state, uint8_t *bytes)
{
	uint8_t *end = bytes + PAGE_BYTES;

	while (bytes < end - sizeof(struct word)) {
		uint64_t random = random_next(&state);

		/* Several words of a draw; each is stored whole and its tail then overwritten by the next. */
		for (int i = 0; i < 64 / WORDS_LOG2 && bytes < end - sizeof(struct word); i++) {
			const struct word *word = &words[random % WORDS];

			memcpy(bytes, word, sizeof(*word));
			bytes += word->length;
			random >>= WORDS_LOG2;
		}
	}
	memset(bytes, ' ', end - bytes);
}

void content_fill(enum content content, uint64_t seed, uint32_t page, uint32_t generation,
		  uint8_t bytes[PAGE_BYTES])
{
	/* xorshift stays at zero for ever if it starts there. */
	uint64_t state = mix(seed ^ mix((uint64_t)page << 32 | generation)) | 1;

	if (content == CONTENT_TEXT) {
		pthread_once(&words_once, make_words);
		fill_text(state, bytes);
	} else {
		fill_random(state, bytes);
	}
}

bool content_parse(const char *name, enum content *content)
{
	if (!strcmp(name, "random"))
		*content = CONTENT_RANDOM;
	else if (!strcmp(name, "text"))
		*content = CONTENT_TEXT;
	else
		return false;
	return true;
}

const char *content_name(enum content content)
{
	return content == CONTENT_TEXT ? "text" : "random";
}
