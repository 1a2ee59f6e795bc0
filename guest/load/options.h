/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A command as text: a first word, then key=value words, separated by blanks. Values have no blanks.
 * Sizes: K, M, G and KiB, MiB, GiB are powers of 1024; KB, MB, GB are powers of 1000.
 */
#define OPTIONS_MAX 32

struct options {
	const char *word;	/* the first word, "" in an empty line */
	int count;
	struct {
		char *key;
		char *value;
	} pairs[OPTIONS_MAX];
};

/* Splits the line in place. False when a word isn't key=value or there are too many. */
bool options_parse(struct options *options, char *line);

/* The same from a program's arguments; the first word is argv[0]. */
bool options_from_arguments(struct options *options, int argc, char **argv);

/* The value, or fallback where the key isn't given. */
const char *options_text(const struct options *options, const char *key, const char *fallback);

/* False when the key is given and isn't a size; *size keeps its value where the key isn't given. */
bool options_size(const struct options *options, const char *key, uint64_t *size);

/* The first key that isn't among the NULL-ended list of known ones, or NULL. */
const char *options_unknown(const struct options *options, const char *const *known);

#endif
