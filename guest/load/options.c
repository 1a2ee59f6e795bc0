// SPDX-License-Identifier: Apache-2.0
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"

static bool add_pair(struct options *options, char *word)
{
	char *equals = strchr(word, '=');

	if (!equals || equals == word || options->count == OPTIONS_MAX)
		return false;
	*equals = '\0';
	options->pairs[options->count].key = word;
	options->pairs[options->count].value = equals + 1;
	options->count++;
	return true;
}

bool options_parse(struct options *options, char *line)
{
	char *rest = NULL;
	char *word = strtok_r(line, " \t\r\n", &rest);

	options->count = 0;
	options->word = word ? word : "";
	while (word && (word = strtok_r(NULL, " \t\r\n", &rest))) {
		if (!add_pair(options, word))
			return false;
	}
	return true;
}

bool options_from_arguments(struct options *options, int argc, char **argv)
{
	options->count = 0;
	options->word = argc > 0 ? argv[0] : "";
	for (int i = 1; i < argc; i++) {
		if (!add_pair(options, argv[i]))
			return false;
	}
	return true;
}

const char *options_text(const struct options *options, const char *key, const char *fallback)
{
	for (int i = 0; i < options->count; i++) {
		if (!strcmp(options->pairs[i].key, key))
			return options->pairs[i].value;
	}
	return fallback;
}

static bool parse_size(const char *text, uint64_t *size)
{
	static const char letters[] = "KMG";
	uint64_t base = 1024, factor = 1, number;
	char *end;

	if (!isdigit((unsigned char)*text))
		return false;
	number = strtoull(text, &end, 10);
	if (*end) {
		const char *letter = strchr(letters, toupper((unsigned char)*end));

		if (!letter)
			return false;
		end++;
		if (!strcmp(end, "B"))
			base = 1000;
		else if (*end && strcmp(end, "iB"))
			return false;
		for (const char *each = letters; each <= letter; each++)
			factor *= base;
	}
	return !__builtin_mul_overflow(number, factor, size);
}

bool options_size(const struct options *options, const char *key, uint64_t *size)
{
	const char *text = options_text(options, key, NULL);

	return !text || parse_size(text, size);
}

const char *options_unknown(const struct options *options, const char *const *known)
{
	for (int i = 0; i < options->count; i++) {
		const char *const *each = known;

		while (*each && strcmp(*each, options->pairs[i].key))
			each++;
		if (!*each)
			return options->pairs[i].key;
	}
	return NULL;
}
