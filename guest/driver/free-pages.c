// SPDX-License-Identifier: GPL-2.0
/* Blocks of free pages, each zone under its lock. */
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "answer.h"
#include "zones.h"

#define FORMAT_VERSION 1
#define INIT_ON_ALLOC 1
#define INIT_ON_FREE 2
/* More than `maximum` blocks: the smallest orders were left out. */
#define TRUNCATED 4
#define PER_CPU 8

/* Before the blocks: be sure that its size is a multiple of 8. */
struct header {
	u32 version;
	u32 flags;
	u32 minimum_order; /* that was kept to: the request's or above */
	u32 zones;
	u64 blocks;
	u64 lock_ns; /* with a lock held, together */
	u64 longest_lock_ns; /* at a stretch */
	u64 total_ns;
};

static void held(struct header *header, u64 since)
{
	u64 ns = ktime_get_ns() - since;

	header->lock_ns += ns;
	header->longest_lock_ns = max(header->longest_lock_ns, ns);
}

/*
 * The least order at which all blocks fit: that keeps the worst case (every second page free) short under the lock,
 * and what is left out then is the least worth. The counts may be out of date by the time of the walk; add_block() is
 * what bounds it.
 */
unsigned int least_order(unsigned int wanted, u64 room)
{
	unsigned int order = ARRAY_SIZE(((struct zone *)NULL)->free_area);
	u64 blocks = 0;

	while (order > wanted) {
		struct zone *zone;
		int node;

		for_each_online_node(node)
			for_each_populated_zone_of(node, zone)
				blocks += zone->free_area[order - 1].nr_free;
		if (blocks > room)
			break;
		order--;
	}
	return order;
}

static void list_zone(struct zone *zone, struct header *header, struct block_list *list)
{
	unsigned long flags;
	u64 since;

	spin_lock_irqsave(&zone->lock, flags);
	since = ktime_get_ns();
	add_free_blocks(list, zone, header->minimum_order);
	held(header, since);
	spin_unlock_irqrestore(&zone->lock, flags);
}

/* Pages that a processor keeps at hand are as free as the others, and may be listed where they are. */
static void list_per_cpu(struct zone *zone, struct header *header, struct block_list *list)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct per_cpu_pages *pages = per_cpu_ptr(zone->per_cpu_pageset, cpu);
		unsigned long flags;
		unsigned int index;
		u64 since;

		spin_lock_irqsave(&pages->lock, flags);
		since = ktime_get_ns();
		for (index = 0; index < NR_PCP_LISTS; index++) {
			unsigned int order = index < NR_LOWORDER_PCP_LISTS ? index / MIGRATE_PCPTYPES : pageblock_order;
			struct page *page;

			if (order < header->minimum_order)
				continue;
			list_for_each_entry(page, &pages->lists[index], pcp_list)
				add_block(list, page, order);
		}
		held(header, since);
		spin_unlock_irqrestore(&pages->lock, flags);
	}
}

int free_pages_answer(const struct request *request, struct answer *answer)
{
	u64 since = ktime_get_ns();
	struct header *header;
	struct block_list list;
	struct zone *zone;
	int node;

	/* The kernel will look for the poison that it has put into free pages: they are not dead at all. */
	if (page_poisoning_enabled())
		return -EOPNOTSUPP;
	header = kvmalloc(sizeof(*header) + request->maximum * sizeof(block), GFP_KERNEL);
	if (!header)
		return -ENOMEM;
	*header = (struct header){
		.version = FORMAT_VERSION,
		.flags = (static_branch_unlikely(&init_on_alloc) ? INIT_ON_ALLOC : 0) |
			 (static_branch_unlikely(&init_on_free) ? INIT_ON_FREE : 0) | (request->per_cpu ? PER_CPU : 0),
		.minimum_order = least_order(request->minimum_order, request->maximum),
	};
	if (header->minimum_order > request->minimum_order)
		header->flags |= TRUNCATED;
	list = (struct block_list){ .blocks = (block *)(header + 1), .room = request->maximum };
	for_each_online_node(node)
		for_each_populated_zone_of(node, zone) {
			header->zones++;
			list_zone(zone, header, &list);
			if (request->per_cpu)
				list_per_cpu(zone, header, &list);
		}
	header->blocks = list.count;
	if (list.overflowed)
		header->flags |= TRUNCATED;
	header->total_ns = ktime_get_ns() - since;
	answer->bytes = header;
	answer->length = sizeof(*header) + header->blocks * sizeof(block);
	return 0;
}
