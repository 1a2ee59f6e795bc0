// SPDX-License-Identifier: Apache-2.0
/*
 * The load generator of Godwit's test guests: see README.md.
 *
 *	load nbd server=ADDRESS [port=10809] [device=/dev/nbd0]
 *	load echo [bind=ADDRESS] [echo-port=7] [stream-port=7001]
 *	load serve [bind=ADDRESS] [control-port=7000] [owns-machine=yes] [KEY=VALUE...]
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control.h"
#include "echo.h"
#include "nbd.h"
#include "startup.h"

static const char *const echo_keys[] = { "bind", "echo-port", "stream-port", NULL };
static const char *const nbd_keys[] = { "server", "port", "device", NULL };

/* The kernel must find another victim than the process whose memory is the experiment. */
static void refuse_to_be_killed(void)
{
	FILE *file = fopen("/proc/self/oom_score_adj", "w");

	if (!file)
		return;
	fputs("-1000", file);
	fclose(file);
}

static const char *serve(const struct options *options)
{
	static struct load load;
	const char *wrong;
	uint64_t port = 7000;

	if (!options_size(options, "control-port", &port) || port > UINT16_MAX)
		return "control-port must be a port number";
	refuse_to_be_killed();
	signal(SIGPIPE, SIG_IGN);
	load_init(&load, !strcmp(options_text(options, "owns-machine", "no"), "yes"));
	port = control_start_network(&load, options_text(options, "bind", "0.0.0.0"), port);
	if (!port)
		return "the control port can't be had";
	control_start_serial(&load);
	wrong = startup_run(&load, options);
	if (wrong)
		fprintf(stderr, "load: %s\n", wrong);
	printf("{\"ready\":\"control\",\"controlPort\":%u}\n", (unsigned int)port);
	fflush(stdout);
	for (;;)
		pause();
}

static const char *run(const struct options *options)
{
	bool serving = !strcmp(options->word, "serve");
	bool joining = !strcmp(options->word, "nbd");
	const char *unknown;

	if (!serving && !joining && strcmp(options->word, "echo"))
		return "usage: load echo|nbd|serve [KEY=VALUE...]";
	unknown = options_unknown(options, serving ? startup_keys : joining ? nbd_keys : echo_keys);
	if (unknown) {
		fprintf(stderr, "load: there is no %s=\n", unknown);
		return "see guest/load/README.md";
	}
	return serving ? serve(options) : joining ? nbd_run(options) : echo_run(options);
}

int main(int argc, char **argv)
{
	const char *wrong = "arguments must be KEY=VALUE, 32 at most";
	struct options options;

	if (options_from_arguments(&options, argc - 1, argv + 1))
		wrong = run(&options);
	fprintf(stderr, "load: %s\n", wrong);
	return EXIT_FAILURE;
}
