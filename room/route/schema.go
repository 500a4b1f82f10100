package route

import "github.com/haechi-dev/haechi/base/db"

// Schema is the router's tables.
func Schema() db.Schema {
	return db.Schema{Room: "route", Steps: []string{
		`CREATE TABLE route_state (name TEXT PRIMARY KEY, value BIGINT NOT NULL);
INSERT INTO route_state (name, value) VALUES ('revision', 1);
CREATE TABLE route_buses (name TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE route_rules (bus TEXT NOT NULL, name TEXT NOT NULL, next BIGINT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (bus, name));
CREATE INDEX route_rules_next ON route_rules (next);
CREATE TABLE route_rule_targets (bus TEXT NOT NULL, rule TEXT NOT NULL, id TEXT NOT NULL, arn TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (bus, rule, id));
CREATE INDEX route_rule_targets_arn ON route_rule_targets (arn);
CREATE TABLE route_receivers (kind TEXT NOT NULL, name TEXT NOT NULL, body BLOB NOT NULL, sealed TEXT NOT NULL, PRIMARY KEY (kind, name));
CREATE TABLE route_connections (name TEXT PRIMARY KEY, body BLOB NOT NULL, sealed TEXT NOT NULL);
CREATE TABLE route_destinations (name TEXT PRIMARY KEY, connection TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE route_archives (name TEXT PRIMARY KEY, bus TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE route_archived (archive TEXT NOT NULL, time BIGINT NOT NULL, id TEXT NOT NULL, size BIGINT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (archive, time, id));
CREATE TABLE route_replays (name TEXT PRIMARY KEY, archive TEXT NOT NULL, state TEXT NOT NULL, body BLOB NOT NULL);
CREATE INDEX route_replays_state ON route_replays (state);
CREATE TABLE route_deliveries (id TEXT PRIMARY KEY, queue TEXT NOT NULL, bus TEXT NOT NULL, rule TEXT NOT NULL, target TEXT NOT NULL,
  event TEXT NOT NULL, type TEXT NOT NULL, state BIGINT NOT NULL, message TEXT NOT NULL, subject TEXT NOT NULL, grp TEXT NOT NULL,
  created BIGINT NOT NULL, begun BIGINT NOT NULL, expires BIGINT NOT NULL, due BIGINT NOT NULL, attempts BIGINT NOT NULL, finished BIGINT NOT NULL, status BIGINT NOT NULL, answer TEXT NOT NULL, body BLOB NOT NULL);
CREATE INDEX route_deliveries_queue ON route_deliveries (state, queue, message, due, id);
CREATE INDEX route_deliveries_message ON route_deliveries (message);
CREATE INDEX route_deliveries_created ON route_deliveries (created, id);
CREATE INDEX route_deliveries_finished ON route_deliveries (state, finished);
CREATE TABLE route_queues (name TEXT PRIMARY KEY, holder TEXT NOT NULL, fence BIGINT NOT NULL, until BIGINT NOT NULL, pause BIGINT NOT NULL, body BLOB NOT NULL);
CREATE TABLE route_told (queue TEXT NOT NULL, subject TEXT NOT NULL, state BIGINT NOT NULL, delivery TEXT NOT NULL, since BIGINT NOT NULL, PRIMARY KEY (subject, queue));
CREATE INDEX route_told_delivery ON route_told (delivery);
CREATE INDEX route_told_since ON route_told (since);
CREATE TABLE route_threads (queue TEXT NOT NULL, grp TEXT NOT NULL, opened BIGINT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (queue, grp));
CREATE TABLE route_snoozes (queue TEXT NOT NULL, grp TEXT NOT NULL, until BIGINT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (queue, grp))`,
	}}
}
