"""The fast lane of reading: records that hold nothing unusual become products at once.

Two lanes, one contract. The careful lane (`Record`, `Draft`, `Finisher`) defines what every value means and every
complaint. The fast lane is made once for a catalog, out of its header and options, and makes the very product that the
careful lane would make, or none: it *declines* whatever it does not know by heart, a complaint above all, and what it
declines takes the careful lane whole. A property test (``tests/catalogs/test_fast_*``) holds the two together.

A format yields what the fast lane made as lists of products, between the drafts of all other records.
"""
