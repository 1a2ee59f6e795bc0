// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "handlers.h"

static const struct command {
	const char *word;
	handler *handler;
	bool at_once;	/* doesn't wait for another command to end */
	const char *keys[12];
} commands[] = {
	{ "ping", command_ping, true, { NULL } },
	{ "status", command_status, true, { NULL } },
	{ "load", command_load, false, { LOAD_KEYS } },
	{ "set", command_set, false, { WORKER_KEYS } },
	{ "stop", command_stop, false, { NULL } },
	{ "free", command_free, false, { NULL } },
	{ "verify", command_verify, false, { NULL } },
	{ "fillfree", command_fill_and_free, false, { "size" } },
	{ "churn", command_churn, false, { "size", "rate" } },
	{ "disk", command_disk, false, { "path", "rate" } },
	{ "disk-verify", command_disk_verify, false, { NULL } },
	{ "disk-close", command_disk_close, false, { NULL } },
	{ "corrupt", command_corrupt, false, { "kind", "page" } },
	{ "poweroff", command_poweroff, true, { NULL } },
	{ "reboot", command_reboot, true, { NULL } },
};

void load_init(struct load *load, bool owns_machine)
{
	memset(load, 0, sizeof(*load));
	pthread_mutex_init(&load->commands, NULL);
	load->owns_machine = owns_machine;
	holder_init(&load->holder);
	workers_start(&load->workers, &load->holder);
	churn_start(&load->churn);
	disk_start(&load->disk);
}

static void run(struct load *load, const struct command *command, const struct options *options,
		const char *id, struct answer *answer)
{
	const char *wrong;

	if (!command->at_once)
		pthread_mutex_lock(&load->commands);
	answer_begin(answer, id, true);
	wrong = command->handler(load, options, answer);
	if (!command->at_once)
		pthread_mutex_unlock(&load->commands);
	if (wrong)
		answer_error(answer, id, wrong);
	else
		answer_end(answer, id);
}

void load_execute(struct load *load, char *line, struct answer *answer)
{
	struct options options;
	const char *id = NULL;

	/* id=… may stand before the command; the answer then repeats it. */
	if (!strncmp(line, "id=", 3)) {
		id = line + 3;
		line += strcspn(line, " \r\n");
		if (*line)
			*line++ = '\0';
	}
	if (!options_parse(&options, line)) {
		answer_error(answer, id, "words after the command must be key=value");
		return;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		if (strcmp(commands[i].word, options.word))
			continue;
		if (options_unknown(&options, commands[i].keys))
			answer_error(answer, id, "this command has no such key");
		else
			run(load, &commands[i], &options, id, answer);
		return;
	}
	answer_error(answer, id, "no such command");
}
