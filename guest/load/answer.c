// SPDX-License-Identifier: Apache-2.0
#include <stdarg.h>
#include <stdio.h>

#include "answer.h"

/* Room that is kept for the end of the line. */
#define TAIL 4

void answer_add(struct answer *answer, const char *format, ...)
{
	size_t room = sizeof(answer->text) - TAIL - answer->length;
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(answer->text + answer->length, room, format, arguments);
	va_end(arguments);
	if (length < 0 || (size_t)length >= room)
		answer->overflow = true;
	else
		answer->length += length;
}

/* As a JSON string; a byte that JSON would have to escape becomes a question mark. */
static void add_string(struct answer *answer, const char *text)
{
	answer_add(answer, "\"");
	for (; *text; text++)
		answer_add(answer, "%c", *text < ' ' || *text == '"' || *text == '\\' || *text > '~' ? '?' : *text);
	answer_add(answer, "\"");
}

void answer_begin(struct answer *answer, const char *id, bool ok)
{
	answer->length = 0;
	answer->overflow = false;
	answer_add(answer, "{");
	if (id) {
		answer_add(answer, "\"id\":");
		add_string(answer, id);
		answer_add(answer, ",");
	}
	answer_add(answer, "\"ok\":%s", ok ? "true" : "false");
}

void answer_end(struct answer *answer, const char *id)
{
	if (answer->overflow) {
		answer_error(answer, id, "the answer is too long");
		return;
	}
	answer->length += sprintf(answer->text + answer->length, "}\n");
}

void answer_error(struct answer *answer, const char *id, const char *wrong)
{
	answer_begin(answer, id, false);
	answer_add(answer, ",\"error\":");
	add_string(answer, wrong);
	answer->overflow = false;
	answer->length += sprintf(answer->text + answer->length, "}\n");
}
