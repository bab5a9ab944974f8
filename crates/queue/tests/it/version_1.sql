-- A store as version 1 left it: a message lent to Hub01 at one next hop and tried at another, one suspended, one set aside.
PRAGMA application_id = 1347375956;
PRAGMA user_version = 1;
CREATE TABLE message (
    id INTEGER PRIMARY KEY,
    received_at INTEGER NOT NULL,
    source TEXT NOT NULL,
    sender TEXT NOT NULL COLLATE NOCASE,
    size INTEGER NOT NULL,
    watched INTEGER NOT NULL DEFAULT 0,
    envelope TEXT NOT NULL,
    set_aside TEXT
);
CREATE TABLE content (
    message INTEGER PRIMARY KEY,
    checksum INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE TABLE queue (
    id INTEGER PRIMARY KEY,
    connector TEXT NOT NULL,
    destination TEXT NOT NULL,
    suspended INTEGER NOT NULL DEFAULT 0,
    retry_asked INTEGER NOT NULL DEFAULT 0,
    UNIQUE (connector, destination)
);
CREATE INDEX queue_retry ON queue (id) WHERE retry_asked = 1;
CREATE TABLE delivery (
    id INTEGER PRIMARY KEY,
    message INTEGER NOT NULL,
    queue INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    due INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    crashes INTEGER NOT NULL DEFAULT 0,
    delay_notified INTEGER NOT NULL DEFAULT 0,
    hold INTEGER NOT NULL DEFAULT 0,
    generation INTEGER NOT NULL DEFAULT 0,
    lease_until INTEGER,
    lease_owner TEXT,
    recipients TEXT NOT NULL
);
CREATE INDEX delivery_message ON delivery (message);
CREATE INDEX delivery_ready ON delivery (queue, due) WHERE lease_until IS NULL AND hold = 0;
CREATE INDEX delivery_queue ON delivery (queue);
CREATE INDEX delivery_age ON delivery (delay_notified, received_at);
CREATE INDEX delivery_leased ON delivery (lease_until) WHERE lease_until IS NOT NULL;
CREATE TABLE result (
    id INTEGER PRIMARY KEY,
    message INTEGER NOT NULL,
    recipient TEXT NOT NULL,
    outcome TEXT NOT NULL
);
CREATE INDEX result_message ON result (message);
CREATE TABLE source_key (
    key TEXT PRIMARY KEY,
    messages TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE counter (last INTEGER NOT NULL);
INSERT INTO counter VALUES (3565158400000000106);
INSERT INTO queue VALUES (1, 'Internet', 'example.com', 0, 0);
INSERT INTO queue VALUES (2, 'Internet', 'example.net', 0, 0);
INSERT INTO message VALUES (3565158400000000100, 1700000000000, 'smtp', '<joe@contoso.com>', 60, 0,
    '{"reverse_path":"<joe@contoso.com>","recipients":[],"body":"seven-bit","smtputf8":false,"require_tls":false}', NULL);
INSERT INTO content VALUES (3565158400000000100, 1493756104541046422,
    CAST('xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' AS BLOB));
INSERT INTO delivery VALUES (3565158400000000101, 3565158400000000100, 1, 1700000000000, 1700000000000,
    0, 0, 0, 0, 1, 9223372036854775807, 'Hub01', '[{"recipient":{"address":"jane@example.com"}}]');
INSERT INTO delivery VALUES (3565158400000000102, 3565158400000000100, 2, 1700000000000, 1700000000000,
    3, 0, 1, 0, 4, NULL, NULL, '[{"recipient":{"address":"bob@example.net"}}]');
INSERT INTO message VALUES (3565158400000000103, 1700000000000, 'smtp', '<joe@contoso.com>', 60, 0,
    '{"reverse_path":"<joe@contoso.com>","recipients":[],"body":"seven-bit","smtputf8":false,"require_tls":false}', NULL);
INSERT INTO content VALUES (3565158400000000103, 1493756104541046422,
    CAST('xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' AS BLOB));
INSERT INTO delivery VALUES (3565158400000000104, 3565158400000000103, 1, 1700000000000, 1700000000000,
    0, 0, 0, 1, 0, NULL, NULL, '[{"recipient":{"address":"eve@example.com"}}]');
INSERT INTO message VALUES (3565158400000000105, 1700000000000, 'smtp', '<joe@contoso.com>', 60, 0,
    'scrambled', 'the envelope or the recipients cannot be read');
INSERT INTO delivery VALUES (3565158400000000106, 3565158400000000105, 1, 1700000000000, 1700000000000,
    0, 0, 0, 2, 0, NULL, NULL, '[{"recipient":{"address":"mallory@example.com"}}]');
