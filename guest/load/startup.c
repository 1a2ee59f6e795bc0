// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "handlers.h"
#include "startup.h"

const char *const startup_keys[] = {
	"bind", "control-port", "owns-machine", "fillfree", LOAD_KEYS, "churn", "churnrate", "disk", "diskrate", NULL,
};

/* In the order in which they are carried out: memory is filled and freed before the rest is taken. */
static const struct step {
	const char *trigger;	/* the argument that asks for this step */
	handler *handler;
	struct {
		const char *argument;
		const char *key;
	} renamed[2];
} steps[] = {
	{ "fillfree", command_fill_and_free, { { "fillfree", "size" } } },
	{ "hold", command_load, { { NULL, NULL } } },
	{ "churn", command_churn, { { "churn", "size" }, { "churnrate", "rate" } } },
	{ "disk", command_disk, { { "disk", "path" }, { "diskrate", "rate" } } },
};

/* The arguments as the command knows them. */
static struct options renamed_options(const struct step *step, const struct options *arguments)
{
	struct options options = *arguments;

	for (int i = 0; i < options.count; i++) {
		for (int j = 0; j < 2 && step->renamed[j].argument; j++) {
			if (!strcmp(options.pairs[i].key, step->renamed[j].argument))
				options.pairs[i].key = (char *)step->renamed[j].key;
		}
	}
	return options;
}

static const char *run_steps(struct load *load, const struct options *options)
{
	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		struct options renamed = renamed_options(&steps[i], options);
		struct answer unused = { .length = 0 };
		const char *wrong;

		if (!options_text(options, steps[i].trigger, NULL))
			continue;
		wrong = steps[i].handler(load, &renamed, &unused);
		if (wrong)
			return wrong;
	}
	return NULL;
}

const char *startup_run(struct load *load, const struct options *options)
{
	const char *wrong;

	pthread_mutex_lock(&load->commands);
	wrong = run_steps(load, options);
	pthread_mutex_unlock(&load->commands);
	return wrong;
}
