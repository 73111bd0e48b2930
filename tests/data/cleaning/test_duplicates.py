"""Duplicates: the first row of each digest is known, also when thousands came between."""

import hashlib
from contextlib import closing

from data.cleaning.duplicates import SeenConversations


def test_each_digest_belongs_to_the_row_that_had_it_first() -> None:
    digests = [hashlib.sha256(str(i).encode()).hexdigest() for i in range(5000)]
    with closing(SeenConversations()) as seen:
        assert [seen.first(digest, row) for row, digest in enumerate(digests)] == list(range(5000))
        assert seen.first(digests[7], 6000) == 7
        assert seen.first(digests[7], 6001) == 7
        assert seen.first("ab" * 32, 6002) == 6002
