"""The table of an outbox's file, and the statements that lease and settle. Knows nothing of when they are run."""

__all__ = ["ADD", "LEASE", "MARK_LOST", "MIGRATIONS", "RELEASE", "RELEASE_ALL", "SELECT_DUE"]

MIGRATIONS = (
    (
        "CREATE TABLE shop (shop_id TEXT NOT NULL)",
        """
CREATE TABLE conversions (
    order_id TEXT PRIMARY KEY,
    body BLOB NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'dead')),
    attempts INTEGER NOT NULL DEFAULT 0,
    enqueued_at REAL NOT NULL,
    due_at REAL NOT NULL,      -- of a pending one: its next attempt, or the end of its lease
    claim TEXT,                -- who is sending it
    settled_at REAL,           -- when it was delivered or refused
    reason TEXT                -- why it was refused
)
""",
        "CREATE INDEX pending ON conversions (due_at) WHERE state = 'pending'",
        "CREATE INDEX settled ON conversions (state, settled_at)",
    ),
)
ADD = """
INSERT INTO conversions (order_id, body, enqueued_at, due_at) VALUES {} ON CONFLICT (order_id) DO NOTHING
"""
# As bytes: what is damaged may be no text, and must not hold up the others.
SELECT_DUE = """
SELECT rowid, typeof(order_id), CAST(order_id AS BLOB), CAST(body AS BLOB), attempts FROM conversions INDEXED BY pending
WHERE state = 'pending' AND due_at {} ? ORDER BY due_at, rowid LIMIT ?
"""
# Where orders are named, the plus keeps SQLite from going through all that is pending instead.
LEASE = """
UPDATE conversions SET due_at = ?, claim = ? WHERE +state = 'pending' AND +due_at {} ? AND order_id IN ({})
"""
MARK_LOST = """
UPDATE conversions SET state = 'dead', settled_at = ?, claim = NULL, reason = ?
WHERE rowid IN ({}) AND state = 'pending'
"""
RELEASE = """
UPDATE conversions SET due_at = ?, claim = NULL WHERE claim = ? AND +state = 'pending' AND order_id IN ({})
"""
# What is leased is due later; should the clock say that it is due already, anybody may have it.
RELEASE_ALL = """
UPDATE conversions INDEXED BY pending SET due_at = ?, claim = NULL
WHERE state = 'pending' AND due_at > ? AND claim = ?
"""
