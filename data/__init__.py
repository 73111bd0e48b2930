"""From raw records to batches: readers, cleaning, stored tokens, packing."""
