/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GODWIT_ZONES_H
#define GODWIT_ZONES_H

#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/nodemask.h>

/* Guest physical address of the first page, its lowest bits replaced by the order. */
typedef u64 block;

/* Room for blocks, wherever that is. */
struct block_list {
	block *blocks;
	u64 count;
	u64 room;
	bool overflowed; /* there were more */
};

#define for_each_populated_zone_of(node, zone)                                                                         \
	for ((zone) = NODE_DATA(node)->node_zones; (zone) < NODE_DATA(node)->node_zones + MAX_NR_ZONES; (zone)++)      \
		if (populated_zone(zone))

static inline void add_block(struct block_list *list, struct page *page, unsigned int order)
{
	if (list->count < list->room)
		list->blocks[list->count++] = ((u64)page_to_pfn(page) << PAGE_SHIFT) | order;
	else
		list->overflowed = true;
}

/* Appends the zone's free blocks, the largest first. Its lock is held. */
static inline void add_free_blocks(struct block_list *list, struct zone *zone, unsigned int minimum_order)
{
	unsigned int order = ARRAY_SIZE(zone->free_area);

	while (order-- > minimum_order) {
		unsigned int type;

		for (type = 0; type < MIGRATE_TYPES; type++) {
			struct page *page;

			list_for_each_entry(page, &zone->free_area[order].free_list[type], buddy_list)
				add_block(list, page, order);
		}
	}
}

/* The least order, `wanted` or above, at which all blocks fit by the kernel's own counts. */
unsigned int least_order(unsigned int wanted, u64 room);

#endif
